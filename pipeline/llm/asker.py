"""What an engine's `ask` does: cache, then one call for all who want the same, within the limits and the budget."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from pipeline.llm.cache import ReplyCache, open_cache
from pipeline.llm.chat import API_ERROR, ChatReply, ChatRequest
from pipeline.llm.client import ChatClient, explain
from pipeline.llm.endpoint import EndpointError
from pipeline.llm.ledger import BudgetSpent, Ledger
from pipeline.llm.limits import Pace, share
from pipeline.llm.prices import price_of
from pipeline.llm.probe import QUESTION
from pipeline.llm.replies import FORBIDDEN, TOO_MANY, Failure
from pipeline.llm.reply_key import reply_key
from pipeline.llm.transport import Transport
from pipeline.llm.window_check import is_cut
from schemas.errors import BaltoError, ConfigError

CHARS_PER_TOKEN = 4  # of a prompt, to book tokens before the endpoint has counted them
# Questions in a row, beyond those under way together, that failed after all attempts: then it is not about them, even
# where the endpoint still answers the probe's. The same goes for so many refused ones, where none was ever answered.
DEAD_AFTER = 10
LOOK_S = 0.5  # between two looks at whether the run has ended in another process
# What a user does who knows that it is about the records all the same.
_WAY_ON = "; if the records are to blame for it, --accept-failures goes on without them"
log = logging.getLogger(__name__)


class Asker:
    """Answers requests of one process. Make it by `open_asker` on the event loop that will use it."""

    def __init__(self, transport: Transport, client: ChatClient, cache: ReplyCache, ledger: Ledger):
        self.transport = transport
        self.client = client
        self.cache = cache
        self.ledger = ledger
        slots = share(transport.in_flight, transport.processes)
        self._slots = asyncio.Semaphore(slots)
        self._dead_after = DEAD_AFTER + slots
        self._requests = Pace(transport.requests_per_minute / transport.processes)
        self._tokens = Pace(transport.tokens_per_minute / transport.processes)
        self._running: dict[str, asyncio.Future[ChatReply]] = {}
        self._failed_in_a_row = 0
        self._refused: Counter[str] = Counter()  # by purpose
        self._answers = 0
        self._doubting, self._booking = asyncio.Lock(), asyncio.Lock()
        self._last_failures: dict[str, str] = {}  # by purpose
        self._is_cutting = False
        self._stopped = asyncio.Event()
        self._watching = asyncio.create_task(self._watch())
        self.fatal: BaltoError | None = None

    async def ask(self, request: ChatRequest) -> ChatReply:
        """An `Ask`: see `pipeline.llm.chat`."""
        if self.fatal is not None:
            raise self.fatal
        key = reply_key(self.transport.endpoint, request)
        running = self._running.get(key)
        if running is not None:
            reply = await asyncio.shield(running)
            count = self.ledger.failed if reply.status == API_ERROR else self.ledger.cached
            count(request.purpose)
            return ChatReply(reply.status, reply.text, reply.reason, reply.usage, from_cache=True)
        future = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._answer(key, request)
        except BaseException as err:
            if isinstance(err, BaltoError):
                self.stop(err)
            future.set_exception(err if isinstance(err, Exception) else EndpointError("the run was interrupted"))
            future.exception()  # nobody may be waiting: that is no mistake
            raise
        else:
            future.set_result(reply)
            return reply
        finally:
            del self._running[key]

    async def _answer(self, key: str, request: ChatRequest) -> ChatReply:
        reply = await self.cache.get(key)
        if reply is not None:
            self.ledger.cached(request.purpose)
            return reply
        # A request that waits for its next attempt keeps its slot: a struggling endpoint is asked less. Keeping begins
        # before the slot is free: SQLite has the reply before the next request is sent, so that a kill loses no more
        # answers than there are slots.
        async with self._slots:
            if self.fatal is not None:
                raise self.fatal
            reply = await self._call(request)
            keeping = self.cache.put(key, reply)
        await keeping
        return reply

    async def _call(self, request: ChatRequest) -> ChatReply:
        booked = (len(request.system) + len(request.user)) / CHARS_PER_TOKEN
        answers = self._answers
        cost = self.ledger.cost_at_most(request, self.transport.endpoint.thinking_tokens or 0)

        async def before(again: bool) -> None:
            await self._requests.wait(1, self._sleep)
            await self._tokens.wait(booked, self._sleep)
            await self._take(cost)
            self.ledger.sent(request.purpose, again)

        def after(failure: Failure | None) -> None:
            self.ledger.returned(cost, counts=failure is None or failure.status != TOO_MANY)

        reply = await self.client.ask(request, before, self._sleep, after)
        if isinstance(reply, Failure):
            self.ledger.failed(request.purpose)
            await self._note_failure(request.purpose, reply, answers)
            return ChatReply(API_ERROR, reason=reply.reason)
        self._failed_in_a_row = 0
        self._answers += 1
        self.ledger.answered(request.purpose, reply.usage)
        if is_cut(request, reply):
            self._note_cut(reply.usage.prompt_tokens)
        self._tokens.correct(reply.usage.prompt_tokens + reply.usage.completion_tokens - booked)
        return reply

    async def _take(self, cost: float) -> None:
        """Book a request when there is room for it, or when nothing is under way any more that could make some."""
        async with self._booking:  # one at a time looks again and again
            while True:
                if self.fatal is not None:
                    raise self.fatal
                try:
                    return self.ledger.take(cost)
                except BudgetSpent:
                    if not await self.ledger.may_make_room():
                        raise

    def _note_cut(self, tokens: int) -> None:
        if not self._is_cutting:
            self._is_cutting = True
            log.warning(
                "%s says it read %d tokens of a prompt of more words: it seems to drop what is too long for it; start "
                "it with a larger window (Ollama: num_ctx) or set --context-window to what it reads",
                *(self.transport.endpoint.base_url, tokens),
            )
        self.ledger.note("prompts_cut", 1)

    async def _note_failure(self, purpose: str, failure: Failure, answers_before: int) -> None:
        """Raises EndpointError when it is not about the question.   answers_before: of the endpoint, when the question
        was first sent."""
        self._last_failures[purpose] = failure.reason
        if failure.status == FORBIDDEN and not await self._is_there(answers_before):
            raise EndpointError(explain(self.transport.endpoint, failure))
        if not failure.again:  # a refused request says that the endpoint is there
            self._refused[purpose] += 1
            if self.transport.ledger and self._refused[purpose] >= self._dead_after:
                self.check_answered()
            return
        self._failed_in_a_row += 1
        url, many = self.transport.endpoint.base_url, self._failed_in_a_row
        if many >= self._dead_after and not self.transport.accept_failures:
            raise EndpointError(
                f"{url} answers a tiny question, but none of the run after all attempts ({many} failed in a row), the "
                f"last with: {failure.reason}; what was answered is kept, and the same command resumes{_WAY_ON}"
            )
        if not await self._is_there(answers_before):
            raise EndpointError(
                f"{url} is gone: what it is asked fails after all attempts ({self._failed_in_a_row} in a row), the "
                f"last with: {failure.reason}; what was answered is kept, and the same command resumes"
            )

    async def _is_there(self, answers_before: int) -> bool:
        """Whether the endpoint has answered anything since, or else answers the probe's question now."""

        async def before(again: bool) -> None:  # noqa: ARG001  # not counted: it is no question of the corpus
            if self.fatal is not None:
                raise self.fatal

        async with self._doubting:
            if self._answers == answers_before and not isinstance(
                await self.client.ask(QUESTION, before, self._sleep), Failure
            ):
                self._answers += 1
            return self._answers > answers_before

    def check_answered(self) -> None:
        """Raises EndpointError when some questions for a purpose failed, and none of the whole run was ever answered:
        then it is not about the records, however few they are, unless the user says so."""
        if self.transport.accept_failures:
            return
        for purpose, reason in self._last_failures.items():
            if self.ledger.is_in_vain(purpose):
                raise EndpointError(
                    f"{self.transport.endpoint.base_url} answered none of the run's {purpose} requests, the last "
                    f"failed with: {reason}; once that is mended, the same command resumes{_WAY_ON}"
                )

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but wake up when the run stops."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return

    async def _watch(self) -> None:
        """Stop when the run has ended in another process, also while every request of this one sleeps."""
        while not self._stopped.is_set():
            await self._sleep(LOOK_S)
            if self.ledger.is_stopped():
                self.stop(BaltoError("the run has ended in another process"))

    def stop(self, err: BaltoError) -> None:
        """Answer nothing more: every later `ask` raises `err`. Calls that are under way are finished and kept."""
        if self.fatal is None:
            self.fatal = err
            self._stopped.set()

    async def close(self) -> None:
        """Close the connections and write what waits."""
        self._watching.cancel()
        await self.client.close()
        await self.cache.close()
        self.ledger.close()


async def open_asker(transport: Transport) -> Asker:
    """Open the client, the cache and the ledger. Raises ConfigError when one of them cannot be."""
    price = price_of(transport.endpoint.model, transport.prices)
    if transport.max_cost and price is None:
        raise ConfigError(f"--max-cost: no price is known for {transport.endpoint.model}; give one with --prices FILE")
    client = ChatClient(transport.endpoint, share(transport.in_flight, transport.processes))
    try:
        cache = await open_cache(transport.cache, transport.cache_required, transport.cache_password, in_mid_run=True)
        ledger = Ledger(transport.ledger, price, transport.max_requests, transport.max_cost)
    except BaseException:
        await client.close()
        raise
    return Asker(transport, client, cache, ledger)
