"""One record in a terminal: the response with its label spans, and under it the claims with verdict, evidence, reason.

Without colour (a pipe, NO_COLOR) labelled text stands between markers: [+supported+], [-unsupported or contradicted-].
Text of a corpus is untrusted: control characters are written out, and nothing in it is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pipeline.show.show_tables import counted, printable
from pipeline.weigh_scores import NeutralBand, labels_nothing
from schemas.records import (
    CONTRADICTED,
    NEGATIVE,
    POSITIVE,
    SUPPORTED,
    UNSUPPORTED,
    Claim,
    LabelledResponse,
    Passage,
    Span,
)

# Sign and style by verdict; None: a claim without one. The sign says the same as the colour.
VERDICT_LOOK: Final = {
    SUPPORTED: ("+", "green"),
    CONTRADICTED: ("x", "bold red"),
    UNSUPPORTED: ("-", "dark_orange3"),
    None: ("?", "dim"),
}
_LABEL_LOOK: Final = {POSITIVE: ("[+", "+]", "green"), NEGATIVE: ("[-", "-]", "bold red underline")}
READING_WIDTH: Final = 110  # characters of a line that are pleasant to read
_KEPT: Final = "\n\u200c\u200d"  # line ends, and the joiners that emoji and several scripts are written with


def terminal_text(text: str) -> str:
    """Text of a corpus for the terminal: its lines stand, every other control character is written out."""
    return "".join(char if char in _KEPT else printable(char) for char in text.replace("\t", "    "))


def marked_response(response: str, spans: Sequence[tuple[int, int, int]], colour: bool) -> Text:
    """The response with (start, end, label) spans coloured, or between markers where there is no colour."""
    marked, at = Text(), 0
    for first, last, label in sorted(spans):
        start, end = max(first, at), min(last, len(response))
        if start >= end or label not in _LABEL_LOOK:
            continue  # a damaged span: nothing of the response is lost or shown twice
        before, after, style = _LABEL_LOOK[label]
        marked.append(terminal_text(response[at:start]))
        inside = terminal_text(response[start:end])
        marked.append(inside if colour else f"{before}{inside}{after}", style if colour else "")
        at = end
    marked.append(terminal_text(response[at:]))
    return marked


def record_view(
    record: LabelledResponse, console: Console, band: NeutralBand | None, with_context: bool
) -> RenderableType:
    """Everything that `balto show` prints of one record.   band: of its label set; claims in it are marked doubtful."""
    colour = has_colour(console)
    response = record.sample.response or ""
    spans = [(span.start, span.end, span.label) for span in record.label_spans]
    title = Text(terminal_text(record.sample.id), style="bold")
    parts: list[RenderableType] = [
        Constrain(Rule(title, align="left", characters="-" if not colour else "─"), READING_WIDTH),
        Text(_facts(record), style="dim"),
        *_section("prompt", Text(_prompt(record))),
        *_section("response", marked_response(response, spans, colour) if response else Text("(empty)")),
    ]
    claims = _claims_table(record, band) if record.claims else Text("none: nothing checkable was said")
    parts += _section("claims", claims)
    if with_context:
        parts += _section("context", _context(record.sample.context))
    return Group(*parts, Text())


def has_colour(console: Console) -> bool:
    """Whether colours reach a reader: a terminal, and no NO_COLOR."""
    return console.is_terminal and not console.no_color and console.color_system is not None


def _section(title: str, body: RenderableType) -> Iterator[RenderableType]:
    yield Text(f"\n{title}", style="bold")
    yield Padding(body, (0, 0, 0, 2), expand=False)


def _facts(record: LabelledResponse) -> str:
    sample, tokens = record.sample, record.tokens
    verdicts = [claim.verdict for claim in record.claims]
    judged = len(verdicts) - verdicts.count(None)
    facts = [
        f"policy {sample.policy}" if sample.policy else "no policy",
        f"group {sample.group_id}",
        record.status,
        f"{verdicts.count(SUPPORTED)} of {counted(judged, 'claim')} supported" if judged else "no claim with a verdict",
        f"{counted(len(tokens), 'token')}: {_count(record, POSITIVE):,} of +1, {_count(record, NEGATIVE):,} of -1",
        *([f"{counted(record.doubtful, 'claim')} too doubtful to label"] if record.doubtful else []),
        f"{PurePath(sample.source).name}:{sample.source_row}",
    ]
    return terminal_text(" · ".join(facts))


def _count(record: LabelledResponse, label: int) -> int:
    return int((record.tokens.labels == label).sum())


def _prompt(record: LabelledResponse) -> str:
    prompt = record.sample.prompt
    if isinstance(prompt, str):
        return terminal_text(prompt)
    return terminal_text("\n".join(f"{message.role}: {message.content}" for message in prompt))


def _context(passages: Sequence[Passage]) -> Text:
    if not passages:
        return Text("none")
    return Text("\n").join(
        Text.assemble((f"{terminal_text(one.passage_id)}  ", "bold"), terminal_text(one.text)) for one in passages
    )


def _claims_table(record: LabelledResponse, band: NeutralBand | None) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    texts = {passage.passage_id: passage.text for passage in record.sample.context}
    for number, claim in enumerate(record.claims, 1):
        sign, style = VERDICT_LOOK.get(claim.verdict, VERDICT_LOOK[None])
        doubt = ", doubtful" if labels_nothing(claim, band) else ""
        verdict = Text(f"{sign} {claim.verdict or 'unverified'}{doubt}", style=style)
        table.add_row(Text(str(number)), verdict, _claim_lines(claim, record.sample.response or "", texts))
    return table


def _claim_lines(claim: Claim, response: str, texts: dict[str, str]) -> Text:
    lines = [Text(terminal_text(claim.text))]
    place = _quoted(response, claim.spans)
    if place and place != _quoted(claim.text, (Span(0, len(claim.text)),)):  # else the claim is its own quote
        lines.append(Text(f"{claim.alignment}: {place}", style="dim"))
    elif not place:
        lines.append(Text(claim.alignment, style="dim"))
    if claim.error_spans:
        lines.append(Text(f"wrong words: {_quoted(response, claim.error_spans)}"))
    for evidence in claim.evidence:
        text = _quoted(texts.get(evidence.passage_id, ""), (Span(evidence.start, evidence.end),))
        lines.append(Text(terminal_text(f"evidence {evidence.passage_id}: ") + (text or "not in the context")))
    score = "" if claim.score is None else f"P(supported) {claim.score:.2f}"
    why = "; ".join(part for part in (claim.reason, "" if claim.verdict else claim.status, score) if part)
    if why:
        lines.append(Text(terminal_text(why), style="dim"))
    return Text("\n").join(lines)


def _quoted(text: str, spans: Sequence[Span]) -> str:
    pieces = [text[max(0, span.start) : max(0, span.end)] for span in spans]
    return ", ".join(f'"{terminal_text(piece)}"' for piece in pieces if piece)
