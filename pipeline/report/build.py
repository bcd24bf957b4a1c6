"""`balto report` from label sets to a page: figures over all rows, a sample of records, one file."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipeline.report.choose_records import KINDS, choose_rows, kinds_of
from pipeline.report.figures import page_figures, read_tables
from pipeline.report.write_page import check_target, json_in_html, render_page, write_page
from pipeline.show.find_records import read_rows
from pipeline.show.record_values import record_values
from pipeline.show.show_tables import counted, printable
from pipeline.stats import scan_labels
from pipeline.stats.prompt_groups import BOTH_LABELS
from pipeline.stats.scan import readable
from pipeline.weigh_scores import NeutralBand, band_of
from schemas.manifest import Manifest, read_manifest
from schemas.records import LabelledResponse

MAX_TITLE: Final = 80  # characters
MAX_SHARE: Final = 0.25  # of the page's room for one record


@dataclass(frozen=True)
class ChosenRecords:
    """Records as they go into the page, in the order they were chosen, and what did not fit.

    texts: each record as JSON, safe inside HTML.   kinds: KINDS -> records.   left_out: chosen, but too large.
    """

    texts: tuple[str, ...]
    kinds: Mapping[str, int]
    left_out: int


def build_report(folders: Sequence[str], out: Path, records: int, max_bytes: int, seed: int = 0) -> dict[str, Any]:
    """Write the page of the label sets to `out`; returns what it holds, {records, left_out, bytes}.

    records: at most so many in the reader.   max_bytes: of their text.   Raises BaltoError, and writes nothing then.
    """
    check_target(out)
    with readable(folders):
        tables = read_tables(folders)
        chosen = _choose(folders, scan_labels(folders), records, max_bytes, seed)
    page = render_page(_values(folders, tables, chosen), chosen.texts)
    write_page(out, page)
    return {"records": len(chosen.texts), "left_out": chosen.left_out, "bytes": len(page.encode())}


def _choose(folders: Sequence[str], labels: pl.LazyFrame, records: int, max_bytes: int, seed: int) -> ChosenRecords:
    """The chosen records that fit: when space is short, those chosen last go first."""
    chosen = {row: turn for turn, row in enumerate(choose_rows(labels, records, seed))}
    kept: list[tuple[int, str, list[str]]] = []  # a heap, the one chosen last on top
    size = 0
    for row, name, band, record in _read(folders, list(chosen)):
        values = record_values(record, band)
        values |= {"kinds": kinds_of(values), "label_set": name if len(folders) > 1 else ""}
        text = json_in_html(values)
        own = len(text.encode())
        if own > max_bytes * MAX_SHARE:
            continue
        heapq.heappush(kept, (-chosen[row], text, values["kinds"]))
        size += own
        while size > max_bytes:
            size -= len(heapq.heappop(kept)[1].encode())
    kept.sort(reverse=True)
    kinds = Counter(kind for *_, of_record in kept for kind in of_record)
    return ChosenRecords(tuple(text for _, text, _ in kept), kinds, len(chosen) - len(kept))


def _read(
    folders: Sequence[str], rows: Sequence[int]
) -> Iterator[tuple[int, str, NeutralBand | None, LabelledResponse]]:
    """(row over all label sets, name and neutral band of its label set, record), label set by label set."""
    first = 0
    for folder in map(Path, folders):
        manifest = read_manifest(folder)
        band = band_of(manifest)
        count = sum(shard.rows for shard in manifest.shards)
        own = [row - first for row in rows if first <= row < first + count]
        for row, record in read_rows(folder, manifest, own):
            yield row + first, folder.resolve().name, band, record
        first += count


def _values(folders: Sequence[str], tables: Mapping[str, pl.DataFrame], chosen: ChosenRecords) -> dict[str, Any]:
    """What page.html names, but for records, style and script."""
    whole = tables["overview"].row(0, named=True)
    manifests = {printable(Path(folder).resolve().name): read_manifest(Path(folder)) for folder in folders}
    title = " + ".join(manifests)
    return {
        "title": title if len(title) <= MAX_TITLE else f"{title[: MAX_TITLE - 1]}…",
        "lead": _lead(manifests),
        "tiles": _tiles(whole, tables["prompt groups"]),
        "label_sets": [{"name": name, "made": _made(manifest)} for name, manifest in manifests.items()],
        "figures": page_figures(tables),
        "any_records": bool(chosen.texts),
        "sample_note": _sample_note(chosen, whole["records"]),
        "kinds": [
            {"key": key, "name": name, "count": chosen.kinds[key]} for key, name in KINDS.items() if chosen.kinds[key]
        ],
        "version": _version(manifests),
    }


def _lead(manifests: Mapping[str, Manifest]) -> str:
    read, labelled, rejected = (
        sum(manifest.counts[name] for manifest in manifests.values()) for name in ("read", "labelled", "rejected")
    )
    return f"{counted(read, 'record')} read: {labelled:,} labelled, {rejected:,} rejected."


def _tiles(whole: Mapping[str, Any], groups: pl.DataFrame) -> list[dict[str, str]]:
    """What a reader wants to know first: {name, value, note: what the value is of}."""
    supported, wrong = whole["n_supported"], whole["n_contradicted"] + whole["n_unsupported"]
    judged = supported + wrong
    both = groups.filter(pl.col("signal") == BOTH_LABELS)["groups"].sum()
    tiles = (
        ("claims supported", _share(supported, judged), f"{supported:,} of {judged:,} with a verdict"),
        (
            "claims wrong",
            _share(wrong, judged),
            f"{whole['n_unsupported']:,} unsupported, {whole['n_contradicted']:,} contradicted",
        ),
        ("without a verdict", f"{whole['n_unverified']:,}", f"of {counted(whole['n_claims'], 'claim')}"),
        ("tokens −1", _share(whole["n_tokens_unsupported"], whole["n_tokens"]), f"of {whole['n_tokens']:,} tokens"),
        ("groups that teach", f"{both:,}", f"of {counted(whole['groups'], 'prompt group')}: both labels"),
        ("responses", f"{whole['records']:,}", f"{_ratio(whole['n_claims'], whole['records'])} claims each"),
    )
    return [{"name": name, "value": value, "note": note} for name, value, note in tiles]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _ratio(many: int, whole: int) -> str:
    return f"{many / whole:.1f}" if whole else "–"


def _made(manifest: Manifest) -> str:
    engines = manifest.engines
    made = [
        f"claims by {engines.get('extractor') or 'unknown'}",
        f"verdicts by {engines.get('verifier') or 'unknown'}",
        f"prompts {engines['prompt_version']}" if engines.get("prompt_version") else "",
        f"tokenizer {Path(manifest.tokenizer['name']).name}",
        f"conflicts {manifest.config['conflicts']}" if manifest.config.get("conflicts") else "",
        f"content {manifest.content_hash()[:12]}",
    ]
    return printable(", ".join(part for part in made if part))


def _sample_note(chosen: ChosenRecords, total: int) -> str:
    shown = len(chosen.texts)
    if not shown:
        return "No record is on this page: `balto report --records N` puts some there, `balto show` prints any."
    if shown == total:
        return f"Every labelled response ({total:,})."
    note = f"{shown:,} of {total:,} labelled responses: every outcome of every policy in turn, the rest by lot."
    if chosen.left_out:
        note += f" {chosen.left_out:,} more were chosen but did not fit the page's size; `balto show` prints them."
    return note


def _version(manifests: Mapping[str, Manifest]) -> str:
    versions = {manifest.balto_version for manifest in manifests.values()} - {""}
    return f" {', '.join(sorted(versions))}" if versions else ""
