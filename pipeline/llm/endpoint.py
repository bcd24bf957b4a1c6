"""Which model is asked, where, and how the key is found: everything here may be pickled, printed and logged.

The key itself is none of it: `Endpoint.api_key` is a reference, resolved by `resolve_key` where the client is opened.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import os
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from schemas.errors import BaltoError, ConfigError

# Endpoint.answer_form: how JSON is asked for, from the strictest to what every server takes
JSON_SCHEMA: Final = "json_schema"
JSON_OBJECT: Final = "json_object"
TEXT: Final = "text"
ANSWER_FORMS: Final = (JSON_SCHEMA, JSON_OBJECT, TEXT)

DEFAULT_KEY: Final = "OPENAI_API_KEY"
NO_KEY: Final = "none"  # local servers ask for no key, the client for any
SECRET_PREFIX: Final = "gcp-secret:"  # noqa: S105  # where a secret lies, not one
_SECRET: Final = re.compile(r"projects/[^/]+/secrets/[^/]+/versions/[^/]+")
# Fields of a request that are ours to set; --request-options may add any other.
_OURS: Final = ("model", "messages", "response_format", "max_tokens", "max_completion_tokens", "n", "stream")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EndpointError(BaltoError):
    """The endpoint will not answer this run any more: wrong key, unknown model, spent quota, or it is gone."""


@dataclass(frozen=True)
class Endpoint:
    """A chat model behind an OpenAI-compatible endpoint.

    base_url: up to and with `/v1`.   api_key: the NAME of an environment variable, or `gcp-secret:…/versions/N`.
    answer_form: one of ANSWER_FORMS; empty until the probe has found what the server honours.   token_field: what the
    server calls the limit of the answer.   temperature: None where the model refuses it.   system_role: whether the
    model takes a system message.   thinking_tokens: room for what a model thinks before it answers, added to every
    limit; None until the probe has seen whether it does.   options: a JSON object of further fields for every request.
    timeout_s: from sending to the last byte of the reply.   max_attempts: per request, the first included.
    """

    base_url: str
    model: str
    api_key: str = DEFAULT_KEY
    answer_form: str = ""
    token_field: str = "max_tokens"  # noqa: S105  # tokens of text
    temperature: float | None = 0.0
    system_role: bool = True
    thinking_tokens: int | None = None
    options: str = ""
    timeout_s: float = 120.0
    max_attempts: int = 6

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"--base-url {self.base_url}: must be an http(s) address such as http://localhost:8000/v1"
            )
        if parts.username or parts.password:
            raise ConfigError("--base-url: put the key into an environment variable and name it with --api-key-env")
        if parts.query:  # not repeated: it may hold a key
            raise ConfigError(
                "--base-url: must end before the question mark (Azure needs no api-version at "
                "https://RESOURCE.openai.azure.com/openai/v1); a key is named with --api-key-env"
            )
        if not self.model:
            raise ConfigError("--model: name the model that the endpoint serves")
        if self.answer_form not in ("", *ANSWER_FORMS):
            raise ConfigError(f"--answer-form {self.answer_form}: must be one of {', '.join(ANSWER_FORMS)}")
        if self.timeout_s <= 0 or self.max_attempts < 1:
            raise ConfigError(f"--request-timeout-s {self.timeout_s:g}: must be more than 0")
        if (self.thinking_tokens or 0) < 0:
            raise ConfigError(f"--thinking-tokens {self.thinking_tokens}: must not be negative")
        request_options(self.options)
        check_reference(self.api_key)

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, where no key is needed."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def request_options(text: str) -> dict[str, Any]:
    """The object that --request-options spells. Raises ConfigError for anything else, and for fields that are ours."""
    if not text:
        return {}
    try:
        fields = json.loads(text)
    except ValueError as err:
        raise ConfigError(f"--request-options: no JSON ({err})") from err
    if not isinstance(fields, dict):
        raise ConfigError('--request-options: must be a JSON object such as {"reasoning_effort": "low"}')
    for name in _OURS:
        if name in fields:
            raise ConfigError(f"--request-options: {name} is set by balto; leave it out")
    return fields


def check_reference(reference: str, option: str = "--api-key-env") -> None:
    """Raises ConfigError when this is no reference to a secret; `option` is where it was given."""
    if reference.startswith(SECRET_PREFIX):
        if not _SECRET.fullmatch(reference.removeprefix(SECRET_PREFIX)):
            raise ConfigError(f"{option} {reference}: must be {SECRET_PREFIX}projects/P/secrets/S/versions/N")
    elif not _VARIABLE.fullmatch(reference):  # the value is not repeated: it may be the secret itself
        raise ConfigError(f"{option} takes the name of an environment variable that holds the key, not the key")


def resolve_key(endpoint: Endpoint) -> str:
    """The key that the reference stands for. Raises ConfigError, naming the reference, when there is none, or one that
    no request can carry."""
    key = read_secret(endpoint.api_key)
    if key and not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"the key in {endpoint.api_key} holds a line break or a character that no key has: copy it anew, alone"
        )
    if key:
        return key
    if endpoint.is_loopback:
        return NO_KEY
    raise ConfigError(
        f"no API key for {endpoint.base_url}: set the environment variable {endpoint.api_key}, "
        "or name another one with --api-key-env"
    )


def read_secret(reference: str) -> str:
    """What a reference stands for: the value of an environment variable ("" where it is not set), or a version in
    Secret Manager. Raises ConfigError, naming the reference, when that cannot be read."""
    if reference.startswith(SECRET_PREFIX):
        return _secret(reference.removeprefix(SECRET_PREFIX))
    return os.environ.get(reference, "").strip()


def _secret(version: str) -> str:
    try:
        client = importlib.import_module("google.cloud.secretmanager").SecretManagerServiceClient()
    except ImportError as err:
        raise ConfigError(f"{SECRET_PREFIX}{version}: needs `pip install '.[gcp]'` in the checkout of balto") from err
    try:
        data = client.access_secret_version(name=version).payload.data
    except Exception as err:  # google-api-core and google-auth raise families of their own
        raise ConfigError(f"{SECRET_PREFIX}{version}: cannot be read ({type(err).__name__})") from err
    return data.decode().strip()
