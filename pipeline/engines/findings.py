"""What is found about one claim before the rules of the lexical verifier speak: its model's logit, and what numbers,
negations, fields and tables have to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.engines.claim_features import MOST_WORDS, read_claim
from pipeline.engines.context_index import ContextIndex, rank_sentences
from pipeline.engines.contrary import find_contrary
from pipeline.engines.contrary.atoms import strange_atom
from pipeline.engines.contrary.costs import free_unsaid
from pipeline.engines.contrary.dates_told import strange_date
from pipeline.engines.contrary.names import strange_name
from pipeline.engines.features import Reading, clause_features
from pipeline.engines.group_words import GroupWords
from pipeline.engines.lexical_model import CLAUSE_MODEL, TEXT_MODEL
from pipeline.engines.likeness import Likeness
from pipeline.engines.linear import ClaimModel
from pipeline.engines.negation import says_opposite
from pipeline.engines.numerals.changes import CHANGES, impossible_change
from pipeline.engines.numerals.derived_numbers import sort_missing
from pipeline.engines.numerals.numbers import Number
from pipeline.engines.records.denial import Denial
from pipeline.engines.records.field_mentions import FieldMention, mentioned_fields
from pipeline.engines.records.hours_claims import compare_hours, is_of_hours
from pipeline.engines.records.number_fields import NumberFields, wrong_number
from pipeline.engines.records.opening_hours import OpeningHours
from pipeline.engines.records.row_claims import compare_rows
from pipeline.engines.records.tables import Row, Tables
from pipeline.engines.words import CONTENT, NUMBER, Tokens, tokenize, word_set
from schemas.records import Span

_WORD_FOR_WORD = 0.9  # share from which an opposite negation alone is a contradiction
_OTHER_NEW_WORDS = 1  # besides the fields' names: "accept" in "does not accept reservations"
# What reviewers say is not what the fields say: "a reviewer mentioned a dog".
_REPORTERS = word_set("reviewer reviewers customer customers guest guests visitor visitors diner diners patron patrons")
_REPORTING = word_set(
    "mentioned mentions said says noted notes complained praised described reported warned wrote found"
)
_OF_CELLS = word_set("number amount value total euro euros dollar dollars pounds francs about roughly")
_MIN_UNKNOWN = 3  # content words of a claim of which the context has none
_ENOUGH_COVERED = 0.5  # share of a claim's words in one sentence: then enough of them are known
_FEW_KNOWN = 0.4  # share of a claim's content words in the context below which +1 is a guess: people mark 14 to 52 %


@dataclass(slots=True)
class Finding:
    """What was found about a claim before the rules speak.

    logit: of the model, before the claims beside it are looked at.   best: the context sentence that has most of the
    claim's words; covered: the share it has; negates: it says the opposite.   missing: numbers the context lacks;
    doubtful: those that may be worked out from its numbers; swapped: that stand in another row of a table than the one
    that the claim names; denial: what it says against a table; contrary: a sign that it turns its sentence round.
    against: fields of a data record that the claim gets wrong; agrees: it names some, or rows of a table, all rightly,
    and next to nothing new.
    text, tokens: of the claim, or of the response; the claim is words [first, last) of them, as far as it is looked at.
    placed: whether the words' places are places in the response.   group: the words of the responses to the prompt,
    where they are known.
    """

    model: ClaimModel
    logit: float
    best: int | None
    covered: float
    negates: bool
    text: str
    tokens: Tokens
    first: int
    last: int
    placed: bool
    missing: list[Span] = field(default_factory=list)
    doubtful: list[Span] = field(default_factory=list)
    swapped: list[tuple[Span, Row]] = field(default_factory=list)
    denial: Denial | None = None
    contrary: str = ""
    against: list[FieldMention] = field(default_factory=list)
    agrees: bool = False
    group: GroupWords | None = None

    def compare_records(self, index: ContextIndex, numbers: list[Number]) -> None:
        """Hold the claim, whose numbers are given, against the tables and data records of the context."""
        verb = impossible_change(self.tokens, self.first, self.last, numbers) if len(numbers) > 1 else None
        if verb is not None:
            self.denial = Denial(verb, verb + 1, f"its own numbers say otherwise than “{self.tokens.words[verb]}”")
        if index.tables:
            self._compare_rows(index, index.tables, numbers)
        if index.fields:
            self._compare_fields(index)
        if index.hours:
            self._compare_hours(index, index.hours, numbers)
        if index.number_fields:
            self._compare_number_fields(index, index.number_fields, numbers)
        if self.agrees:
            self.contrary = ""  # what records say outweighs a sign

    def _compare_fields(self, index: ContextIndex) -> None:
        """Hold the claim against the yes/no fields of the context."""
        mentions = list(mentioned_fields(self.tokens, self.first, self.last, index.fields))
        self.against = [
            mention for mention in mentions if mention.is_wrong and not (mention.loosely and _is_said(index, mention))
        ]
        named = {at for mention in mentions for at in range(mention.first, mention.last)}
        others = [at for at in self.new_words(index) if at not in named]
        words = {word.lower() for word in self.tokens.words[self.first : self.last]}
        reports = not (_REPORTERS.isdisjoint(words) or _REPORTING.isdisjoint(words))
        says_more = NUMBER in self.tokens.kinds[self.first : self.last] or any(one.says_more for one in mentions)
        self.agrees = bool(mentions) and not (self.against or says_more or reports) and len(others) <= _OTHER_NEW_WORDS

    def _compare_rows(self, index: ContextIndex, tables: Tables, numbers: list[Number]) -> None:
        """Hold the claim against the rows of tables that it names."""
        said = compare_rows(tables, self.tokens, self.first, self.last, numbers)
        self.swapped = [(number_span(self.tokens, number), row) for number, row in said.wrong]
        self.denial = self.denial or said.denial
        if said.wrong or said.denial or said.agrees:
            (row, *_) = tables.named(self.tokens.stems[self.first : self.last])
            found = sentence_of_row(index, row)
            self.best = self.best if found is None else found
        if said.agrees and not self.against:
            counted = {at for number in numbers for at in range(number.first, number.last + 1)}
            others = [
                at for at in self.new_words(index) if at not in counted and not _is_of_changes(self.tokens.words[at])
            ]
            self.agrees = self.agrees or len(others) <= _OTHER_NEW_WORDS

    def _compare_hours(self, index: ContextIndex, hours: OpeningHours, numbers: list[Number]) -> None:
        """Hold the claim against the opening hours of the context."""
        said = compare_hours(hours, self.text, self.tokens, self.first, self.last, numbers)
        self.denial = self.denial or said.denial
        others = [at for at in self.new_words(index) if not is_of_hours(self.tokens.words[at])]
        self.agrees = self.agrees or (said.agrees and not self.against and len(others) <= _OTHER_NEW_WORDS)
        if said.day and (said.denial or said.agrees):
            self.best = index.sentence_at(said.day.passage, said.day.start)

    def _compare_number_fields(self, index: ContextIndex, fields: NumberFields, numbers: list[Number]) -> None:
        """Hold the claim against the fields of a data record that hold numbers."""
        wrong = wrong_number(fields, self.tokens, self.first, self.last, numbers)
        if wrong and not self.denial:
            self.denial = wrong.denial
            self.agrees = False
            self.best = index.sentence_at(wrong.field.passage, wrong.field.start)

    def words_at(self, spans: list[Span]) -> list[str]:
        """What stands at these places, one string for each."""
        return [" ".join(self.text[span.start : span.end].split()) for span in spans]

    def knows_nothing(self) -> bool:
        """Whether no sentence of the context has a word of the claim, although it has some content words."""
        return not self.covered and self.tokens.kinds[self.first : self.last].count(CONTENT) >= _MIN_UNKNOWN

    def new_words(self, index: ContextIndex) -> list[int]:
        """Content words of the claim that the context lacks."""
        kinds, stems, known, told = self.tokens.kinds, self.tokens.stems, index.idf, index.told
        places = range(self.first, self.last)
        return [at for at in places if kinds[at] == CONTENT and stems[at] not in known and stems[at] not in told]

    def strangeness(self, index: ContextIndex) -> str:
        """That the context lacks most words of the claim, in words for people; "" when it does not."""
        words = self.tokens.kinds[self.first : self.last].count(CONTENT)
        if words < _MIN_UNKNOWN or self.covered >= _ENOUGH_COVERED:
            return ""
        known = words - len(self.new_words(index))
        return f"the context has {known} of its {words} content words" if known < _FEW_KNOWN * words else ""

    def lonely_words(self, index: ContextIndex) -> list[int]:
        """Content words that neither the context nor another response has, without the first of the claim."""
        return [at for at in self.new_words(index) if at > self.first and not self.is_echoed(at)]

    def is_echoed(self, word: int) -> bool:
        """Whether another response is known to have a word of the claim."""
        return self.group is not None and self.group.unechoed(self.tokens.stems[word]) < 1.0


def find_in_response(reading: Reading, span: Span, model: ClaimModel = CLAUSE_MODEL, question: str = "") -> Finding:
    """The finding about a piece of the response, judged in its place.   question: see `question_of`."""
    first, end = reading.words_between(span.start, span.end)
    last = min(end, first + MOST_WORDS)
    tokens, index = reading.analysis.tokens, reading.index
    asked = dict.fromkeys(tokens.content_and_number_stems(first, end))
    like = Likeness.of(index, asked)
    best = like.best if like else None
    covered = covered_share(index, best, asked)
    finding = Finding(
        model=model,
        logit=model.linear.logit(clause_features(reading, span.start, first, end)),
        best=best,
        covered=covered,
        negates=covered >= _WORD_FOR_WORD and says_opposite(index, best, tokens, first, last),
        text=reading.analysis.text,
        tokens=tokens,
        first=first,
        last=last,
        placed=True,
        group=reading.group,
    )
    numbers = reading.numbers_between(first, last)
    missing, doubtful = sort_missing(reading.missing_between(first, end), numbers, tokens, first, last, index, question)
    finding.missing = [number_span(tokens, number) for number in missing]
    finding.doubtful = [number_span(tokens, number) for number in doubtful]
    finding.contrary = (
        find_contrary(like, tokens, first, last, numbers)
        or strange_atom(reading.analysis.text[span.start : span.end], index)
        or (
            strange_date(reading.analysis.text[span.start : span.end], tokens.stems[first:last], index)
            if numbers
            else ""
        )
        or finding.strangeness(index)
        or free_unsaid(reading.analysis.text, tokens, first, last, index)
        or strange_name(reading.analysis.text, tokens, finding.lonely_words(index), index, question)
    )
    finding.compare_records(index, numbers)
    return finding


def find_in_text(
    text: str,
    index: ContextIndex,
    topic: frozenset[str] = frozenset(),
    model: ClaimModel = TEXT_MODEL,
    question: str = "",
) -> Finding:
    """The finding about a claim that stands on its own.   topic: stems of the question."""
    claim = read_claim(text, index, topic, question)
    tokens = claim.tokens
    last = min(len(tokens), MOST_WORDS)
    best = claim.like.best if claim.like else None
    covered = covered_share(index, best, claim.asked)
    finding = Finding(
        model=model,
        logit=model.linear.logit(claim.features),
        best=best,
        covered=covered,
        negates=covered >= _WORD_FOR_WORD and says_opposite(index, best, tokens, 0, last),
        text=text,
        tokens=tokens,
        first=0,
        last=last,
        placed=False,
        missing=[number_span(tokens, number) for number in claim.missing],
        doubtful=[number_span(tokens, number) for number in claim.doubtful],
        contrary=claim.contrary or strange_atom(text, index) or strange_date(text, tokens.stems, index),
    )
    finding.compare_records(index, claim.numbers)
    return finding


def _is_of_changes(word: str) -> bool:
    """Whether a word only says how a cell of a table is told: "rose to 5 euros"."""
    return word.lower() in CHANGES or word.lower() in _OF_CELLS


def sentence_of_row(index: ContextIndex, row: Row) -> int | None:
    """The sentence of the context that says most of a row's cells; None when none says any of them."""
    said = tokenize(" ".join((row.label, *row.cells.values())))
    ranked = rank_sentences(index, said.content_and_number_stems(), limit=1)
    return ranked[0][0] if ranked else None


def _is_said(index: ContextIndex, mention: FieldMention) -> bool:
    """Whether more sentences than the field's own have the words of a field."""
    return all(len(index.postings.get(word, ())) > 1 for word in mention.field.words)


def number_span(tokens: Tokens, number: Number) -> Span:
    """The characters of a number."""
    return Span(tokens.starts[number.first], tokens.ends[number.last])


def covered_share(index: ContextIndex, sentence: int | None, asked: Mapping[str, object]) -> float:
    """The share of the asked stems that a context sentence has."""
    if sentence is None or not asked:
        return 0.0
    return len(index.sentences[sentence].stems.intersection(asked)) / len(asked)
