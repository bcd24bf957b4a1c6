"""Kill a command, resume it, kill it again, until it ends: and look at what it left after every kill and in the end."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.process_tree import CHILD, EVERYBODY, survivors
from tests.faults.products import LEFT
from tests.faults.scenarios import SLOTS, Inputs, Scenario
from tests.faults.warm_balto import Ended, WarmBalto

MAX_KILLS = 6  # of one run before it may end
KILLED = -9
WAIT_S = 0.5


@dataclass
class Toll:
    """What became of the kills of one scenario.

    runs: from start to end.   refused: resuming commands that were told to wait, as a part of the killed run lived on.
    calls_again: beyond those of undisturbed runs.   problems: (what was done to the run, what was found).
    """

    kills: int = 0
    runs: int = 0
    refused: int = 0
    calls_again: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Problems of a kind of `products`."""
        return sum(problem.startswith(f"{kind}: ") for _, problem in self.problems)


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


def random_moments(
    cost: Undisturbed, rng: random.Random, kills: int = MAX_KILLS, victims: Sequence[str] = (EVERYBODY,)
) -> list[dict[str, Any]]:
    """When to kill: in front of a change of the file system, or at a time, half of the kills each; and whom."""
    return [
        ({"kill_at": rng.randint(1, cost.operations)} if rng.random() < 0.5 else _some_time(cost, rng))
        | {"victim": rng.choice(victims)}
        for _ in range(kills)
    ]


def _some_time(cost: Undisturbed, rng: random.Random) -> dict[str, float]:
    return {"kill_after_s": rng.uniform(0, cost.seconds), "chance": rng.random()}


def kill_and_resume(
    balto: WarmBalto,
    inputs: Inputs,
    scenario: Scenario,
    cost: Undisturbed,
    folder: Path,
    moments: Sequence[dict[str, Any]],
    toll: Toll,
) -> None:
    """One run from its start to its end, killed at each of the moments on its way; adds to `toll`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    out, story = folder / scenario.product, []
    sent, kills, kept = inputs.server.counts["sent"], 0, None
    found: list[str] = []
    leaders: list[int] = []
    waiting = list(moments)
    while True:
        moment = waiting.pop(0) if waiting else {}
        ended = balto.run(scenario.argv(out), watch=folder, **moment)
        leaders.append(ended.leader)
        story.append(_told(moment, ended))
        if ended.hung:
            found.append("hung: it did not end")
        if kept is not None:
            found += scenario.repeated(kept, out, ended)
        # a command may have ended by itself in the very moment in which the signal was sent
        hit = ended.hit and (ended.code == KILLED or moment["victim"] == CHILD)
        if not hit and _must_wait(ended):
            toll.refused += 1
            time.sleep(WAIT_S)
            continue
        kills += hit
        if not hit or ended.code == 0:  # a worker that had nothing to do any more is not missed
            break
        kept = scenario.kept(out, ended)
        found += _said_badly(ended) + scenario.problems(out, scenario.undisturbed, False)
    found += [f"{LEFT}: a process of a run that was killed" for _ in survivors(leaders)]
    if ended.code != 0 and not _said_finished(ended):
        found.append(f"lost: the run did not go on: {ended.stderr.strip()[-300:]}")
    found += scenario.problems(out, scenario.undisturbed, True)
    again = max(0, inputs.server.counts["sent"] - sent - cost.calls)
    if again > kills * SLOTS:
        found.append(f"repeated: {again} calls after {kills} kills with {SLOTS} in flight")
    toll.kills += kills
    toll.runs += 1
    toll.calls_again += again
    toll.problems += [(f"{scenario.name} ({'; '.join(story)})", problem) for problem in found]


def _must_wait(ended: Ended) -> bool:
    """A stage of a round outlives it for a moment when it alone is killed."""
    return ended.code != 0 and "another run is writing there" in ended.stderr


def _said_badly(ended: Ended) -> list[str]:
    """A command whose worker or stage was killed says so in one line."""
    if ended.code == KILLED:
        return []
    said = [line for line in ended.stderr.splitlines() if line.startswith("balto: ")]
    if ended.code == 1 and len(said) == 1 and "the same command" in said[0] and "Traceback" not in ended.stderr:
        return []
    return [f"said badly: exit {ended.code}: {ended.stderr.strip()[-1000:]}"]


def _told(moment: dict[str, Any], ended: Ended) -> str:
    values = [
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in moment.items()
    ]
    when = ", ".join(values)
    return f"{when or 'to the end'}: exit {ended.code}"


def _said_finished(ended: Ended) -> bool:
    """A run that was killed when its work was done: repeated, the command says that it is there."""
    return ended.code == 2 and (
        "already holds a finished label set" in ended.stderr or "is there already" in ended.stderr
    )
