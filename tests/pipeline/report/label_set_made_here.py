"""A small label set with every kind of outcome, and with text that tries to break the page that shows it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.runs.assemble import assemble
from pipeline.write_shards import shard_name, shard_report
from schemas.manifest import write_manifest
from schemas.records import (
    CONTRADICTED,
    EXACT,
    LABELLED,
    NO_CLAIMS,
    OK,
    PARTIAL,
    SUPPORTED,
    UNSUPPORTED,
    Claim,
    Evidence,
    GoldSpan,
    LabelledResponse,
    LabelSpan,
    Passage,
    Rejected,
    Sample,
    Span,
)
from schemas.rows import to_rejected_table, to_table
from schemas.tokens import label_text, load_tokenizer

# Every piece must come out as text: markup in each place where markup could run, controls, separators, quotes.
ATTACK = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<style>body{display:none}</style><!-- ]]> -->{{ 7*7 }} &lt;b&gt; ' \" ` \\u003c \u2028\u2029\x00\x07\x1b[31m"
)
BIDI = "\u202eevil\u202c \u2066isolated\u2069 \u200frtl\u061c"
MARKS = "e\u0301\u0302 👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 नमस्ते שלום 𝔘𝔫𝔦 👍"


def span_of(text: str, piece: str, nth: int = 0) -> Span:
    """Where `piece` stands in `text`, for the nth time."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(piece, start + 1)
    return Span(start, start + len(piece))


def make_row(
    sample_id: str,
    response: str,
    claims: Sequence[Claim] = (),
    labels: Sequence[LabelSpan] = (),
    *,
    status: str = LABELLED,
    conflicts: int = 0,
    **sample: object,
) -> LabelledResponse:
    """A row of the given text; its tokens are bytes."""
    fields = {
        "group_id": sample_id,
        "prompt": "What of the bridge?",
        "context": (Passage("p1", "The bridge opened in 1937."),),
        "policy": "model-a",
        "source": "/secret/folder/corpus.jsonl",
        "source_row": 1,
    }
    made = Sample(id=sample_id, response=response, **{**fields, **sample})  # type: ignore[arg-type]
    tokens = label_text(load_tokenizer("bytes"), response, labels)
    return LabelledResponse(made, tuple(claims), tuple(labels), tokens, status, conflicts)


def claim(number: int, text: str, verdict: str | None, spans: Sequence[Span] = (), **fields: object) -> Claim:
    """A claim of the made-up engines."""
    given = {"status": OK if verdict else "unverified: no answer", "alignment": EXACT if spans else "unmatched"}
    made = {**given, "spans": tuple(spans), "extractor": "rules/1", "verifier": "lexical/1", **fields}
    return Claim(f"c{number}", text, verdict=verdict, **made)  # type: ignore[arg-type]


def plain_row() -> LabelledResponse:
    """Two sentences; the second one's claims overlap, and one of them names its wrong words."""
    response = "The bridge opened in 1937. It is red and 90 m long."
    context = (Passage("p1", "The bridge opened in 1937."), Passage("p2", "👍 The bridge is 70 m long. It is red."))
    claims = (
        claim(0, "It opened in 1937", SUPPORTED, [Span(0, 26)], evidence=(Evidence("p1", 0, 26),), score=0.9),
        claim(1, "It is red", SUPPORTED, [Span(27, 36)], evidence=(Evidence("p2", 27, 37),)),
        claim(
            2,
            "It is 90 m long",
            CONTRADICTED,
            [Span(27, 51)],
            error_spans=(span_of(response, "90"),),
            evidence=(Evidence("p2", 2, 26),),
            reason="the context says 70 m",
            score=0.05,
        ),
    )
    wrong = span_of(response, "90")
    labels = (LabelSpan(0, 26, 1), LabelSpan(27, 36, 1), LabelSpan(wrong.start, wrong.end, -1))
    return make_row("plain", response, claims, labels, context=context, gold_spans=(GoldSpan(41, 43, "conflict"),))


def hostile_row() -> LabelledResponse:
    """Attacks in the id, the policy, the group, the passage id and every text; claims whose spans run through them."""
    response = f"{MARKS} {ATTACK} {BIDI}\r\nThe end 👍."
    whole = Span(0, len(response))
    claims = (
        claim(0, ATTACK, UNSUPPORTED, [span_of(response, ATTACK)], reason=ATTACK, evidence=(Evidence(ATTACK, 0, 7),)),
        claim(1, MARKS, SUPPORTED, [span_of(response, MARKS)], evidence=(Evidence(ATTACK, 3, len(MARKS)),)),
        claim(2, BIDI, CONTRADICTED, [span_of(response, BIDI), span_of(response, "end 👍")]),
        claim(3, "all of it", UNSUPPORTED, [whole], error_spans=(span_of(response, "👍", 1),)),
        claim(4, "nowhere", None, reason=ATTACK, status=f"unverified: {ATTACK}"),
        claim(5, "beyond the text", SUPPORTED, [Span(5, 10**6)], evidence=(Evidence("none", 0, 5),)),
    )
    labels = (LabelSpan(0, len(MARKS), 1), LabelSpan(len(MARKS) + 1, len(MARKS) + 9, -1))
    return make_row(
        f"../../etc/{ATTACK}",
        response,
        claims,
        labels,
        status=PARTIAL,
        conflicts=2,
        policy=f"$x$ {ATTACK}",
        group_id=f"{BIDI}{ATTACK}",
        prompt=f"{ATTACK}{BIDI}",
        context=(Passage(ATTACK, f"{MARKS}{ATTACK}{BIDI}"),),
        gold_spans=(GoldSpan(0, 3, ATTACK),),
    )


def long_row() -> LabelledResponse:
    """A response of 200,000 characters without a space, with a claim in its middle and one at its end."""
    response = "x" * 100_000 + "👍" + "y" * 99_990 + "wrong end"
    claims = (
        claim(0, "in the middle", UNSUPPORTED, [Span(100_000, 100_001)]),
        claim(1, "at the end", SUPPORTED, [span_of(response, "wrong end")]),
    )
    return make_row("long", response, claims, [LabelSpan(100_000, 100_001, -1)], policy="w" * 300)


def silent_rows() -> list[LabelledResponse]:
    """Without claims, without a response, without a context, without a policy."""
    return [
        make_row("refusal", "I cannot say.", status=NO_CLAIMS),
        make_row("empty", "", status=NO_CLAIMS, context=(), policy=None),
    ]


def write_labels(
    folder: Path, rows: Sequence[LabelledResponse], rejected: Sequence[Rejected] = (), neutral_band: str = "none"
) -> Path:
    """A finished label set of the rows in two shards."""
    parts = rows[::2], rows[1::2]
    reports = [
        shard_report(to_table(part), to_rejected_table(rejected if not n else []), str(folder), shard_name(n, 2))
        for n, part in enumerate(parts)
    ]
    shutil.rmtree(folder / ".work")
    described = {
        "config": {"conflicts": "neutral", "neutral_band": neutral_band},
        "engines": {"extractor": "rules/1", "verifier": "lexical/1", "prompt_version": ""},
        "tokenizer": {"name": "bytes", "fingerprint": "f"},
        "balto_version": "",
    }
    write_manifest(folder, assemble(reports, None, [], {}, described))
    return folder


ROWS = [plain_row(), hostile_row(), long_row(), *silent_rows()]
