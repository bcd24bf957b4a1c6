"""Names for machines that stand or fall as a whole: addresses, hosts, options, identifiers.

"db2.internal" is made of the same words as "db1.internal" and is something else.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.gather_evidence import ContextIndex

_ATOM: Final = re.compile(
    r"https?://[^\s<>()\"'`]+"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w.@/-])[A-Za-z][\w-]+(?:\.[\w-]{2,})*\.[a-z][a-z0-9]{1,14}(?![\w-])"  # a host or a file, not "end.Next"
    r"|(?<![\w-])(?:--[A-Za-z][\w-]*|-[A-Za-z]{1,2}(?!\w))"  # an option
    r"|(?<![\w])[A-Za-z]\w*_\w*[A-Za-z0-9]"
)
_MARKS: Final = re.compile(r"[@_]|\.[a-z]|[^\w-]-+[A-Za-z]|^-|:/")  # no atom without one; found at full speed


def strange_atom(text: str, index: ContextIndex) -> str:
    """That the context lacks an address, an option or an identifier of a claim, in words for people; "" for none."""
    if _MARKS.search(text) is None:
        return ""  # as nearly always
    atoms = [match[0].rstrip(".,;:!?") for match in _ATOM.finditer(text)]
    if not atoms:
        return ""
    passages = [passage.text.lower() for passage in index.passages]
    strange = next((atom for atom in atoms if not any(atom.lower() in passage for passage in passages)), "")
    return f"“{strange}” is not in the context" if strange else ""
