"""One model behind an OpenAI-compatible endpoint: the openai package's client and connections, retries of our own.

Models, files and batches are asked for through `AsyncOpenAI`. Completions take its address, its headers and the HTTP
client that it would use, and leave out what is built on top of these for every call: on the way through
`chat.completions.create` a request costs several times the processor time (benchmarks/llm_throughput.py). We read the
raw reply ourselves in any case, so that one that is not what was asked for keeps its text and its usage.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx2
import openai
import orjson

from pipeline.llm.chat import API_ERROR, ChatReply, ChatRequest
from pipeline.llm.endpoint import JSON_OBJECT, JSON_SCHEMA, Endpoint, EndpointError, resolve_key
from pipeline.llm.replies import Failure, read_completion, read_refused

FIRST_WAIT_S: Final = 0.5  # before the second attempt; doubles with every further one
LONGEST_WAIT_S: Final = 60.0
LONGEST_RETRY_AFTER_S: Final = 900.0  # a server that asks for more will not answer this run
CONNECT_S: Final = 20.0


def completion_body(endpoint: Endpoint, request: ChatRequest) -> dict[str, Any]:
    """The body of a chat completion: JSON is asked for in the form that the endpoint honours, in words where it
    takes no schema."""
    system, form = request.system, endpoint.answer_form or JSON_SCHEMA
    body: dict[str, Any] = {"model": endpoint.model, endpoint.token_field: request.max_tokens}
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
    body["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": request.user}]
    return body


class ChatClient:
    """Sends chat completions. Open it on the event loop that will use it.   in_flight: size of its connection pool.

    openai: the package's client with the same key and address, for whatever is asked rarely.
    """

    def __init__(self, endpoint: Endpoint, in_flight: int):
        self.endpoint = endpoint
        limits = httpx2.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
        timeout = httpx2.Timeout(endpoint.timeout_s, connect=min(CONNECT_S, endpoint.timeout_s))
        self._http = openai.DefaultAioHttpClient(limits=limits, timeout=timeout, follow_redirects=False)
        self.openai = openai.AsyncOpenAI(
            base_url=endpoint.base_url, api_key=resolve_key(endpoint), max_retries=0, http_client=self._http
        )
        self._url = f"{str(self.openai.base_url).rstrip('/')}/chat/completions"
        headers = {**self.openai.default_headers, **self.openai.auth_headers}
        # Without the package's telemetry: nine headers that would be built, sent and parsed every time.
        self._headers = {
            name: value
            for name, value in headers.items()
            if isinstance(value, str) and not name.lower().startswith("x-stainless")
        }

    async def send(self, body: bytes) -> ChatReply | Failure:
        """Send a body once. Never raises for what the network or the server did."""
        try:
            async with asyncio.timeout(self.endpoint.timeout_s):
                response = await self._http.post(self._url, content=body, headers=self._headers)
        except (httpx2.HTTPError, OSError) as err:
            return self._no_reply(err)
        if response.status_code == 200:
            return read_completion(response.content)
        return read_refused(response.status_code, response.headers, response.content, time.time())

    def _no_reply(self, err: BaseException) -> Failure:
        """The innermost cause tells a slow server from one that is not there: the layers above call both a timeout."""
        while err.__cause__ is not None:
            err = err.__cause__
        if isinstance(err, TimeoutError | httpx2.TimeoutException | asyncio.CancelledError):
            return Failure(f"no reply within {self.endpoint.timeout_s:g} s", again=True)
        return Failure(f"the connection failed ({type(err).__name__})", again=True, code="connection")

    async def ask(
        self,
        request: ChatRequest,
        before: Callable[[bool], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> ChatReply:
        """Send until there is an answer or the attempts are used up (then the reply is an `api_error`).

        before: awaited before each sending, with whether it is a repetition; what it raises ends the asking.
        Raises EndpointError when no request of the run will be answered any more.
        """
        body = orjson.dumps(completion_body(self.endpoint, request))
        failure = Failure("", again=True)
        attempts = 0
        while failure.again and attempts < self.endpoint.max_attempts:
            if attempts:
                await sleep(self.wait_s(attempts, failure))
            await before(attempts > 0)
            attempts += 1
            result = await self.send(body)
            if isinstance(result, ChatReply):
                return result
            failure = result
            if failure.fatal:
                raise EndpointError(explain(self.endpoint, failure))
        return ChatReply(API_ERROR, reason=f"{failure.reason} (attempts: {attempts})")

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
        await self.openai.close()


def explain(endpoint: Endpoint, failure: Failure) -> str:
    """One line for a failure that ends the run: what, where, what to do."""
    what = failure.reason
    if what.startswith(("HTTP 401", "HTTP 403")):
        return f"{endpoint.base_url} refused the key in {endpoint.api_key} ({what}); set a valid one"
    if failure.code == "insufficient_quota" or what.startswith("HTTP 402"):
        return f"{endpoint.base_url}: the account's quota is spent ({what}); the same command resumes once it is raised"
    if what.startswith("HTTP 404"):
        return f"{endpoint.base_url}: no model {endpoint.model!r} there ({what}); see --model and --base-url"
    return f"{endpoint.base_url}: {what}"
