"""One model behind an OpenAI-compatible endpoint: the openai package's client, completions by aiohttp, our own retries.

Models, files and batches are asked for through `AsyncOpenAI`. Completions take its address and its headers and are
posted by aiohttp, which the package itself uses underneath: on the way through `chat.completions.create` a request
costs several times the processor time (benchmarks/llm_throughput.py). We read the raw reply ourselves in any case, so
that one that is not what was asked for keeps its text and its usage.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import ssl
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import httpx2
import openai
import orjson

from pipeline.llm.chat import ChatReply, ChatRequest
from pipeline.llm.endpoint import (
    JSON_OBJECT,
    JSON_SCHEMA,
    Endpoint,
    EndpointError,
    request_options,
    resolve_key,
)
from pipeline.llm.replies import FORBIDDEN, MAX_REASON_CHARS, NO_QUOTA, Failure, read_completion, read_refused
from schemas.errors import one_line

FIRST_WAIT_S: Final = 0.5  # before the second attempt; doubles with every further one
LONGEST_WAIT_S: Final = 60.0
LONGEST_RETRY_AFTER_S: Final = 900.0  # a server that asks for more will not answer this run
LEAST_RETRY_AFTER_S: Final = 1.0  # is counted for less, so that a server that says 0.01 is not asked without end
MAX_REPLY_BYTES: Final = 16 << 20  # of a server that sends without end
CONNECT_S: Final = 20.0
LEAST_KEY_CHARS: Final = 8  # "EMPTY" or "ollama" is no secret, and may be a word of what a server says
Read = TypeVar("Read")
log = logging.getLogger(__name__)


def completion_body(endpoint: Endpoint, request: ChatRequest) -> dict[str, Any]:
    """The body of a chat completion: JSON is asked for in the form that the endpoint honours, in words where it
    takes no schema."""
    system, form = request.system, endpoint.answer_form or JSON_SCHEMA
    limit = request.max_tokens + (endpoint.thinking_tokens or 0)
    body: dict[str, Any] = {"model": endpoint.model, endpoint.token_field: limit}
    if endpoint.temperature is not None:
        body["temperature"] = endpoint.temperature
    if form == JSON_SCHEMA:
        schema = {"name": request.schema_name, "schema": request.schema, "strict": True}
        body["response_format"] = {"type": JSON_SCHEMA, "json_schema": schema}
    else:
        schema_text = orjson.dumps(request.schema).decode()
        system += f"\n\nAnswer with one JSON object and nothing else. It must follow this JSON schema:\n{schema_text}"
    if form == JSON_OBJECT:
        body["response_format"] = {"type": JSON_OBJECT}
    if endpoint.system_role:
        body["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": request.user}]
    else:
        body["messages"] = [{"role": "user", "content": f"{system}\n\n{request.user}"}]
    return body | request_options(endpoint.options)


class ChatClient:
    """Sends chat completions. Open it on the event loop that will use it.   in_flight: size of its connection pool.

    openai: the package's client with the same key and address, for whatever is asked rarely.
    """

    def __init__(self, endpoint: Endpoint, in_flight: int):
        self.endpoint = endpoint
        self._key = resolve_key(endpoint)
        self._said_put_off = False
        self.openai = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=self._key,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(timeout=endpoint.timeout_s, follow_redirects=False),
        )
        self._url = f"{str(self.openai.base_url).rstrip('/')}/chat/completions"
        headers = {**self.openai.default_headers, **self.openai.auth_headers}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=in_flight, ssl=httpx2.create_ssl_context()),
            timeout=aiohttp.ClientTimeout(endpoint.timeout_s, sock_connect=min(CONNECT_S, endpoint.timeout_s)),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy_of(self._url),
            # Without the package's telemetry: nine headers that would be built, sent and parsed every time.
            headers={
                name: value
                for name, value in headers.items()
                if isinstance(value, str) and not name.lower().startswith("x-stainless")
            },
        )

    async def send(
        self, body: bytes, read: Callable[[bytes], Read | Failure] = read_completion
    ) -> Read | ChatReply | Failure:
        """Send a body once.   read: makes something of the body of a 200. What is withheld is a ChatReply in any case.
        Never raises for what the network or the server did."""
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                content = await _read_bounded(response)
        except (aiohttp.ClientError, OSError) as err:  # a TimeoutError is an OSError
            return self._no_reply(err)
        if content is None:
            return Failure(f"the reply has more than {MAX_REPLY_BYTES} bytes", again=False)
        if response.status == 200 and not isinstance(reply := read(content), Failure):
            return reply
        # Servers that repeat the key that they refuse are known; what they say goes into logs and label sets.
        content = self.without_key(content)
        if response.status == 200:
            return read(content)
        return read_refused(response.status, response.headers, content, time.time())

    def without_key(self, told: bytes) -> bytes:
        """What a server said, without the key: as it is, in JSON with slashes escaped, in an address."""
        if len(self._key) < LEAST_KEY_CHARS:
            return told
        for spelt in (self._key, self._key.replace("/", r"\/"), quote(self._key, safe="")):
            told = told.replace(spelt.encode(), b"[the key]")
        return told

    async def get_json(self, path: str) -> dict[str, Any]:
        """The object that the server tells under `path` beside its `/v1`; {} when it tells none."""
        root = self._url.removesuffix("/chat/completions").removesuffix("/v1")
        try:
            async with self._session.get(root + path, allow_redirects=False) as response:
                content = await _read_bounded(response)
                value = orjson.loads(content) if content and response.status == 200 else None
        except (aiohttp.ClientError, OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _no_reply(self, err: BaseException) -> Failure:
        """The innermost cause names what is wrong best."""
        if isinstance(err, aiohttp.ConnectionTimeoutError):
            return Failure(f"no connection within {CONNECT_S:g} s", again=True, code="connection")
        if isinstance(err, TimeoutError):
            return Failure(f"no reply within {self.endpoint.timeout_s:g} s", again=True)
        while err.__cause__ is not None:
            err = err.__cause__
        if isinstance(err, ssl.SSLError):
            what = one_line(err.strerror or err.reason or type(err).__name__, MAX_REASON_CHARS)
            return Failure(f"no https there that can be trusted: {what}", again=True, code="connection")
        what = one_line(getattr(err, "strerror", None) or type(err).__name__, MAX_REASON_CHARS)
        return Failure(f"the connection failed: {what}", again=True, code="connection")

    async def ask(
        self,
        request: ChatRequest,
        before: Callable[[bool], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        after: Callable[[Failure | None], None] = lambda _: None,
    ) -> ChatReply | Failure:
        """Ask a question, as `post` does."""
        return await self.post(orjson.dumps(completion_body(self.endpoint, request)), before, sleep, after)

    async def post(
        self,
        body: bytes,
        before: Callable[[bool], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        after: Callable[[Failure | None], None] = lambda _: None,
        read: Callable[[bytes], Read | Failure] = read_completion,
    ) -> Read | ChatReply | Failure:
        """Send until there is an answer or the attempts are used up. One that the server wants repeated later is none,
        until LONGEST_RETRY_AFTER_S have been waited for its sake.

        before: awaited before each sending, with whether it is a repetition; what it raises ends the asking.   after:
        called after each, with how it failed; None when it was answered, or given up with the run.
        Raises EndpointError when no request of the run will be answered any more. A 403 is handed back: it may be about
        the question (what stands before the server dislikes its words) as well as about the key.
        """
        failure = Failure("", again=True)
        sent, attempts, put_off_s = 0, 0, 0.0
        while failure.again and attempts < self.endpoint.max_attempts:
            if sent:
                await sleep(self.wait_s(max(1, attempts), failure))
            await before(sent > 0)
            sent += 1
            result = None
            try:
                result = await self.send(body, read)
            finally:
                after(result if isinstance(result, Failure) else None)
            if not isinstance(result, Failure):
                return result
            failure = result
            if failure.fatal and failure.status != FORBIDDEN:
                raise EndpointError(explain(self.endpoint, failure))
            put_off_s += max(failure.retry_after_s or 0.0, LEAST_RETRY_AFTER_S)
            if not failure.retry_after_s or put_off_s > LONGEST_RETRY_AFTER_S:
                attempts += 1
            else:
                self._say_put_off(failure)
        return dataclasses.replace(failure, reason=f"{failure.reason} (attempts: {sent})") if sent > 1 else failure

    def _say_put_off(self, failure: Failure) -> None:
        if not self._said_put_off:
            self._said_put_off = True
            log.warning(
                "%s puts requests off (%s): asking again when it says; --requests-per-minute, --tokens-per-minute or a "
                "smaller --concurrency may suit it better",
                *(self.endpoint.base_url, failure.reason),
            )

    def wait_s(self, attempt: int, failure: Failure) -> float:
        """Seconds before the next attempt: what the server asked for and a little, else doubling, both with jitter so
        that requests that failed together do not return together."""
        asked = failure.retry_after_s
        if asked is None:
            return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
        if asked > LONGEST_RETRY_AFTER_S:
            raise EndpointError(
                f"{self.endpoint.base_url} asks to wait {asked:.0f} s ({failure.reason}); the same command resumes then"
            )
        return asked + min(1.0, 0.1 * asked) * random.random()  # noqa: S311

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self.openai.close()


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY and so on)."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, decompressed; None as soon as it is longer than any reply of a model."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_REPLY_BYTES:
            return None
    return bytes(content)


def explain(endpoint: Endpoint, failure: Failure) -> str:
    """One line for a failure that ends the run: what, where, what to do."""
    what = failure.reason
    if failure.status in (401, 403):
        return f"{endpoint.base_url} refused the key in {endpoint.api_key} ({what}); set a valid one"
    if failure.code == NO_QUOTA or failure.status == 402:
        return f"{endpoint.base_url}: the account's quota is spent ({what}); the same command resumes once it is raised"
    if failure.status == 404:
        return f"{endpoint.base_url}: no model {endpoint.model!r} there ({what}); see --model and --base-url"
    return f"{endpoint.base_url}: {what}"
