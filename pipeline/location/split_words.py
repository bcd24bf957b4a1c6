"""Words of a text for finding quotes: comparison keys with offsets, what must match, and what may differ.

Content words are compared by a light stem ("wins" = "winning" = "won"), numbers and negations only by themselves:
"6%" and "5%" share all but one character and nothing of their meaning. Light words (articles, pronouns, auxiliaries,
prepositions) carry no claim and never decide. Scripts without spaces between words are split into characters.
The light words, irregular forms and suffixes are English; in other languages whole words must be equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import regex

from pipeline.location.fold_text import fold_text

LIGHT: Final = 0  # may be missing, added or changed
CONTENT: Final = 1  # must match by stem
NUMBER: Final = 2  # must match as written, thousands separators aside
NEGATION: Final = 3  # must match; all forms are one key

_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_JOINERS: Final = r"\u00ad\u200b-\u200d\u2060"
# A minus sign belongs to the number after it, unless it joins two: 1990-1995, 1990 -1995, pre-1990.
_MINUS: Final = r"(?<![\p{L}\p{M}\p{N}\p{Pe}\p{Pf}]|\p{N}\s)[-\u2212]"
_WORD: Final = regex.compile(
    r"(?:\p{Lu}\.){2,}"  # U.S.
    r"|[A-Za-z]++(?![0-9'\x80-\U0010ffff])"  # most words, found fast
    rf"|[{_UNSPACED}]\p{{M}}*+"
    rf"|\p{{L}}[\p{{L}}\p{{M}}{_JOINERS}]*?(?=n['\u2019]t\b)"  # did|n't
    r"|n['\u2019]t\b"
    rf"|\p{{L}}[\p{{L}}\p{{M}}\p{{N}}{_JOINERS}]*+"
    rf"|(?:{_MINUS})?+\p{{Nd}}+(?:[.,:/]\p{{Nd}}+)*+[\p{{L}}\p{{M}}\p{{N}}]*+"
    r"|[%$\u20ac\u00a3\u00a5\u2030]|\p{No}|\p{So}"
)
_INSIDE: Final = regex.compile(
    rf"(?<=[\p{{L}}\p{{M}}\p{{N}}--[{_UNSPACED}]])"
    rf"[\p{{L}}\p{{M}}\p{{N}}--[{_UNSPACED}]]"
    rf"|(?<=\p{{Nd}})[.,]\p{{Nd}}|(?<=\p{{Nd}}[.,])\p{{Nd}}|\p{{M}}|(?<={_MINUS})\p{{Nd}}",
    regex.V1,
)
_THOUSANDS: Final = regex.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LIGHT_WORD_LIST: Final = """
    a an the this that these those there here it its itself he him his himself she her hers herself they them their
    theirs themselves we us our ours i me my mine you your yours who whom whose which what where when while how
    is are was were be been being am has have had having do does did done will would shall should can could may might
    must ca wo sha s t d ll re ve m
    of in on at to for from by with about into onto over under after before between among through during against
    within along across upon per via as than like
    and or but so if then also too both either each such et al well yet though although because since until
    any some other another more most very just only even still again
    bin ibn de del della di da dos du van von der den la le los el
"""
_NEGATION_LIST: Final = "no not never none neither nor nothing nobody nowhere without cannot nt n't"
_NUMBER_LIST: Final = "zero one two three four five six seven eight nine ten eleven twelve"
# Forms of one word, between slashes; the first is the key.
_IRREGULAR_LIST: Final = """
become became/begin began begun/break broke broken/bring brought/build built/buy bought/choose chose chosen/come came
/draw drew drawn/fall fell fallen/fight fought/find found/fly flew flown/get got gotten/give gave given
/go went gone goes/grow grew grown/hold held/keep kept/know knew known/lead led/leave left/lose lost/make made
/meet met/pay paid/rise rose risen/run ran/say said/see saw seen/sell sold/send sent/sing sang sung
/speak spoke spoken/spend spent/stand stood/swim swam swum/take took taken/teach taught/tell told/think thought
/win won/write wrote written/die died dying dies/child children/man men/woman women/person people/life lives
/wife wives"""
_LIGHT_WORDS: Final = frozenset(_LIGHT_WORD_LIST.split())
_NEGATIONS: Final = frozenset(_NEGATION_LIST.split())
_SIGNS: Final = {"%": "percent", "$": "dollar", "\u20ac": "euro", "\u00a3": "pound", "\u00a5": "yen"}
_NUMBER_WORDS: Final = {word: str(value) for value, word in enumerate(_NUMBER_LIST.split())} | {
    "first": "1st",
    "second": "2nd",
    "third": "3rd",
}
_IRREGULAR: Final = {form: forms[0] for forms in map(str.split, _IRREGULAR_LIST.split("/")) for form in forms[1:]}


@dataclass(frozen=True, slots=True)
class Words:
    """Parallel lists: word i is `text[starts[i]:ends[i]]`, compared by `keys[i]`, of kind `kinds[i]`."""

    keys: list[str]
    kinds: list[int]
    starts: list[int]
    ends: list[int]

    def __len__(self) -> int:
        return len(self.keys)


def split_words(text: str) -> Words:
    """All words of `text` in order; punctuation is no word."""
    matches = list(_WORD.finditer(text))
    known = [word_key(match[0]) for match in matches]
    return Words(
        keys=[key for key, _ in known],
        kinds=[kind for _, kind in known],
        starts=[match.start() for match in matches],
        ends=[match.end() for match in matches],
    )


@lru_cache(maxsize=1 << 16)
def word_key(word: str) -> tuple[str, int]:
    """The key a word is compared by, and its kind."""
    folded = fold_text(word).text
    if folded in _NEGATIONS:
        return "not", NEGATION
    if folded in _NUMBER_WORDS:
        return _NUMBER_WORDS[folded], NUMBER
    if any(letter.isdigit() for letter in folded):
        return _THOUSANDS.sub("", folded), NUMBER
    folded = folded.replace(".", "")
    is_acronym = len(folded) > 1 and word.isupper()
    if folded in _LIGHT_WORDS and not is_acronym:
        return folded, LIGHT
    return _SIGNS.get(folded) or stem(folded), CONTENT


def cuts_word(text: str, at: int) -> bool:
    """Whether position `at` lies inside a word or a number ("3" in "3.5"); never between unspaced characters."""
    if not 0 < at < len(text) or text[at].isspace() or text[at - 1].isspace():
        return False
    return bool(_INSIDE.match(text, at))


def stem(word: str) -> str:
    """Fold inflections of one word together; unknown shapes stay as they are."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or not word.isascii():
        return word
    for suffix, replacement in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", "")):
        if word.endswith(suffix):
            word = _strip_suffix(word, suffix, replacement)
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _strip_suffix(word: str, suffix: str, replacement: str) -> str:
    base = word[: -len(suffix)] + replacement
    if suffix == "s":
        if word.endswith(("ss", "us", "is")):
            return word
        return base[:-1] if base.endswith(("xe", "che", "she", "sse", "ze")) and len(base) > 4 else base
    if suffix in ("ing", "ed"):
        if len(base) < 3 or not any(vowel in base for vowel in "aeiouy"):
            return word
        if base[-1] == base[-2] and base[-1] not in "lsz":
            return base[:-1]
    return base
