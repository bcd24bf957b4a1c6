"""`balto round`: generate, label, train, generate on held-out prompts, label, score against the start.

    OUT/prompts/train.jsonl, held-out.jsonl        one record per prompt group, split by a hash of the group
    OUT/prompts/rejected.jsonl                     records that could not be read, if there are any
    OUT/start/answers.jsonl, labels/               what the model says to the held-out prompts before any training
    OUT/round-1/corpus.jsonl, labels/, run/        its responses to the training prompts, their labels, the training run
    OUT/round-1/answers.jsonl, answer-labels/      the trained model on the held-out prompts
    OUT/round-1/scores.json                        scores and their paired differences to the start

Every stage is a `balto` command of its own process, so it can be repeated by hand, and its output is read by every
other command. A stage whose product is complete is not run again; one that was interrupted resumes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.corpora import open_corpus
from rounds.check_options import check_options
from rounds.read_prompts import read_prompts
from rounds.run_stage import LOCK, Stage, run_stage, tidy_up
from schemas.disk import remove_partials, write_atomically
from schemas.errors import ConfigError
from schemas.interruption import completing, interrupt_if_heard
from schemas.lock import only_run
from schemas.manifest import MANIFEST
from schemas.records import Rejected, Sample
from schemas.samples import sample_to_json
from trainer.generation.write_corpus import write_rejected

REJECTED = "rejected.jsonl"
NOTE = "round.json"
# The commands that take options of their own, and the options that the round gives them.
STAGES = {
    "generate": ("--out", "--model", "--seed"),
    "label": ("--out", "--tokenizer"),
    "train": ("--out", "--model", "--seed"),
}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RoundConfig:
    """What `balto round` was asked to do. generate, label, train: further options of these commands, as one string."""

    prompts: tuple[str, ...]
    model: str
    rounds: int = 1
    held_out: float = 0.2
    format: str | None = None
    seed: int = 0
    generate: str = ""
    label: str = ""
    train: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ConfigError(f"--held-out {self.held_out}: must be above 0 and below 1")
        for name in STAGES:
            try:
                options = shlex.split(getattr(self, name))
            except ValueError as err:
                raise ConfigError(f"--{name} {getattr(self, name)!r}: {err}") from err
            ours = [option for option in options if option.split("=")[0] in STAGES[name]]
            if ours:
                raise ConfigError(f"--{name}: {ours[0]} is chosen by the round itself; leave it out")


def run_round(config: RoundConfig, out: Path) -> list[dict[str, Any]]:
    """Run or resume all rounds; the scores of each (see `score_round`). Raises BaltoError when a stage fails."""
    open_corpus(config.prompts, config.format)  # wrong paths are told before anything is written
    check_options(stages(config, out))
    with only_run(out, out / LOCK):
        remove_partials(out, NOTE)
        _hold(out, config)
        for folder in (out / "prompts", *out.glob("round-*")):
            remove_partials(folder)
        _split_prompts(config, out / "prompts")
        for stage in stages(config, out):
            interrupt_if_heard()
            if stage.product.exists():
                tidy_up(stage)
                log.info("%s: done", stage.name)
            else:
                run_stage(stage)
        scores = [score_round(out, number) for number in range(1, config.rounds)]
        with completing():
            return [*scores, score_round(out, config.rounds)]


def stages(config: RoundConfig, out: Path) -> Iterator[Stage]:
    """All commands of all rounds, in order."""
    yield from _answers(config, "start", config.model, out / "start", "labels", out)
    model = config.model
    for number in range(1, config.rounds + 1):
        folder, name = out / f"round-{number}", f"round {number} of {config.rounds}"
        corpus, labels, run = folder / "corpus.jsonl", folder / "labels", folder / "run"
        yield _generate(config, f"{name}: generate", model, out / "prompts" / "train.jsonl", corpus, number)
        yield _label(config, f"{name}: label", model, corpus, labels)
        arguments = ("train", str(labels), "--model", model, "--out", str(run), "--seed", str(config.seed))
        trained = run / "model"
        yield Stage(f"{name}: train", (*arguments, *shlex.split(config.train)), trained)
        model = str(trained)
        yield from _answers(config, name, model, folder, "answer-labels", out)


def _answers(config: RoundConfig, name: str, model: str, folder: Path, labels: str, out: Path) -> Iterator[Stage]:
    """The model on the held-out prompts, with the same random streams in every round."""
    answers = folder / "answers.jsonl"
    yield _generate(config, f"{name}: answer", model, out / "prompts" / "held-out.jsonl", answers, 0)
    yield _label(config, f"{name}: label answers", model, answers, folder / labels)


def _generate(config: RoundConfig, name: str, model: str, prompts: Path, corpus: Path, number: int) -> Stage:
    seed = str(config.seed + number)
    arguments = ("generate", str(prompts), "--model", model, "--out", str(corpus), "--seed", seed)
    return Stage(name, (*arguments, *shlex.split(config.generate)), corpus)


def _label(config: RoundConfig, name: str, model: str, corpus: Path, labels: Path) -> Stage:
    arguments = ("label", str(corpus), "--out", str(labels), "--tokenizer", model)
    return Stage(name, (*arguments, *shlex.split(config.label)), labels / MANIFEST)


def _hold(out: Path, config: RoundConfig) -> None:
    """Note down what is asked; refuse to go on with something else.

    More rounds may be asked for later, and a command may get other options as long as nothing was made with its own.
    """
    asked = {name: value for name, value in dataclasses.asdict(config).items() if name != "rounds"}
    asked = json.loads(json.dumps(asked))
    note = out / NOTE
    if note.is_file():
        before = json.loads(note.read_bytes())
        for name in sorted({*asked, *before}):
            if before.get(name) != asked.get(name):
                _refuse_change(name, before.get(name), asked.get(name), config, out)
        if before != asked:
            write_atomically(note, json.dumps(asked, indent=1).encode())
        return
    if {path.name for path in out.iterdir()} - {LOCK}:
        raise ConfigError(f"--out {out}: is there already and holds no round; name a new folder")
    write_atomically(note, json.dumps(asked, indent=1).encode())


def _refuse_change(name: str, before: Any, asked: Any, config: RoundConfig, out: Path) -> None:
    """Raise ConfigError for another answer than before, unless these are options of a command that has made nothing."""
    says = f"--out {out}: holds a round with {name} {json.dumps(before)}, not {json.dumps(asked)}"
    if name not in STAGES:
        raise ConfigError(f"{says}; repeat that command to resume it, or name another folder")
    products = [stage.product for stage in stages(config, out) if stage.arguments[0] == name]
    made = [product.parent if product.name == MANIFEST else product for product in products if product.exists()]
    if made:
        paths = ", ".join(str(path.relative_to(out)) for path in made)
        raise ConfigError(
            f"{says}; repeat that command to resume it, name another folder, or remove what was made so: {paths}"
        )


def _split_prompts(config: RoundConfig, folder: Path) -> None:
    """Write the prompts to train on and the held-out ones, unless they are there already."""
    train, held_out = folder / "train.jsonl", folder / "held-out.jsonl"
    if train.is_file() and held_out.is_file():
        return
    refused: list[Rejected] = []
    samples = list(read_prompts(config.prompts, config.format, refused))
    if len(samples) < 2:
        raise ConfigError(
            f"{config.prompts[0]}: {len(samples)} prompt groups; a round needs one to train on and one held out"
        )
    chosen = held_out_groups([sample.group_id for sample in samples], config.held_out, config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    if refused:
        log.warning("%d records could not be read: %s", len(refused), folder / REJECTED)
        write_rejected(folder / REJECTED, refused)
    _write_prompts(held_out, [sample for sample in samples if sample.group_id in chosen])
    _write_prompts(train, [sample for sample in samples if sample.group_id not in chosen])


def held_out_groups(group_ids: Sequence[str], share: float, seed: int) -> set[str]:
    """The groups with the lowest hashes: `share` of them, rounded, at least one and not all."""

    def digest(group_id: str) -> bytes:
        return hashlib.blake2b(f"{seed}\0{group_id}".encode(), digest_size=16).digest()

    count = min(max(1, round(share * len(group_ids))), len(group_ids) - 1)
    return set(sorted(group_ids, key=digest)[:count])


def _write_prompts(path: Path, samples: Sequence[Sample]) -> None:
    lines = [json.dumps(sample_to_json(sample), ensure_ascii=False) + "\n" for sample in samples]
    write_atomically(path, "".join(lines).encode())


def score_round(out: Path, number: int) -> dict[str, Any]:
    """Scores of the start and of a round on the held-out prompts, and the paired differences; kept as scores.json."""
    path = out / f"round-{number}" / "scores.json"
    if path.is_file():
        return json.loads(path.read_bytes())
    from pipeline.score.tables import score_tables

    start, labels = str(out / "start" / "labels"), str(out / f"round-{number}" / "answer-labels")
    before, after = score_tables([start], [start]), score_tables([labels], [start])
    scores = {
        "round": number,
        "model": str(out / f"round-{number}" / "run" / "model"),
        "start": before["scores"].to_dicts(),
        "round_scores": after["scores"].to_dicts(),
        "difference": after["against the base"].to_dicts(),
    }
    write_atomically(path, json.dumps(scores, indent=1, ensure_ascii=False).encode())
    return scores
