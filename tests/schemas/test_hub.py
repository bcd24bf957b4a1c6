"""Names that the hub would have to know: one line each, at once, from a real HTTP server in the hub's place."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants

from schemas.errors import ConfigError
from schemas.hub import refuse_unreachable


class KnowsOneModel(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/api/models/some/mirrored"):
            self.send_error(501)
            return
        is_known = self.path.startswith("/api/models/some/model")
        body = b'{"id": "some/model"}' if is_known else b'{"error": "Repository not found"}'
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if not is_known:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), KnowsOneModel)
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield address
    server.shutdown()
    server.server_close()


def test_what_is_here_or_on_the_hub_is_not_refused(hub, tmp_path):
    refuse_unreachable(str(tmp_path), "--model")
    refuse_unreachable("some/model", "--model")
    refuse_unreachable("some/mirrored", "--model")  # the server does not answer that question, and may have the files


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("some/other", "--model some/other: no such file or folder, and the Hugging Face hub has none of that name"),
        ("no name", "--model no name: no such file or folder, nor a name that the Hugging Face hub could have"),
    ],
)
def test_what_the_hub_does_not_have_is_refused(hub, name, message):
    with pytest.raises(ConfigError, match=message):
        refuse_unreachable(name, f"--model {name}")


def test_a_hub_that_cannot_be_asked_is_said(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        ConfigError, match="nothing of that name was fetched before, and the Hugging Face hub cannot be"
    ):
        refuse_unreachable("some/model", "--model some/model")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="nothing of that name was fetched before, and HF_HUB_OFFLINE is set"):
        refuse_unreachable("some/model", "--model some/model")


def test_what_was_fetched_before_needs_no_hub(hub, monkeypatch, tmp_path):
    snapshot = tmp_path / "cache" / "models--some--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    refuse_unreachable("some/model", "--model")
