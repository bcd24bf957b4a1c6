"""Kill a command, resume it, kill it again, until it ends: and look at what it left after every kill and in the end."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.scenarios import SLOTS, Inputs, Scenario
from tests.faults.warm_balto import Ended, WarmBalto

MAX_KILLS = 6  # of one run before it may end
KILLED = -9


@dataclass
class Toll:
    """What became of the kills of one scenario. repeated_s: time of all parts of a run beyond an undisturbed one."""

    kills: int = 0
    runs: int = 0
    problems: list[str] = field(default_factory=list)
    seconds_lost: list[float] = field(default_factory=list)
    calls_again: int = 0

    def count(self, kind: str) -> int:
        """Problems of a kind of `products`."""
        return sum(problem.partition(": ")[2].startswith(kind) for problem in self.problems)


@dataclass(frozen=True)
class Undisturbed:
    """What a run costs when nobody kills it."""

    seconds: float
    operations: int
    calls: int


def measure(balto: WarmBalto, inputs: Inputs, scenario: Scenario, folder: Path) -> Undisturbed:
    """One more run, all its changes of the file system counted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sent = inputs.server.counts["sent"]
    ended = balto.run(scenario.argv(folder / scenario.product), watch=folder)
    assert ended.code == 0, ended.stderr
    return Undisturbed(ended.seconds, ended.operations, inputs.server.counts["sent"] - sent)


def kill_and_resume(
    balto: WarmBalto,
    inputs: Inputs,
    scenario: Scenario,
    cost: Undisturbed,
    folder: Path,
    rng: random.Random,
    toll: Toll,
) -> None:
    """One run from its start to its end, killed up to MAX_KILLS times on its way; adds to `toll`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    out, story = folder / scenario.product, []
    sent, kills, kept = inputs.server.counts["sent"], 0, None
    found: list[str] = []
    while True:
        moment = _moment(cost, rng) if kills < MAX_KILLS else {}
        ended = balto.run(scenario.argv(out), watch=folder, **moment)
        story.append(_told(moment, ended))
        if kept is not None:
            found += scenario.repeated(kept, out, ended)
        if ended.code != KILLED:
            break
        kills += 1
        kept = scenario.kept(out, ended)
        found += scenario.problems(out, scenario.undisturbed, False)
    if ended.code != 0 and not _said_finished(ended):
        found.append(f"lost: the run did not go on: {ended.stderr.strip()[-300:]}")
    found += scenario.problems(out, scenario.undisturbed, True)
    again = max(0, inputs.server.counts["sent"] - sent - cost.calls)
    if again > kills * SLOTS:
        found.append(f"repeated: {again} calls after {kills} kills with {SLOTS} in flight")
    toll.kills += kills
    toll.runs += 1
    toll.calls_again += again
    toll.problems += [f"{scenario.name} ({'; '.join(story)}): {problem}" for problem in found]


def _moment(cost: Undisturbed, rng: random.Random) -> dict[str, Any]:
    """When to kill: in front of a change of the file system, or at a time, half of the kills each."""
    if rng.random() < 0.5:
        return {"kill_at": rng.randint(1, cost.operations)}
    return {"kill_after_s": rng.uniform(0, cost.seconds)}


def _told(moment: dict[str, Any], ended: Ended) -> str:
    when = ", ".join(f"{name} {value:.3g}" for name, value in moment.items())
    return f"{when or 'to the end'}: exit {ended.code}"


def _said_finished(ended: Ended) -> bool:
    """A run that was killed when its work was done: repeated, the command says that it is there."""
    return ended.code == 2 and (
        "already holds a finished label set" in ended.stderr or "is there already" in ended.stderr
    )
