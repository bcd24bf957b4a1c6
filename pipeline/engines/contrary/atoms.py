"""Names for machines that stand or fall as a whole: addresses, hosts, options, identifiers.

"db2.internal" is made of the same words as "db1.internal" and is something else.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import Final

from pipeline.engines.context_index import ContextIndex
from schemas.records import Passage

# Every repetition is bounded, or can begin in one place only: a response may be one long run of any characters.
_ATOM: Final = re.compile(
    r"https?://[^\s<>()\"'`]+"
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
    r"|(?<![\w.@/-])[A-Za-z][\w-]{1,62}(?:\.[\w-]{2,63}){0,8}\.[a-z][a-z0-9]{1,14}(?![\w-])"  # a host, not "end.Next"
    r"|(?<![\w-])(?:--[A-Za-z][\w-]*|-[A-Za-z]{1,2}(?!\w))"  # an option
    r"|(?<!\w)(?=[A-Za-z0-9]{1,80}_)[A-Za-z]\w{1,80}[A-Za-z0-9]"
)
_MOST: Final = 16  # looked up per claim
_MARKS: Final = re.compile(r"[@_]|\.[a-z]|[^\w-]-+[A-Za-z]|^-|:/")  # no atom without one; found at full speed


def strange_atom(text: str, index: ContextIndex) -> str:
    """That the context lacks an address, an option or an identifier of a claim, in words for people; "" for none."""
    if _MARKS.search(text) is None:
        return ""  # as nearly always
    atoms = dict.fromkeys(match[0].rstrip(".,;:!?") for match in islice(_ATOM.finditer(text), _MOST))
    if not atoms:
        return ""
    passages = _lowered(index.passages)
    strange = next((atom for atom in atoms if not any(atom.lower() in passage for passage in passages)), "")
    return f"“{strange}” is not in the context" if strange else ""


@lru_cache(maxsize=4)
def _lowered(passages: tuple[Passage, ...]) -> list[str]:
    return [passage.text.lower() for passage in passages]
