"""`balto show`: which records a filter leaves, and how a record looks with and without colour."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.show.show import Choice, chosen_rows, read_chosen
from pipeline.show.show_record import marked_response, record_view
from pipeline.show.where import record_columns, where
from pipeline.stats import scan_labels
from pipeline.weigh_scores import NeutralBand
from schemas.errors import BaltoError, ConfigError, ShardError
from tests.pipeline.report.label_set_made_here import ROWS, hostile_row, make_row, plain_row, write_labels

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    return write_labels(tmp_path_factory.mktemp("show") / "labels", ROWS)


def ids_of(labels: Path, **choice) -> list[str]:
    rows, _ = chosen_rows(labels, Choice(**choice))
    return [record.sample.id for record in read_chosen(labels, rows)]


def printed(record, colour: bool = False, with_context: bool = False) -> str:
    sink = io.StringIO()
    console = Console(
        file=sink, width=100, highlight=False, force_terminal=colour, color_system="truecolor" if colour else None
    )
    console.print(record_view(record, console, NeutralBand(0.1, 0.95), with_context))
    return sink.getvalue()


def balto(*args: object, terminal: bool = False, **env: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command, on a terminal of its own if asked."""
    command = [sys.executable, "-m", "balto", *map(str, args)]
    settings = {"cwd": ROOT, "env": {**os.environ, **env}}
    if not terminal:
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, **settings)
        return done.returncode, done.stdout, done.stderr
    mine, its = pty.openpty()
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=subprocess.PIPE, **settings) as running:
        os.close(its)
        seen = b""
        while chunk := _read(mine):
            seen += chunk
        os.close(mine)
        return running.wait(timeout=100), seen.decode(), ""


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody writes there any more
        return b""


def test_records_by_id_come_in_the_order_asked_for(labels):
    assert ids_of(labels, ids=("refusal", "plain")) == ["refusal", "plain"]


def test_filters_all_hold_and_pages_are_turned(labels):
    assert set(ids_of(labels, verdict="contradicted")) == {"plain", hostile_row().sample.id}
    assert ids_of(labels, verdict="contradicted", policy="model-a") == ["plain"]
    assert ids_of(labels, where="unsupported = 1 AND characters > 1000") == ["long"]
    assert ids_of(labels, where="claims = 0 AND policy IS NULL") == ["empty"]
    everything = ids_of(labels, limit=5)
    assert len(everything) == 5
    assert [*ids_of(labels, limit=2), *ids_of(labels, skip=2, limit=3)] == everything


def test_worst_first_is_most_wrong_claims_then_least_faithful(labels):
    # wrong claims: hostile 3, long 1 of 2 with a verdict, plain 1 of 3; the others none
    assert ids_of(labels, worst=True, limit=3) == [hostile_row().sample.id, "long", "plain"]
    assert ids_of(labels, worst=True, skip=1, limit=1) == ["long"]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("meta.tusk = 'qa'", "--where meta.tusk: no such column"),
        (
            "zzz = 'red'",
            "no column 'zzz'; there are row, id, group_id.*, claims, supported, .*characters, meta.KEY",
        ),
        ("meta = 'qa'", "no column 'meta'"),
        ("unsuported > 1", "no column 'unsuported'; near: unsupported"),
        ('policy = "model-a"', "no column 'model-a'.*single quotes"),
        ("unsupported", "is not a condition but a value"),
        ("sum(unsupported) > 3", "says one thing of all records together"),
        ("unsupported > 'a'", "compare string with numeric"),
        ("unsupported >", "unable to parse|expected|invalid"),
        ("unsupported > (SELECT 1)", "belongs to a query"),
        ("1 = 1 OR row IN (FROM read_csv('/etc/passwd'))", "belongs to a query"),
        ("unsupported > 1; DROP", "belongs to a query"),
        ("policy = 'a' OR row IN (SELECT 1) OR policy = 'b'", "belongs to a query"),
        ("policy = 'it''s' OR row IN (SELECT 1) OR policy = ''", "belongs to a query"),
        ("unsupported = 1 -- '\n OR row IN (SELECT 1) -- '", "belongs to a query"),
        ("unsupported = 1 /* ' */ OR row IN (SELECT 1) /* ' */", "belongs to a query"),
        ("policy = $$'$$ OR row IN (SELECT 1) OR policy = $$'$$", "belongs to a query"),
        ("policy = `'` OR row IN (SELECT 1) OR policy = `'`", "belongs to a query"),
        (r"policy = 'a\' OR row IN (SELECT 1) OR policy = 'b'", "belongs to a query"),
        (r"policy = E'a\' OR row IN (SELECT 1) OR policy = 'b'", "belongs to a query"),
        ('policy = "\'" OR row IN (SELECT 1) OR policy = "\'"', "belongs to a query"),
        ("policy = E'a ' OR row IN (SELECT 1) OR policy = E' b'", "belongs to a query"),
        ("policy = 'select", "belongs to a query"),  # where does the text end?
        ("__import__('os').system('true')", "--where"),
        ("x" * 3000, "a condition has at most 2,000"),
    ],
)
def test_bad_condition_is_one_line(labels, condition, message):
    with pytest.raises(ConfigError, match=message) as caught:
        where(record_columns(scan_labels([str(labels)])), condition)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"ids": ("plan",)}, "no record 'plan'; near: plain"),
        ({"ids": ("xyz",)}, "no record 'xyz'; without an id, balto show turns the pages"),
        ({"policy": "xyz"}, "no record has the policy 'xyz'; balto stats --by policy lists"),
        ({"policy": "model-b"}, "no record has the policy 'model-b'; near: model-a"),
        ({"verdict": "wrong"}, "--verdict wrong: must be one of supported"),
        ({"where": "unsupported > 99"}, "no record satisfies all of the filters"),
        ({"ids": ("plain",), "where": "unsupported > 0"}, "--where: chooses records, and 'plain' is chosen already"),
        ({"ids": ("plain",), "worst": True}, "--worst: chooses records, and 'plain' is chosen already"),
        ({"skip": 99}, "--skip 99: the filter leaves 5 records"),
    ],
)
def test_nothing_to_show_is_one_line(labels, choice, message):
    with pytest.raises(BaltoError, match=message):
        chosen_rows(labels, Choice(**choice))


