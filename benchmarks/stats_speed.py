"""Time and memory of `balto stats`, and the same figures by pandas in the same run.

    python -m benchmarks.stats_speed --records 200000 2000000 --pandas 100000 --rounds 3

A small corpus is made up and labelled once; its rows are repeated under new ids and groups up to every size. For
each size of --records: seconds and peak memory of the command, and their ratios to the first size. For each size of
--pandas: the command and `benchmarks.stats_pandas` in alternation, whole processes with imports, and the median ratio
of their times; the sums of both are compared before anything is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.label_throughput import measured
from benchmarks.large_label_set import write_large
from benchmarks.synthetic_corpus import write_corpus

SMALL_RECORDS = 6_000
TOKENIZER = Path(__file__).parents[1] / "data" / "sample" / "tokenizer.json"


def stats_command(labels: Path) -> list[str]:
    """What is measured."""
    return [sys.executable, "-m", "balto", "stats", str(labels), "--json"]


def pandas_command(labels: Path) -> list[str]:
    """What it is compared with."""
    return [sys.executable, "-m", "benchmarks.stats_pandas", str(labels)]


def small_label_set(folder: Path) -> Path:
    """A labelled corpus of SMALL_RECORDS made-up records."""
    corpus, out = folder / "corpus.jsonl", folder / "small"
    write_corpus(corpus, SMALL_RECORDS)
    command = ["label", str(corpus), "--tokenizer", str(TOKENIZER), "--num-shards", "2", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "balto", *command], check=True, stdout=subprocess.DEVNULL)
    return out


def check_equal(labels: Path) -> None:
    """Raise AssertionError unless both give the same sums."""
    ours, theirs = (
        json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for command in (stats_command(labels), pandas_command(labels))
    )
    for row in ours["by policy"]:
        other = theirs["by policy"][str(row["policy"])]
        assert all(row[name] == value for name, value in other.items()), (row, other)
    for title, key, count in (
        ("responses", "status", "responses"),
        ("verdicts", "verdict", "claims"),
        ("status of claims", "status", "claims"),
        ("alignment", "alignment", "claims"),
    ):
        assert {row[key]: row[count] for row in ours[title]} == {k: v[count] for k, v in theirs[title].items()}, title
    for part, tenths in theirs["position in response"].items():
        assert [row[part] for row in ours["position in response"]] == list(tenths.values()), part
    records = [row["records"] for row in ours["length and faithfulness"]]
    assert records == [row["records"] for row in theirs["length and faithfulness"].values()]
    for row in ours["balance"]:
        other = theirs["balance"][f"{row['block']} {row['percent_to'] // 10}"]
        assert row["blocks"] == other["blocks"], row
        assert abs(row["mass_sqrt"] - other["mass_sqrt"]) < 1e-6 * other["mass_sqrt"], row


def against_pandas(labels: Path, rounds: int) -> dict[str, Any]:
    """Median seconds and peak bytes of both, run in alternation."""
    check_equal(labels)
    pairs = [(measured(stats_command(labels)), measured(pandas_command(labels))) for _ in range(rounds)]
    ratio = statistics.median(theirs["seconds"] / ours["seconds"] for ours, theirs in pairs)
    ours, theirs = zip(*pairs, strict=True)
    return {"times_as_fast": ratio, "stats": _median(ours), "pandas": _median(theirs)}


def _median(runs: Any) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in ("seconds", "peak_bytes")}


def main() -> None:
    """Command line; prints one line per figure, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="*", default=[200_000, 2_000_000])
    parser.add_argument("--pandas", type=int, nargs="*", default=[100_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        small = small_label_set(Path(folder))
        for records in dict.fromkeys([*options.pandas, *options.records]):
            labels = Path(folder) / str(records)
            write_large(small, labels, records)
            if records in options.pandas:
                one = against_pandas(labels, options.rounds)
                results.append({"records": records, **one})
                seconds = f"stats {one['stats']['seconds']:.1f} s, pandas {one['pandas']['seconds']:.1f} s"
                print(f"{records:>9,} records | {seconds} | x{one['times_as_fast']:.1f}", file=sys.stderr)
            if records in options.records:
                runs = [measured(stats_command(labels)) for _ in range(options.rounds)]
                results.append({"records": records, "stats": _median(runs)})
                print(_line(results), file=sys.stderr)
    if options.json:
        print(json.dumps(results, indent=1))


def _line(results: list[dict[str, Any]]) -> str:
    plain = [one for one in results if "times_as_fast" not in one]
    first, last = plain[0], plain[-1]
    seconds, peak = last["stats"]["seconds"], last["stats"]["peak_bytes"]
    ratios = f"x{seconds / first['stats']['seconds']:.1f} time, x{peak / first['stats']['peak_bytes']:.2f} memory"
    return f"{last['records']:>9,} records | {seconds:.1f} s | peak {peak / 2**20:.0f} MiB ({ratios} of the first)"


if __name__ == "__main__":
    main()
