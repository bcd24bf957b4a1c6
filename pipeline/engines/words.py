"""Words of a text for weighing a claim against a context: one regex pass, each word looked up once in a bounded memo
of stems and kinds.

`tokenize` returns parallel lists, not objects per word: the embedded engine reads a few hundred words per record.
The stem is a light suffix stripper (after Porter 1980, steps 1 and a few common endings of steps 2-4): it only has to
send the inflections of a word to one key, in the response and in the context alike. The weights of the verifier
`lexical` were fitted on these words. Quotes are found by those of pipeline/location/split_words.py, which is stricter
about what must be equal (signs such as % are words, all negations are one) and strips less.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final

# Kinds of words. From CONTENT on they are what a context can bear or lack, so `kind >= CONTENT` asks for both.
STOP: Final = 0  # function words, discourse markers, words about the passages themselves
NEGATION: Final = 1
CONTENT: Final = 2
NUMBER: Final = 3  # digits or a number word

# Letters of scripts that set no space between a number and what follows, as a character class.
UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_UPPER, _LOWER = "A-Z\u00c0-\u00d6\u00d8-\u00de", "a-z\u00df-\u00f6\u00f8-\u024f"
# Latin words first: the common case, and cheaper than \w. A word ends before a capital inside it ("OutdoorSeating" of a
# JSON key is two words, "WiFi" the same two as "Wi-Fi", "PhD" as "Ph.D."), but capitals in a row stay together.
_TOKEN = re.compile(
    rf"((?:[{_UPPER}]+[{_LOWER}]*|[{_LOWER}]+)(?:['\u2019][A-Za-z]+)?"
    rf"|\d+(?:[.,]\d+)*|[{_IDEOGRAPH}]|[^\W\d_{_UPPER}{_LOWER}{_IDEOGRAPH}]+)"
)
# The same for text without other letters. It begins with one character class and never goes back, so that the regex
# engine skips to the next word at full speed: half the time of the plain `word|number`.
_ASCII_TOKEN = re.compile(
    r"([A-Za-z0-9](?:(?<=[a-z])[a-z]*+(?:'[A-Za-z]++)?+|(?<=[A-Z])[A-Z]*+[a-z]*+(?:'[A-Za-z]++)?+"
    r"|(?<=[0-9])[0-9]*+(?:[.,][0-9]++)*+))"
)

_FUNCTION_WORDS = """
a an the this that these those it its it's he she they them their theirs his her hers him i you your yours we our us me
my mine who whom whose which what when where why how there here than then thus hence so as at by for from in into of off
on onto out over to toward towards under up upon with within without about above across after against along among around
before behind below beneath beside besides between beyond down during except inside near outside per since through
throughout till until via and or but nor yet if because while although though whereas unless whether either both each
every any some all most more much many such same other others another own only just also too very quite rather even
still ever is are was were be been being am do does did doing done has have had having will would shall should can could
may might must ought i'm you're they're that's there's here's one ones s t d ll m re ve
"""
_DISCOURSE_WORDS = """
however additionally furthermore moreover therefore overall finally lastly firstly secondly instead otherwise meanwhile
nevertheless nonetheless conclusion summary summarize addition example instance important importantly note noted noting
worth according based given provided provide provides mention mentioned mentions state stated states passage passages
text context information following follow follows include includes included including etc e.g i.e answer question asked
describe described
"""
_NEGATIONS = """
not no never none neither cannot can't don't doesn't didn't isn't aren't wasn't weren't won't wouldn't shouldn't
couldn't hasn't haven't hadn't nothing nobody nowhere
nicht kein keine keinen keinem keiner niemals nie ne pas jamais aucun aucune nunca ningún ninguna jamás
"""
_UP_TO_NINETEEN = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBER_WORDS: Final[dict[str, int]] = {
    **{word: value for value, word in enumerate(_UP_TO_NINETEEN.split()) if word != "one"},  # "one" is mostly a pronoun
    **{word: 20 + 10 * step for step, word in enumerate(_TENS.split())},
}
SCALE_WORDS: Final = {"dozen": 12.0, "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_KINDS: dict[str, int] = {
    **dict.fromkeys(_FUNCTION_WORDS.split() + _DISCOURSE_WORDS.split(), STOP),
    **dict.fromkeys(_NEGATIONS.split(), NEGATION),
    **dict.fromkeys([*NUMBER_WORDS, *SCALE_WORDS], NUMBER),
}


def word_set(words: str) -> frozenset[str]:
    """A set of words from one string, as they read best in code."""
    return frozenset(words.split())


# Inflections that no suffix rule reaches, as "form form > base".
_IRREGULAR_FORMS = """
men > man; women > woman; children > child; feet > foot; teeth > tooth; people > person; mice > mouse; wives > wife;
knives > knife; halves > half; criteria > criterion; took taken > take; made > make; went gone > go; born > birth;
wrote written > write; began begun > begin; grew grown > grow; gave given > give; won > win; held > hold; became >
become; left > leave; led > lead; met > meet; said > say; died dies die dying > death; found > find; got > get; kept >
keep; sold > sell; taught > teach; thought > think; knew known > know; ran > run; saw seen > see; sang sung > sing; drew
drawn > draw; fell fallen > fall; chose chosen > choose; brought > bring; built > build; bought > buy; lives lived life
> live; better best > good; worse worst > bad; rose risen > rise; paid > pay; sent > send; spent > spend; told > tell;
felt > feel; broke broken > break; spoke spoken > speak; wore worn > wear; drove driven > drive; flew flown > fly; threw
thrown > throw; froze frozen > freeze; hid hidden > hide; swam swum > swim; sank sunk > sink; shrank shrunk > shrink;
sat > sit; stood > stand; understood > understand; caught > catch; fought > fight; sought > seek; lent > lend; dealt >
deal; meant > mean; slept > sleep; shot > shoot; fed > feed; fled > flee; struck > strike; shown > show; lost > lose;
ate eaten > eat; drank drunk > drink; rode ridden > ride; forgot forgotten > forget; heard > hear; tore torn > tear;
bore borne > bear; stole stolen > steal; swore sworn > swear; blew blown > blow; hung > hang; laid > lay; beaten > beat
"""
_IRREGULAR = {
    form: base.strip()
    for forms, _, base in (entry.partition(">") for entry in _IRREGULAR_FORMS.split(";"))
    for form in forms.split()
}
_ELISIONS = word_set("l d n s j c m t qu jusqu lorsqu puisqu dell nell all dall sull un quest")  # "l'eau", "dell'arte"
_SUFFIX_LIST = """
fulness ousness iveness ization ational ations ation ements ement ments ment ities ity ness ances ance ences ence ically
ical ingly edly ings ing ions ion ies ied ily ers er est ors or ive ous ful al ic ly es ed s e y
"""
# By last letter, longest first as listed: a word is compared with the few suffixes that it can have.
_SUFFIXES = {
    letter: tuple(suffix for suffix in _SUFFIX_LIST.split() if suffix[-1] == letter)
    for letter in "abcdefghijklmnopqrstuvwxyz"
}
_GROUPING = re.compile(r",(?=\d{3}(?!\d))")
_MEMO_SIZE = 1 << 16


@lru_cache(maxsize=_MEMO_SIZE)
def stem(word: str) -> str:
    """The key that inflections of a lower-case word share. Keeps at least three letters."""
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)) or word
    if "'" in word:
        head, _, tail = word.partition("'")
        word = (tail if head in _ELISIONS else head) or word
    word = _IRREGULAR.get(word, word)
    for _ in range(2):
        for suffix in _SUFFIXES.get(word[-1], ()):
            if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not (suffix == "s" and word.endswith("ss")):
                word = word[: -len(suffix)]
                break
        else:
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word


class _Memo(dict[str, tuple[str, int]]):
    """Raw word -> (stem, kind). A dict with `__missing__` answers a known word without a Python call; bounded."""

    def __missing__(self, raw: str) -> tuple[str, int]:
        if len(self) >= _MEMO_SIZE:
            self.clear()
        entry = self[raw] = _classify(raw)
        return entry


def _classify(raw: str) -> tuple[str, int]:
    lower = raw.lower().replace("\u2019", "'")
    if raw[0].isdigit():
        return _GROUPING.sub("", lower).replace(",", "."), NUMBER
    kind = _KINDS.get(lower)
    if kind is None and lower.endswith("'s"):
        kind = _KINDS.get(lower[:-2])
    if kind is None:
        kind = CONTENT
    return (stem(lower) if kind == CONTENT else lower), kind


_MEMO = _Memo()


@dataclass(slots=True, eq=False)
class Tokens:
    """Parallel lists, one entry per word: character start and end, the word as written, its stem, its kind."""

    starts: list[int]
    ends: list[int]
    words: list[str]
    stems: list[str]
    kinds: list[int]

    def __len__(self) -> int:
        return len(self.starts)

    def content_stems(self, first: int = 0, last: int | None = None) -> list[str]:
        """The stems of the content words among words [first, last), in order."""
        pairs = zip(self.stems[first:last], self.kinds[first:last], strict=True)
        return [stem for stem, kind in pairs if kind == CONTENT]

    def content_and_number_stems(self, first: int = 0, last: int | None = None) -> list[str]:
        """Those of its content words and numbers: of all that a context can bear or lack."""
        pairs = zip(self.stems[first:last], self.kinds[first:last], strict=True)
        return [stem for stem, kind in pairs if kind >= CONTENT]


def tokenize(text: str) -> Tokens:
    """The words, numbers and single ideographs of a text, in order."""
    parts = (_ASCII_TOKEN if text.isascii() else _TOKEN).split(text)  # gap, word, gap, word, ..., gap
    words = parts[1::2]
    bounds = list(accumulate(map(len, parts)))
    entries = list(map(_MEMO.__getitem__, words))
    stems = [entry[0] for entry in entries]
    return Tokens(bounds[0:-1:2], bounds[1::2], words, stems, [entry[1] for entry in entries])
