"""Throughput and memory of `balto label` with the embedded engine, beside a plain Python loop over the same functions.

    python -m benchmarks.label_throughput --records 10000 100000 1000000 --workers 2

For every size: records/s and the peak memory of the whole process tree (sum of resident sets, sampled). For the sizes
named by --loop: the same corpus by one process with Beam and by one plain loop, in alternation, and their ratio.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.synthetic_corpus import write_corpus, write_repeated

SAMPLE_EVERY_S = 0.1
PAGE_BYTES = 4096


def tree_memory(root: int) -> int:
    """Resident bytes of a process and all its descendants. Shared pages count once per process."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
                sizes[int(entry.name)] = int((entry / "statm").read_text().split()[1]) * PAGE_BYTES
            except (OSError, IndexError):  # it ended while we looked
                continue
            parents[int(entry.name)] = int(stat[1])
    tree = {root}
    for pid in sorted(parents):
        if parents[pid] in tree:
            tree.add(pid)
    return sum(sizes.get(pid, 0) for pid in tree)


def measured(command: list[str]) -> dict[str, float]:
    """Run a command to its end: wall seconds and peak bytes of its process tree. Raises when it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        peak = 0
        stop = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not stop.wait(SAMPLE_EVERY_S):
                peak = max(peak, tree_memory(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        stop.set()
        watcher.join()
        if code:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {errors.read().decode()[-2000:]}")
    return {"seconds": seconds, "peak_bytes": peak}


def plain_loop(corpus: str, out: str, num_shards: int) -> None:
    """What `balto label` does, without Beam: read, every stage, tables, shards."""
    import pyarrow as pa

    from pipeline.config import LabelConfig
    from pipeline.corpora import open_corpus, read_corpus_file
    from pipeline.graph import label_steps
    from pipeline.sibling_responses import know_each_other
    from pipeline.stages import relax_collector
    from pipeline.storage.shard_files import shard_name, shard_of, shard_report
    from pipeline.write_shards import PACK_ROWS
    from schemas.records import LabelledResponse, Sample
    from schemas.rows import to_rejected_table, to_table

    relax_collector()
    steps: list[Any] = [step for _, step in label_steps(LabelConfig(num_shards=num_shards))]
    for step in steps:
        step.setup()
    waiting: dict[int, list[LabelledResponse]] = {}
    tables: dict[int, list[pa.Table]] = {}
    records = [record for file in open_corpus([corpus]) for record in read_corpus_file(file)]
    samples = sorted((one for one in records if isinstance(one, Sample)), key=lambda one: (one.group_id, one.id))
    for _, members in groupby(samples, key=lambda one: one.group_id):
        for record in know_each_other(list(members)):
            row: Any = functools.reduce(lambda value, step: step(value), steps, record)
            rows = waiting.setdefault(shard := shard_of(record.group_id, num_shards), [])
            rows.append(row)
            if len(rows) >= PACK_ROWS:
                tables.setdefault(shard, []).append(to_table(rows))
                rows.clear()
    for shard, rows in waiting.items():
        whole = pa.concat_tables([*tables.get(shard, []), to_table(rows)])
        shard_report(whole, to_rejected_table([]), out, shard_name(shard, num_shards))


def label_command(corpus: Path, out: Path, workers: int) -> list[str]:
    """The command as a user types it."""
    return [
        sys.executable,
        "-m",
        "balto",
        "label",
        str(corpus),
        "--out",
        str(out),
        "--workers",
        str(workers),
        "--overwrite",
    ]


def _write(path: Path, records: int, real: str | None) -> None:
    write_corpus(path, records) if real is None else write_repeated(path, real, records)


def throughput(records: int, workers: int, folder: Path, real: str | None) -> dict[str, float]:
    """One size: a fresh corpus, one run."""
    corpus = folder / "corpus.jsonl"
    _write(corpus, records, real)
    result = measured(label_command(corpus, folder / "labels", workers))
    return {"records": records, "workers": workers, "records_per_s": records / result["seconds"], **result}


def overhead(records: int, rounds: int, folder: Path, real: str | None) -> dict[str, float]:
    """Beam in one process against the plain loop, `rounds` times in alternation; the median of the paired ratios."""
    from pipeline.runs.label import default_shards

    corpus = folder / "corpus.jsonl"
    _write(corpus, records, real)
    shards = default_shards(corpus.stat().st_size)
    loop = [
        sys.executable,
        "-m",
        "benchmarks.label_throughput",
        "--plain",
        str(corpus),
        str(folder / "loop"),
        str(shards),
    ]
    pairs = [
        (measured(label_command(corpus, folder / "labels", 1))["seconds"], measured(loop)["seconds"])
        for _ in range(rounds)
    ]
    ratio = statistics.median(beam / plain for beam, plain in pairs)
    beam, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {"records": records, "beam_s": beam, "loop_s": plain, "beam_over_loop": ratio}


def main() -> None:
    """Command line; prints one line per figure, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--loop", type=int, nargs="*", default=[100_000], help="sizes compared with the plain loop")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--corpus", help="repeat this corpus instead of making one up")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plain", nargs=3, metavar=("CORPUS", "OUT", "SHARDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain_loop(options.plain[0], options.plain[1], int(options.plain[2]))
        return
    results = []
    for records in options.records:
        with tempfile.TemporaryDirectory() as folder:
            results.append(throughput(records, options.workers, Path(folder), options.corpus))
        one = results[-1]
        line = (
            f"{records:>9,} records | {one['records_per_s']:.0f} records/s | peak {one['peak_bytes'] / 2**20:.0f} MiB"
        )
        print(f"{line} (x{one['peak_bytes'] / results[0]['peak_bytes']:.2f} of the first)", file=sys.stderr)
    for records in options.loop:
        with tempfile.TemporaryDirectory() as folder:
            results.append(overhead(records, options.rounds, Path(folder), options.corpus))
        one = results[-1]
        print(
            f"{records:>9,} records | Beam {one['beam_s']:.1f} s, loop {one['loop_s']:.1f} s"
            f" | x{one['beam_over_loop']:.2f}",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
