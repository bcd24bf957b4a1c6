"""Kill every command hundreds of times at seeded moments, resume it, and count what was lost, doubled or unreadable.

    python -m benchmarks.kill_suite --kills 500 --seed 1

Half of the kills (SIGKILL) fall in front of a change of the file system, half at a random time of the run. A run is
killed up to six times before it may end. `label` with two workers and `round` are process trees: a kill takes all of
it, the command's own process alone, or one of those that it started, which must be told in one line.

After every kill, what stands there must be refused as unfinished or be whole. In the end it must equal the output of
an undisturbed run, no finished chunk may have been done again, and no process may live on. `train-verifier` (3 s a run,
too long for the test suite) resumes nothing: killed, it leaves nothing under its name, and trains anew.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.faults.kills import Toll, Undisturbed, kill_and_resume, measure, random_moments
from tests.faults.products import DIFFERENT, DOUBLED, LEFT, LOST, UNREADABLE
from tests.faults.scenarios import SLOTS, Inputs, Scenario
from tests.faults.warm_balto import WarmBalto

KINDS = (LOST, DOUBLED, UNREADABLE, DIFFERENT, LEFT, "repeated", "said badly", "hung")


def kill_all(names: list[str], kills: int, seed: int) -> dict[str, Toll]:
    """At least `kills` kills, dealt over the scenarios: a round over all of them at a time."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with WarmBalto(folder) as balto, Inputs(folder) as inputs:
            scenarios = {name: one for name, one in inputs.scenarios(balto, True).items() if not names or name in names}
            costs = {name: measure(balto, inputs, one, folder / "killed") for name, one in scenarios.items()}
            tolls = {name: Toll() for name in scenarios}
            turn, started = 0, time.monotonic()
            while sum(toll.kills for toll in tolls.values()) < kills:
                _one_round(balto, inputs, scenarios, costs, folder, f"{seed} {turn}", tolls)
                turn += 1
                done = sum(toll.kills for toll in tolls.values())
                print(f"{done} kills | {time.monotonic() - started:.0f} s", file=sys.stderr)
    return tolls


def _one_round(
    balto: WarmBalto,
    inputs: Inputs,
    scenarios: Mapping[str, Scenario],
    costs: Mapping[str, Undisturbed],
    folder: Path,
    seed: str,
    tolls: Mapping[str, Toll],
) -> None:
    for name, scenario in scenarios.items():
        before = len(tolls[name].problems)
        rng = random.Random(f"{seed} {name}")
        moments = random_moments(costs[name], rng, victims=scenario.victims)
        kill_and_resume(balto, inputs, scenario, costs[name], folder / "killed", moments, tolls[name])
        for story, problem in tolls[name].problems[before:]:
            print(f"{story}: {problem}", file=sys.stderr)


def main() -> None:
    """Command line; exit status 1 when anything was lost, doubled, unreadable, different, left over or repeated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        help="label, label-workers, label-llm, project, generate, train, round, report, train-verifier",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tolls = kill_all(options.only, options.kills, options.seed)
    found = {
        name: {"kills": toll.kills, "runs": toll.runs, **{kind: toll.count(kind) for kind in KINDS}}
        for name, toll in tolls.items()
    }
    found["all"] = {key: sum(row[key] for row in found.values()) for key in ("kills", "runs", *KINDS)}
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        print(f"| command | {' | '.join(found['all'])} |\n{'|---' * (1 + len(found['all']))}|")
        for name, row in found.items():
            print(f"| {name} | " + " | ".join(map(str, row.values())) + " |")
        calls = tolls["label-llm"] if "label-llm" in tolls else Toll()
        refused = sum(toll.refused for toll in tolls.values())
        print(f"commands told to wait for a part of the killed run that lived on for a moment: {refused}")
        print(f"calls asked again: {calls.calls_again} after {calls.kills} kills with {SLOTS} in flight")
    sys.exit(any(found["all"][kind] for kind in KINDS))


if __name__ == "__main__":
    main()
