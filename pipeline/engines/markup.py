"""HTML in a context, blanked out so that every character stays where it is: words of tags are nobody's evidence.

"<td>" and its like become the signs of a table in plain text, entities the character that they stand for.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final

_INLINE: Final = (
    "a|abbr|b|big|cite|code|del|em|font|i|img|ins|kbd|label|mark|q|s|small|span|strong|sub|sup|tbody|tfoot|thead|time|tt"
    "|u|var"
)
_BLOCKS: Final = (
    "address|article|aside|blockquote|body|br|caption|center|col|colgroup|dd|details|div|dl|dt|figcaption|figure|footer"
    "|form|h[1-6]|head|header|hr|html|li|link|main|meta|nav|ol|option|p|pre|section|select|summary|table|title|ul"
)
_TAG: Final = re.compile(
    rf"<(?P<end>/?)(?:(?P<cell>t[dh])|(?P<row>tr)|(?P<block>{_BLOCKS})|(?:{_INLINE}))(?:\s[^<>]{{0,500}})?/?>",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(r"&(?:[A-Za-z]{2,8}\d{0,2}|#\d{1,6}|#x[0-9A-Fa-f]{1,5});")
_HIDDEN: Final = re.compile(r"<(?:(script|style)\b|!--)", re.IGNORECASE)
_ROW: Final = re.compile(r"<tr\b", re.IGNORECASE)
_BREAK_BEHIND: Final = re.compile(r"\s{0,40}")


def without_markup(text: str) -> str:
    """The text, as long as it was, without tags, comments, scripts and entities; itself when it has none."""
    if "<" in text and ">" in text and _TAG.search(text):
        text = _each(text, _HIDDEN, lambda part: " " * len(part))
        text = _each(text, _ROW, lambda part: part.replace("\n", " "))
        text = _TAG.sub(_sign, text)
    return _ENTITY.sub(_character, text) if "&" in text else text


def _each(text: str, begin: re.Pattern[str], change: Callable[[str], str]) -> str:
    """The text with each element that a tag begins changed, with the white space behind it; not one without an end."""
    lowered = text.lower()
    if len(lowered) != len(text):
        return text  # "\u0130" has two characters in lower case
    parts: list[str] = []
    behind = 0
    unclosed: set[str] = set()
    for match in begin.finditer(text):
        name = match[0].lower().lstrip("<")
        end = "-->" if name == "!--" else f"</{name}>"
        if match.start() < behind or end in unclosed:
            continue
        at = lowered.find(end, match.end())
        if at < 0:
            unclosed.add(end)
            continue
        stop = at + len(end)
        space = _BREAK_BEHIND.match(text, stop)
        stop = space.end() if space else stop
        parts += [text[behind : match.start()], change(text[match.start() : stop])]
        behind = stop
    return "".join([*parts, text[behind:]])


def _sign(tag: re.Match[str]) -> str:
    """What stands for a tag: the end of a cell, of a line, or nothing."""
    sign = " "
    if tag["cell"]:
        sign = "|" if tag["end"] else " "
    elif tag["block"] or (tag["row"] and not tag["end"]):
        sign = "\n"
    return " " * (len(tag[0]) - 1) + sign


def _character(entity: re.Match[str]) -> str:
    character = html.unescape(entity[0])
    if len(character) != 1:
        return entity[0]
    return (" " if character == "\xa0" else character) + " " * (len(entity[0]) - 1)
