"""How the text of strangers travels inside a prompt: as JSON lines between tags that nobody can guess.

Context, prompt, response and claims were written by others, and some of it wants to be obeyed. Three independent walls:

  1. Every piece of data is one JSON object on one line. A string cannot leave its quotes or its line, so no data can
     open or close a block, whatever tag it contains.
  2. A block begins and ends with a tag that is a keyed hash of the block. Whoever wrote the data does not have the key.
  3. Inside strings, `<` and the bracketed words of chat templates are escaped, because servers turn a literal
     "<|im_start|>" or "[INST]" into the control token of that name; so are invisible and direction-changing
     characters, which show a person something else than they tell a model.

The tag is derived, not drawn, so that the same question is the same request: it hits the cache, and calls about one
context share their first tokens with each other, which servers cache. The ids that claims travel under are made alike.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

MIN_KEY_BYTES: Final = 16
_TAG_CHARS: Final = 16  # 64 bits: nobody gets to try
_ID_CHARS: Final = 6  # 30 bits, unique within one call
_ID_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz234567890"  # without i, l, o and 1, which are misread
# C1 controls, soft hyphen, Arabic letter mark, zero width and direction marks, line and paragraph separators, invisible
# operators, byte order mark, interlinear marks, surrogates, tags. JSON escapes the ASCII controls itself.
_ESCAPED: Final = re.compile(
    r"[<\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]|\[(?=/?[A-Z_]{3,24}\])"
)


class Seal:
    """Makes the tags and ids of one installation. key: at least MIN_KEY_BYTES random bytes, kept from all data."""

    def __init__(self, key: bytes):
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"the delimiter key has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed")
        self._key = key

    def __repr__(self) -> str:
        return "Seal(...)"

    def digest(self, purpose: str, *parts: str) -> bytes:
        """32 bytes that only the holder of the key can foretell. Different parts never run into each other."""
        message = "".join(f"{len(part)}:{part}" for part in (purpose, *parts))
        return hmac.digest(self._key, message.encode("utf-8", "surrogatepass"), hashlib.sha256)

    def block(self, name: str, items: Iterable[Mapping[str, Any]], *beside: str) -> str:
        """One block of data, a JSON object per item.   beside: other data of the call that the tag shall depend on."""
        body = "\n".join(json_line(item) for item in items)
        tag = self.digest(f"tag {name}", body, *beside).hex()[:_TAG_CHARS]
        return f"BEGIN {name} {tag}\n{body}\nEND {name} {tag}"

    def ids(self, count: int, *parts: str) -> list[str]:
        """`count` different ids for the claims of one call, such as `q7c3xn`; `parts` is what the call is about."""
        ids: dict[str, None] = {}
        step = 0
        while len(ids) < count:
            digest = self.digest("claim id", str(step), *parts)
            ids["".join(_ID_ALPHABET[byte % 32] for byte in digest[:_ID_CHARS])] = None
            step += 1
        return list(ids)


def json_line(value: Mapping[str, Any]) -> str:
    """A JSON object on one line, as data between tags."""
    return _ESCAPED.sub(_escape, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _escape(match: re.Match[str]) -> str:
    """The JSON escape of one character; two of them beyond the basic plane."""
    units = match.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