def test_condition_on_the_response_and_on_a_key_of_meta(tmp_path):
    rows = [
        make_row(name, f"It is {name}.", meta={"task": task}) for name, task in (("a", "qa"), ("b", "qa"), ("c", "s"))
    ]
    folder = write_labels(tmp_path / "labels", rows)
    assert ids_of(folder, where="meta.task = 'qa'") == ["a", "b"]
    assert ids_of(folder, where="meta.task = 'qa' AND response LIKE '%b.'") == ["b"]
    assert ids_of(folder, where="response <> 'meta.task' AND \"meta.task\" = 's'") == ["c"]  # quoted texts stay
    assert ids_of(folder, where="response LIKE 'It''s meta.none' OR id = 'a'") == ["a"]


def test_a_condition_that_fails_on_values_blames_itself_and_not_the_label_set(tmp_path):
    rows = [make_row(name, "It is so.", meta={"degree": degree}) for name, degree in (("a", "0.7"), ("b", "warm"))]
    folder = write_labels(tmp_path / "labels", rows)
    assert ids_of(folder, where="TRY_CAST(meta.degree AS FLOAT) > 0.5") == ["a"]
    with pytest.raises(ConfigError, match="--where 'CAST.*cannot be worked out for every record .*'meta.degree'.*TRY_"):
        ids_of(folder, where="CAST(meta.degree AS FLOAT) > 0.5")
    shard = next((folder / "shards").iterdir())
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(ShardError, match=f"{shard.name}: altered"):
        ids_of(folder, where="CAST(meta.degree AS FLOAT) > 0.5")


@pytest.mark.parametrize(
    "text", ["from Oslo; with love", "select", "it's and/or INTO", 'a "table" of values -- all', ""]
)
def test_a_text_in_quotes_is_taken_as_it_is(tmp_path, text):
    rows = [make_row("a", "It is so.", meta={"from": text}), make_row("b", "It is so.", meta={"from": "elsewhere"})]
    folder, quoted = write_labels(tmp_path / "labels", rows), text.replace("'", "''")
    assert ids_of(folder, where=f"meta.from = '{quoted}'") == ["a"]
    assert ids_of(folder, where=f"'{quoted}' <> \"meta.from\" AND response LIKE 'It%'") == ["b"]


def test_claims_too_doubtful_to_label_are_counted_beside_the_tokens():
    text = printed(dataclasses.replace(plain_row(), doubtful=2))
    assert "2 claims too doubtful to label" in " ".join(text.split())
    assert "too doubtful" not in printed(plain_row())


