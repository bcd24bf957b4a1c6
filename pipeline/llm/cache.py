"""Replies that were paid for, kept: the raw text under the key of its question. Parsing comes after it.

    sqlite:PATH     one file, for the processes of one machine; the default, beside the output
    redis://HOST    for several machines
    none            nothing is kept

Only what would come out the same again is kept: answers, refusals, answers that were cut or withheld; never errors.
A failing store ends the run when it is required; else the run goes on without it and says so once.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
import sqlite3
from collections.abc import Awaitable
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson

from pipeline.llm.chat import API_ERROR, OK, ChatReply, Usage
from pipeline.llm.endpoint import read_secret
from schemas.errors import BaltoError, ConfigError

SQLITE: Final = "sqlite:"
REDIS: Final = ("redis://", "rediss://")
NONE: Final = "none"
REDIS_PASSWORD: Final = "BALTO_REDIS_PASSWORD"  # noqa: S105  # the variable's name
REDIS_TIMEOUT_S: Final = 5.0
BUSY_S: Final = 60.0
KEY_BYTES: Final = 32
ROWS_PER_WRITE: Final = 400  # two variables each; the oldest SQLite takes 999
_KEEP: Final = "INSERT OR REPLACE INTO replies VALUES "
CHECKPOINT_PAGES: Final = 10_000  # 40 MB of log: the event loop stands still while it goes into the file
log = logging.getLogger(__name__)


def to_stored(reply: ChatReply) -> bytes:
    """A reply as it lies in a store."""
    usage = reply.usage
    tokens = (usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens, usage.thinking_tokens)
    return orjson.dumps((reply.status, reply.text, reply.reason, tokens))


def from_stored(data: bytes) -> ChatReply | None:
    """The reply in `data`, or None where it cannot be one (a damaged or foreign entry: the question is asked again)."""
    try:
        status, text, reason, tokens = orjson.loads(data)
        return ChatReply(str(status), str(text), str(reason), Usage(*map(int, tokens)), from_cache=True)
    except (ValueError, TypeError):
        return None


class Store(Protocol):
    """Where replies lie. `failures`: what its methods raise when it is out of order."""

    failures: tuple[type[Exception], ...]

    async def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, data: bytes) -> Awaitable[None]:
        """Begin to keep a reply; wait for what comes back to know that it is kept."""
        ...

    async def put_first(self, key: str, data: bytes) -> None:
        """Like `put`, but what is there already stays."""
        ...

    async def close(self) -> None: ...


class ReplyCache:
    """A store with the policy for its failures.   name: as the user wrote it, for messages."""

    def __init__(self, store: Store | None, name: str, required: bool = False):
        self._store = self._opened = store  # the first is None once the store has failed
        self.name = name
        self.required = required

    async def get(self, key: str) -> ChatReply | None:
        """The stored reply, marked `from_cache`, or None."""
        store = self._store
        if store is None:
            return None
        try:
            data = await store.get(key)
        except store.failures as err:
            self.give_up(err)
            return None
        return None if data is None else from_stored(data)

    def put(self, key: str, reply: ChatReply) -> Awaitable[None]:
        """Begin to keep a reply, unless it is an error, and return what to wait for."""
        store = self._store
        if store is None or reply.status == API_ERROR:
            return asyncio.sleep(0)
        return self._kept(store, store.put(key, to_stored(reply)))

    async def _kept(self, store: Store, keeping: Awaitable[None]) -> None:
        try:
            await keeping
        except store.failures as err:
            self.give_up(err)

    async def keep_first(self, key: str, reply: ChatReply) -> ChatReply:
        """Keep a reply unless there is one already; the one that stays, of all runs that do this at the same time."""
        store = self._store
        if store is not None:
            try:
                await store.put_first(key, to_stored(reply))
            except store.failures as err:
                self.give_up(err)
        return await self.get(key) or reply

    def give_up(self, err: Exception) -> None:
        """Go on without the store, and say so once; raises BaltoError where it is required."""
        if self.required:
            raise BaltoError(
                f"the reply cache {self.name} is gone ({type(err).__name__}); once it is back, the same command "
                "resumes; without --cache-required the run goes on without it"
            ) from err
        if self._store is not None:  # said once, whatever fails at the same time
            self._store = None
            log.warning("the reply cache %s is gone (%s): going on without it", self.name, type(err).__name__)

    async def close(self) -> None:
        """Write what waits and close the store."""
        if self._opened is not None:
            try:
                await self._opened.close()
            except self._opened.failures as err:
                self.give_up(err)


async def open_cache(
    name: str, required: bool = False, password: str = REDIS_PASSWORD, in_mid_run: bool = False
) -> ReplyCache:
    """The cache that `name` stands for. Raises ConfigError when it cannot be opened.

    password: of Redis, as a reference (`read_secret`).   in_mid_run: the run has opened it before, so that a store
    that cannot be reached now is one that went away.
    """
    if name == NONE:
        return ReplyCache(None, name)
    if name.startswith(SQLITE):
        return ReplyCache(_SqliteStore(name.removeprefix(SQLITE)), name, required)
    if name.startswith(REDIS):
        store = _RedisStore(name, password)
        cache = ReplyCache(store, name, required)
        try:
            await store.ping()
        except store.failures as err:
            if not in_mid_run:
                raise ConfigError(f"--cache {name}: cannot be reached ({err})") from err
            cache.give_up(err)
        return cache
    raise ConfigError(f"--cache {name}: must be {SQLITE}PATH, redis://HOST:PORT/DB or {NONE}")


async def kept_key(cache: ReplyCache) -> bytes:
    """The secret of this cache, made by the first run that uses it; without a cache, one of this process's own.

    The data tags of prompts are made with it (`pipeline.engines.llm.sealed_data`).
    """
    fresh = secrets.token_bytes(KEY_BYTES)
    kept = await cache.keep_first("delimiter key", ChatReply(OK, fresh.hex()))
    return bytes.fromhex(kept.text)


class _SqliteStore:
    """Replies of one turn of the event loop are committed together: at full speed a commit costs as much as sending."""

    failures: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: str):
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._file.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply BLOB) WITHOUT ROWID")
            self._file.execute("SELECT key, reply FROM replies LIMIT 1")
        except (sqlite3.Error, OSError) as err:
            raise ConfigError(f"--cache {SQLITE}{path}: cannot be opened ({err})") from err
        self._waiting: dict[str, bytes] = {}
        self._written: asyncio.Future[None] | None = None

    async def get(self, key: str) -> bytes | None:
        row = self._file.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def put(self, key: str, data: bytes) -> Awaitable[None]:
        self._waiting[key] = data
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._write)
        return asyncio.shield(self._written)

    async def put_first(self, key: str, data: bytes) -> None:
        self._file.execute("INSERT OR IGNORE INTO replies VALUES (?, ?)", (key, data))

    def _write(self) -> None:
        written, self._written = self._written, None
        rows, self._waiting = list(self._waiting.items()), {}
        assert written is not None
        try:
            for first in range(0, len(rows), ROWS_PER_WRITE):
                some = rows[first : first + ROWS_PER_WRITE]
                places = ", ".join(["(?, ?)"] * len(some))  # one statement: one commit, one turn for other threads
                self._file.execute(_KEEP + places, list(chain.from_iterable(some)))
        except sqlite3.Error as err:
            written.set_exception(err)
        else:
            written.set_result(None)

    async def close(self) -> None:
        if self._waiting:
            await asyncio.sleep(0)
        self._file.close()


class _RedisStore:
    def __init__(self, url: str, password: str):
        if urlsplit(url).password:
            raise ConfigError(f"--cache: put the password into the variable {REDIS_PASSWORD}, not into the address")
        try:
            redis = importlib.import_module("redis.asyncio")
        except ImportError as err:
            raise ConfigError(f"--cache {url}: needs `pip install '.[llm]'` in the checkout of balto") from err
        self.failures: tuple[type[Exception], ...] = (importlib.import_module("redis").RedisError, OSError)
        timeouts = {"socket_timeout": REDIS_TIMEOUT_S, "socket_connect_timeout": REDIS_TIMEOUT_S}
        try:
            self._client: Any = redis.from_url(url, password=read_secret(password) or None, **timeouts)
        except ValueError as err:
            raise ConfigError(f"--cache {url}: {err}") from err

    async def ping(self) -> None:
        await self._client.ping()

    async def get(self, key: str) -> bytes | None:
        return await self._client.get(f"balto:reply:{key}")

    async def put(self, key: str, data: bytes) -> None:
        await self._client.set(f"balto:reply:{key}", data)

    async def put_first(self, key: str, data: bytes) -> None:
        await self._client.set(f"balto:reply:{key}", data, nx=True)

    async def close(self) -> None:
        await self._client.aclose()
