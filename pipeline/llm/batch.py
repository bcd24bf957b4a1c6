"""Fill the reply cache through the OpenAI Batch API: half the price, an answer within a day.

The engines are run over all records with an `ask` that answers from the cache, or notes the question down and gives
the record up for this round. What was noted goes out as batches; their answers go into the cache; the next round gets
further. When nothing is missing any more, the ordinary run finds every answer in the cache.

What is under way stands in `state.json` before and after every step, so a killed run goes on with its own batches.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import openai

from pipeline.llm.asker import Asker, open_asker
from pipeline.llm.batch_lines import CHAT_PATH, question_line, read_line, read_question
from pipeline.llm.cache import NONE
from pipeline.llm.chat import API_ERROR, Ask, ChatReply, ChatRequest
from pipeline.llm.endpoint import EndpointError
from pipeline.llm.ledger import BudgetSpent
from pipeline.llm.replies import Failure
from pipeline.llm.reply_key import reply_key
from pipeline.llm.transport import Transport
from schemas.disk import write_atomically
from schemas.errors import BaltoError, ConfigError, RecordError, one_line

MAX_LINES: Final = 50_000  # of one batch, and its bytes: limits of the Batch API
MAX_BYTES: Final = 190_000_000
MAX_TRIES: Final = 3  # of one question in batches; what then has no answer is left to the ordinary run
POLL_S: Final = 30.0
OVER: Final = frozenset({"completed", "expired", "cancelled"})
log = logging.getLogger(__name__)

Records = Callable[[], Iterable[Any]]  # all records again, every time it is called
AskAbout = Callable[[Any, Ask], Awaitable[Any]]  # the engines' work on one record


class NotYetAnswered(Exception):  # noqa: N818  # no error: the record's turn comes in the next round
    """The cache does not hold this answer yet; the question is noted down."""


@dataclass
class Batch:
    """One batch. name: of its file, and its mark at the endpoint.   state: written -> uploaded -> submitted."""

    name: str
    state: str = "written"
    file_id: str = ""
    batch_id: str = ""


@dataclass
class State:
    """What state.json holds. tries: how often a question went out in vain.   refused: key -> reason, given up."""

    batches: list[Batch] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


async def fill_cache(
    transport: Transport, folder: Path, records: Records, ask_about: AskAbout, poll_s: float = POLL_S
) -> None:
    """Run rounds until the cache holds every answer that batches can give.

    folder: for the state and the files of what is under way.   Raises BudgetSpent, ConfigError (no cache to fill) and
    BaltoError (a batch that the endpoint refuses as a whole, or an endpoint that is gone).
    """
    if transport.cache == NONE:
        raise ConfigError("--batch-api fills the reply cache: it needs one (--cache)")
    folder.mkdir(parents=True, exist_ok=True)
    asker = await open_asker(transport)
    try:
        filler = _Filler(asker, folder, poll_s)
        await filler.finish_batches()  # of a run that was killed
        while await filler.note_missing(records, ask_about):
            await filler.finish_batches()
            if filler.spent is not None:
                raise filler.spent
    except openai.OpenAIError as err:
        url = transport.endpoint.base_url
        said = asker.client.without_key(str(err).encode()).decode()
        what = f"{type(err).__name__}: {one_line(said, 300)}"
        raise EndpointError(f"{url}: the Batch API failed ({what}); the same command resumes") from err
    finally:
        await asker.close()


class _Filler:
    def __init__(self, asker: Asker, folder: Path, poll_s: float):
        self.asker = asker
        self.folder = folder
        self.poll_s = poll_s
        self.client = asker.client.openai.with_options(max_retries=5)
        self.state = _read_state(folder / "state.json")
        self.spent: BudgetSpent | None = None
        self._resumed = {batch.name for batch in self.state.batches}
        self._noted: set[str] = set()
        self._file = _BatchFile(folder)

    async def note_missing(self, records: Records, ask_about: AskAbout) -> int:
        """Run the engines over all records and write what they miss to batch files; returns how many questions."""
        self._noted, self._file = set(), _BatchFile(self.folder)
        given_up: Counter[str] = Counter()
        for record in records():
            try:
                await ask_about(record, self._ask)
            except NotYetAnswered:
                given_up["waiting"] += 1
            except RecordError:
                given_up["rejected"] += 1  # by the ordinary run as well, which counts it
            except BaltoError:
                raise
            except Exception as err:  # a defect that the ordinary run rejects with the record and logs
                given_up[type(err).__name__] += 1
        self.state.batches += [Batch(name) for name in self._file.close()]
        self._save()
        log.info("batches: %d questions to ask; records: %s", len(self._noted), dict(given_up) or "all answered")
        if self.spent is not None and not self._noted:
            raise self.spent
        return len(self._noted)

    async def _ask(self, request: ChatRequest) -> ChatReply:
        key = reply_key(self.asker.transport.endpoint, request)
        reply = await self.asker.cache.get(key)
        if reply is not None:
            return reply
        if key in self.state.refused:
            return ChatReply(API_ERROR, reason=self.state.refused[key])
        if key not in self._noted and self.spent is None:
            try:
                self.asker.ledger.take(self._cost_at_most(request))
            except BudgetSpent as err:
                self.spent = err
            else:
                self._noted.add(key)
                self._file.add(question_line(self.asker.transport.endpoint, request, key))
        raise NotYetAnswered

    def _cost_at_most(self, request: ChatRequest) -> float:
        thinking_tokens = self.asker.transport.endpoint.thinking_tokens or 0
        return self.asker.ledger.cost_at_most(request, thinking_tokens, batched=True)

    async def finish_batches(self) -> None:
        """Send, await and read every batch in the state."""
        for batch in self.state.batches:
            await self._submit(batch)
        while self.state.batches:
            for batch in list(self.state.batches):
                found = await self.client.batches.retrieve(batch.batch_id)
                if found.status == "failed":
                    self._forget(batch)
                    reasons = [error.message or "" for error in (found.errors and found.errors.data) or []]
                    reason = one_line("; ".join(reasons[:3]), 300)
                    raise BaltoError(f"the endpoint refused batch {batch.batch_id}: {reason}")
                if found.status in OVER:
                    log.info("batch %s is %s: %s", batch.batch_id, found.status, found.request_counts)
                    await self._read(batch, [found.output_file_id, found.error_file_id])
            if self.state.batches:
                await asyncio.sleep(self.poll_s)

    async def _submit(self, batch: Batch) -> None:
        if batch.state == "written":
            with open(self.folder / batch.name, "rb") as file:
                batch.file_id = (await self.client.files.create(file=(batch.name, file), purpose="batch")).id
            self._move(batch, "uploaded")
        if batch.state == "uploaded":
            # A run that was killed between creating a batch and writing its id down finds it by its mark.
            resumed = batch.name in self._resumed
            batch.batch_id = (resumed and await self._submitted_before(batch)) or await self._create(batch)
            self._move(batch, "submitted")

    async def _submitted_before(self, batch: Batch) -> str:
        async for found in self.client.batches.list(limit=100):
            if (found.metadata or {}).get("balto") == batch.name:
                return found.id
        return ""

    async def _create(self, batch: Batch) -> str:
        created = await self.client.batches.create(
            input_file_id=batch.file_id,
            endpoint=CHAT_PATH,
            completion_window="24h",
            metadata={"balto": batch.name},
        )
        return created.id

    async def _read(self, batch: Batch, file_ids: list[str | None]) -> None:
        """Put a batch's answers into the cache. A question without one was asked in vain; it is missed again in the
        next round, until it has been asked often enough."""
        with open(self.folder / batch.name, "rb") as file:
            open_questions = {key: purpose for purpose, key in map(read_question, file)}
        for file_id in filter(None, file_ids):
            content = await self.client.files.content(file_id)
            for answered in filter(None, map(read_line, content.content.splitlines())):
                if open_questions.pop(answered.key, None) is not None:  # else it answers nothing that was asked here
                    await self._note_result(*answered)
        for key, purpose in open_questions.items():
            await self._note_result(purpose, key, Failure("no line in the results of its batch", again=True))
        self._forget(batch)

    async def _note_result(self, purpose: str, key: str, result: ChatReply | Failure) -> None:
        self.asker.ledger.returned()
        self.asker.ledger.sent(purpose, again=key in self.state.tries)
        if isinstance(result, ChatReply):
            self.asker.ledger.answered(purpose, result.usage, batched=True)
            await self.asker.cache.put(key, result)
            return
        self.state.tries[key] = self.state.tries.get(key, 0) + 1
        if not result.again or self.state.tries[key] >= MAX_TRIES:
            self.state.refused[key] = result.reason

    def _move(self, batch: Batch, state: str) -> None:
        batch.state = state
        self._save()

    def _forget(self, batch: Batch) -> None:
        self.state.batches.remove(batch)
        self._save()
        (self.folder / batch.name).unlink(missing_ok=True)

    def _save(self) -> None:
        write_atomically(self.folder / "state.json", json.dumps(dataclasses.asdict(self.state)).encode())


class _BatchFile:
    """Writes questions into as many files as the limits of a batch ask for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names: list[str] = []
        self._open: Any = None
        self._lines = self._bytes = 0

    def add(self, line: bytes) -> None:
        if self._open is None or self._lines == MAX_LINES or self._bytes + len(line) > MAX_BYTES:
            self.close()
            self.names.append(f"batch-{secrets.token_hex(8)}.jsonl")
            self._open = open(self.folder / self.names[-1], "wb")  # noqa: SIM115  # closed by `close`
            self._lines = self._bytes = 0
        self._open.write(line)
        self._lines += 1
        self._bytes += len(line)

    def close(self) -> list[str]:
        """Finish the last file; returns the names of all."""
        if self._open is not None:
            self._open.close()
        return self.names


def _read_state(path: Path) -> State:
    if not path.is_file():
        return State()
    try:
        value = json.loads(path.read_bytes())
        return State([Batch(**batch) for batch in value["batches"]], value["tries"], value["refused"])
    except (ValueError, KeyError, TypeError) as err:
        raise BaltoError(f"{path}: not the state of a batch run ({err}); remove it to submit everything anew") from err