def test_a_claim_in_the_neutral_band_is_marked_as_the_labels_know_it(tmp_path):
    # of the plain row's claims 0.90 is below the band's 0.95, one has no score, and 0.05 is sure to be wrong
    assert re.findall(r"[+x] \w+(?:, doubtful)?", printed(plain_row())) == [
        "+ supported, doubtful", "+ supported", "x contradicted",
    ]  # fmt: skip
    folder = write_labels(tmp_path / "labels", [plain_row(), make_row("b", "It is red.")], neutral_band="0.1:0.95")
    _, out, _ = balto("show", folder, "plain")
    assert "+ supported, doubtful" in out
    _, out, _ = balto("show", folder, "plain", "--json")
    assert [claim["doubtful"] for claim in json.loads(out)[0]["claims"]] == [True, False, False]


def test_claim_that_is_its_own_quote_is_not_printed_twice():
    # in the response, as a claim, in its evidence; and in what the claim of 90 m quotes
    assert printed(plain_row()).count("It is red") == 4


def test_damaged_shard_is_named(labels, tmp_path):
    copy = shutil.copytree(labels, tmp_path / "labels")
    shard = next((copy / "shards").iterdir())
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(ShardError, match=f"{shard.name}: cannot be read"):
        chosen_rows(copy, Choice(limit=5))
    with pytest.raises(ShardError, match=f"{shard.name}: cannot be read"):
        list(read_chosen(copy, range(5)))


def test_labels_stand_between_markers_without_colour():
    text = printed(plain_row(), with_context=True)
    assert "[+The bridge opened in 1937.+] [+It is red+] and [-90-] m long." in text
    assert "\x1b" not in text
    for part in ("x contradicted", "+ supported", 'wrong words: "90"', "the context says 70 m", "P(supported) 0.05"):
        assert part in text
    assert 'evidence p2: "The bridge is 70 m long."' in text
    assert "p2  👍 The bridge is 70 m long. It is red." in text


def test_colour_takes_the_place_of_markers():
    text = printed(plain_row(), colour=True)
    assert "\x1b[" in text
    assert "[+" not in text


def test_damaged_spans_lose_and_double_no_character():
    marked = marked_response("abcdef", [(4, 99, -1), (1, 3, 1), (2, 3, -1), (-5, 1, 1), (5, 2, 1)], colour=False)
    assert marked.plain == "[+a+][+bc+]d[-ef-]"


def test_controls_of_the_corpus_are_written_out():
    text = printed(hostile_row(), with_context=True)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    assert r"\x1b[31m" in text
    assert r"\u202eevil" in text
    assert "👩\u200d👩\u200d👧" in text


def test_record_without_claims_or_response_is_shown():
    text = printed(make_row("e", "", status="no_claims", policy=None))
    assert "(empty)" in text
    assert "none: nothing checkable was said" in text


def test_command_prints_json_markers_and_where_the_next_page_is(labels):
    code, out, _ = balto("show", labels, "plain", "--json")
    (record,) = json.loads(out)
    assert (code, record["id"], record["source"], len(record["claims"])) == (0, "plain", "corpus.jsonl", 3)
    code, out, _ = balto("show", labels, "--worst", "--limit", 2, "--verdict", "supported")
    assert code == 0
    assert "2 of 3 records; the next ones: --skip 2" in out


def test_a_pipe_gets_whole_lines_and_none_that_ends_in_blanks(labels, tmp_path):
    long = "It is " + "very " * 500 + "red"
    folder = write_labels(tmp_path / "long", [make_row("a", long, policy="p" * 300), make_row("b", "It is red.")])
    code, out, _ = balto("show", folder, "a", "b", COLUMNS="")
    assert code == 0
    assert f"  {long}" in out.splitlines()
    _, tables, _ = balto("stats", folder, COLUMNS="")
    assert "p" * 300 in tables
    assert not [line for line in (out + tables).splitlines() if line.endswith(" ")]
    _, narrow, _ = balto("show", folder, "a", COLUMNS="60")
    assert max(map(len, narrow.splitlines())) <= 60


def test_terminal_gets_colour_through_the_pager_and_no_color_is_heeded(labels):
    seen = {"PAGER": "sed s/^/paged:/", "TERM": "xterm-256color", "COLUMNS": "100"}
    code, out, _ = balto("show", labels, "plain", terminal=True, **seen)
    assert code == 0
    assert "paged:" in out
    assert "\x1b[" in out
    code, out, _ = balto("show", labels, "plain", terminal=True, NO_COLOR="1", **seen)
    assert "paged:" in out
    assert "[-90-]" in out
    assert "\x1b[" not in out
