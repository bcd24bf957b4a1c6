"""Files and batches of the endpoint: upload JSONL, create a batch, poll it, read its output and error files."""

from __future__ import annotations

import json
import time
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.llm_server.behaviour import draw

if TYPE_CHECKING:
    from tests.llm_server.server import LlmServer


class Batches:
    """What lies under /files and /batches of one endpoint."""

    def __init__(self, server: LlmServer):
        self.server = server
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}

    async def handle(self, method: str, path: str, body: bytes, content_type: str) -> web.StreamResponse:
        """Answer a request under one of the two paths."""
        from tests.llm_server.server import error, reply

        parts = path.strip("/").split("/")
        if parts == ["files"] and method == "POST":
            return reply(self._upload(body, content_type))
        if len(parts) == 3 and parts[0] == "files" and parts[1] in self.files:
            return web.Response(body=self.files[parts[1]], content_type="application/octet-stream")
        if parts == ["batches"] and method == "POST":
            return reply(self._create(json.loads(body)))
        if parts == ["batches"]:
            return reply({"object": "list", "data": [self._polled(one) for one in self.batches], "has_more": False})
        if len(parts) == 2 and parts[1] in self.batches:
            return reply(self._polled(parts[1]))
        return error(404, f"No such object: {path}", None)

    def _upload(self, body: bytes, content_type: str) -> dict[str, Any]:
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        parts = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        content = next(part for part in parts if part.get_filename())
        data = content.get_payload(decode=True)
        assert isinstance(data, bytes)
        name = self._store(data)
        return _file(name, len(data), content.get_filename() or "")

    def _store(self, data: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = data
        return name

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches) + 1}"
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "metadata": body.get("metadata"),
            "created_at": int(time.time()),
            "status": "validating",
            "ready_at": time.monotonic() + self.server.behaviour.batch_s,
        }
        self.server.counts["batches"] += 1
        return self._polled(name)

    def _polled(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        if batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if time.monotonic() >= batch["ready_at"]:
                self._run(batch)
        return {key: value for key, value in batch.items() if key != "ready_at"}

    def _run(self, batch: dict[str, Any]) -> None:
        behaviour, answers, errors = self.server.behaviour, [], []
        lines = self.files[batch["input_file_id"]].splitlines()
        for line in lines:
            one = json.loads(line)
            self.server.counts["batch_lines"] += 1
            chance = draw(behaviour.seed, "batch", batch["id"], one["custom_id"])
            if chance < behaviour.batch_expired:
                expired = {"code": "batch_expired", "message": "This request could not be executed in time."}
                errors.append({"id": "r", "custom_id": one["custom_id"], "response": None, "error": expired})
                continue
            status, value = self.server.completion(one["body"])
            if chance < behaviour.batch_expired + behaviour.batch_failed:
                status, value = 500, {"error": {"message": "The server had an error", "code": None}}
            response = {"status_code": status, "request_id": "r", "body": value}
            if draw(behaviour.seed, "renamed", batch["id"], one["custom_id"]) < behaviour.batch_renamed:
                one["custom_id"] = "extract.b3RoZXI="  # a key that can be read, of no question
            sink = answers if status == 200 else errors
            sink.append({"id": "r", "custom_id": one["custom_id"], "response": response, "error": None})
        answers.reverse()  # the order of the answers is not the order of the questions
        batch["status"] = "expired" if behaviour.batch_expired else "completed"
        for field, kept in (("output_file_id", answers), ("error_file_id", errors)):
            if kept:
                batch[field] = self._store(b"".join(json.dumps(one).encode() + b"\n" for one in kept))
        batch["request_counts"] = {"total": len(lines), "completed": len(answers), "failed": len(errors)}


def _file(name: str, size: int, filename: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "file",
        "bytes": size,
        "created_at": int(time.time()),
        "filename": filename,
        "purpose": "batch",
        "status": "processed",
    }
