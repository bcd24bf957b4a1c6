"""The commands that are killed, small enough to be run hundreds of times, and what resuming each of them may repeat."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.make_tiny_policy import TOKENIZER, make_policy
from pipeline.runs.label import PARALLEL_BYTES
from schemas.manifest import MANIFEST, WORK_FOLDER
from tests.faults import products
from tests.faults.process_tree import CHILD, EVERYBODY, PARENT
from tests.faults.warm_balto import Ended, WarmBalto
from tests.llm_server import Behaviour, LlmServer
from tests.llm_server.claim_answers import answer_by_rule
from tests.pipeline.engines.nli.tiny_nli_models import make_encoder
from tests.rows import small_corpus, write_jsonl

MODEL = "rule-server"
SLOTS = 4  # calls in flight
SAVE_EVERY = 2  # steps
SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "corpus.jsonl"
TREE = (EVERYBODY, PARENT, CHILD)

Problems = Callable[[Path, Path, bool], list[str]]


def _nothing(out: Path, ended: Ended) -> None:
    return None


def _no_repetition(kept: Any, out: Path, ended: Ended) -> list[str]:
    return []


@dataclass(frozen=True)
class Scenario:
    """One command.   argv: of `balto` for an output.   product: file or folder name of the output.

    problems: see `products`.   kept: what a killed run has finished.   repeated: what of it the resumed run did again
    beyond what it may (one chunk: a shard, a batch of prompts, the steps since a checkpoint), as problems.
    undisturbed: an output of a run that nobody disturbed.   last_file: in the output, what makes it complete.
    victims: whom a signal may go to.
    """

    name: str
    argv: Callable[[Path], list[object]]
    product: str
    problems: Problems
    undisturbed: Path
    kept: Callable[[Path, Ended], Any] = _nothing
    repeated: Callable[[Any, Path, Ended], list[str]] = _no_repetition
    last_file: str = ""
    victims: Sequence[str] = (EVERYBODY,)


class Inputs:
    """Corpus, label sets, model and endpoint that the commands share, made once in `folder`."""

    def __init__(self, folder: Path, groups: int = 24):
        self.folder = folder
        bad = [{"id": "no-response", "prompt": "?", "context": [], "response": None}]
        self.corpus = Path(write_jsonl(folder / "corpus.jsonl", [*small_corpus(groups), *bad]))
        with open(self.corpus, "ab") as file:
            file.write(b'{"id": "cut')
        self.long = _as_long_as(PARALLEL_BYTES, self.corpus, folder / "long.jsonl")
        self.small = Path(write_jsonl(folder / "small.jsonl", small_corpus(10)))
        self.model = folder / "policy"
        make_policy(self.model, layers=1, hidden=16)
        self.server = LlmServer(Behaviour(models=(MODEL,), latency_s=0.01), answer_by_rule, keep=False)

    def __enter__(self) -> Inputs:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    def scenarios(self, balto: WarmBalto, with_verifier: bool = False) -> dict[str, Scenario]:
        """All of them by name, each run once without a disturbance.   with_verifier: `train-verifier` too, which takes
        seconds."""
        made = (
            *(self._label(), self._label_workers(), self._label_llm(), self._project()),
            *(self._generate(), self._train(), self._round(), self._report()),
            *([self._train_verifier(balto)] if with_verifier else []),
        )
        for scenario in made:  # in this order: later ones read what earlier ones made
            self._make(balto, scenario)
        return {scenario.name: scenario for scenario in made}

    def _make(self, balto: WarmBalto, scenario: Scenario) -> None:
        """The undisturbed output, written where the disturbed ones will be: some name their own place."""
        out = self.folder / "killed" / scenario.product
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        ended = balto.run(scenario.argv(out))
        assert ended.code == 0, f"{scenario.name}: {ended.stderr}"
        out.parent.rename(scenario.undisturbed.parent)

    def _label(self) -> Scenario:
        def argv(out: Path) -> list[object]:
            return ["label", self.corpus, "--out", out, "--num-shards", 3]

        return Scenario(
            *("label", argv, "labels", products.label_set_problems, self.folder / "label" / "labels"),
            kept=_finished_shards,
            repeated=_shards_written_again,
            last_file=MANIFEST,
        )

    def _label_workers(self) -> Scenario:
        def argv(out: Path) -> list[object]:
            return ["label", self.long, "--out", out, "--num-shards", 6, "--workers", 2]

        return Scenario(
            *("label-workers", argv, "labels", products.label_set_problems, self.folder / "label-workers" / "labels"),
            kept=_finished_shards,
            repeated=_shards_written_again,
            last_file=MANIFEST,
            victims=TREE,
        )

    def _label_llm(self) -> Scenario:
        engine = ["--extractor", "llm", "--verifier", "llm", "--base-url", self.server.base_url, "--model", MODEL]

        def argv(out: Path) -> list[object]:
            return ["label", self.small, "--out", out, "--num-shards", 2, "--concurrency", SLOTS, *engine]

        return Scenario(
            *("label-llm", argv, "labels", products.label_set_problems, self.folder / "label-llm" / "labels"),
            kept=_finished_shards,
            repeated=_shards_written_again,
            last_file=MANIFEST,
        )

    def _project(self) -> Scenario:
        labels = self.folder / "label" / "labels"

        def argv(out: Path) -> list[object]:
            return ["project", labels, "--tokenizer", TOKENIZER, "--out", out]

        return Scenario(
            *("project", argv, "labels", products.label_set_problems, self.folder / "project" / "labels"),
            kept=_finished_shards,
            repeated=_shards_written_again,
            last_file=MANIFEST,
        )

    def _generate(self) -> Scenario:
        sampling = ["--samples", 2, "--max-new-tokens", 8, "--max-cached-tokens", 600]

        def argv(out: Path) -> list[object]:
            return ["generate", self.small, "--model", self.model, "--out", out, *sampling]

        return Scenario(
            *("generate", argv, "corpus.jsonl", products.corpus_problems, self.folder / "generate" / "corpus.jsonl"),
            kept=_whole_groups,
            repeated=_groups_answered_again,
        )

    def _train(self) -> Scenario:
        labels = self.folder / "project" / "labels"
        options = ["--groups-per-step", 4, "--epochs", 2, "--save-every", SAVE_EVERY, "--workers", 0, "--lr", 0.01]
        options += ["--reference", "cached", "--held-out", 0.2, "--eval-every", 3]

        def argv(out: Path) -> list[object]:
            return ["train", labels, "--model", self.model, "--out", out, *options]

        return Scenario(
            *("train", argv, "run", products.run_problems, self.folder / "train" / "run"),
            kept=_last_step,
            repeated=_steps_done_again,
            last_file="model",
        )

    def _train_verifier(self, balto: WarmBalto) -> Scenario:
        words = sorted(set(re.findall(r"\w+|[^\w\s]", SAMPLE.read_text(encoding="utf-8").lower())))
        base, gold = make_encoder(self.folder / "encoder", words=words), self.folder / "gold"
        labelled = balto.run(["label", SAMPLE, "--labels", "gold", "--out", gold])
        assert labelled.code == 0, labelled.stderr
        options = ["--device", "cpu", "--epochs", 1, "--window", 128, "--held-out", 0.4]

        def argv(out: Path) -> list[object]:
            return ["train-verifier", gold, "--base", base, "--out", out, *options]

        undisturbed = self.folder / "train-verifier" / "verifier"  # a killed run starts anew: the command is one chunk
        return Scenario("train-verifier", argv, "verifier", products.verifier_problems, undisturbed)

    def _round(self) -> Scenario:
        generate = "--samples 2 --max-new-tokens 96 --max-cached-tokens 1200"  # noise, of which some is a whole clause
        label = "--num-shards 2 --neutral-band none"
        train = f"--credit token --groups-per-step 2 --epochs 2 --save-every {SAVE_EVERY} --workers 0 --eval-every 0"
        options = ["--held-out", 0.3, "--generate", generate, "--label", label, "--train", train]

        def argv(out: Path) -> list[object]:
            return ["round", self.small, "--model", self.model, "--out", out, *options]

        return Scenario(
            *("round", argv, "rounds", products.round_problems, self.folder / "round" / "rounds"),
            kept=_finished_parts,
            repeated=_parts_done_again,
            last_file="round-1/scores.json",
            victims=TREE,
        )

    def _report(self) -> Scenario:
        labels = self.folder / "label" / "labels"

        def argv(out: Path) -> list[object]:
            return ["report", labels, "--out", out]

        name, undisturbed = "page.html", self.folder / "report" / "page.html"
        return Scenario("report", argv, name, products.page_problems, undisturbed)


def _finished_shards(out: Path, ended: Ended) -> dict[str, int]:
    """When each shard with a report was written."""
    names = {path.stem for path in (out / WORK_FOLDER / "done").glob("*.json")}
    return {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.parquet") if path.stem in names}


def _shards_written_again(kept: dict[str, int], out: Path, ended: Ended) -> list[str]:
    again = [name for name, when in kept.items() if (out / "shards" / name).stat().st_mtime_ns != when]
    return [f"repeated: {name} was finished and is written again" for name in again]


def _whole_groups(out: Path, ended: Ended) -> list[bytes]:
    """Records that the killed run brought to the disk (of whole groups: two records each)."""
    partial = out.with_name(f".{out.name}.partial")
    lines = partial.read_bytes().splitlines(keepends=True) if partial.is_file() else []
    return lines[: len(lines) // 2 * 2]


def _groups_answered_again(kept: list[bytes], out: Path, ended: Ended) -> list[str]:
    """A record that is sampled again has the same text, so it is the place that tells: what was there stays there."""
    partial = out.with_name(f".{out.name}.partial")
    found = next((path.read_bytes() for path in (out, partial) if path.is_file()), b"")
    return [] if found.startswith(b"".join(kept)) else ["repeated: groups that were on the disk"]


def _last_step(out: Path, ended: Ended) -> int:
    """The last step that the killed run reported."""
    steps = _steps(ended)
    return steps[-1] if steps else 0


def _steps_done_again(kept: int, out: Path, ended: Ended) -> list[str]:
    steps = _steps(ended)
    again = kept - steps[0] + 1 if steps and kept else 0
    allowed = SAVE_EVERY if kept % SAVE_EVERY == 0 else kept % SAVE_EVERY
    return [] if again <= allowed else [f"repeated: {again} steps, {allowed} since the last checkpoint"]


def _steps(ended: Ended) -> list[int]:
    return [int(found) for found in re.findall(r"^step (\d+)/", ended.stderr, re.MULTILINE)]


_LABELS = ("start/labels", "round-1/labels", "round-1/answer-labels")
_CORPORA = ("start/answers.jsonl", "round-1/corpus.jsonl", "round-1/answers.jsonl")
_STAGES = (*_CORPORA, *(f"{name}/{MANIFEST}" for name in _LABELS), "round-1/run/model/model.safetensors")


def _finished_parts(out: Path, ended: Ended) -> dict[str, Any]:
    """Of a round: when each stage was finished, and what a stage had finished that was not."""
    return {
        "stages": {name: (out / name).stat().st_mtime_ns for name in _STAGES if (out / name).exists()},
        "shards": {name: _finished_shards(out / name, ended) for name in _LABELS},
        "groups": {name: _whole_groups(out / name, ended) for name in _CORPORA},
        "step": _last_step(out, ended),
    }


def _parts_done_again(kept: dict[str, Any], out: Path, ended: Ended) -> list[str]:
    stages = kept["stages"].items()
    again = [f"repeated: {name} was finished" for name, when in stages if (out / name).stat().st_mtime_ns != when]
    for name, shards in kept["shards"].items():
        again += _shards_written_again(shards, out / name, ended)
    for name, groups in kept["groups"].items():
        again += _groups_answered_again(groups, out / name, ended)
    return again + _steps_done_again(kept["step"], out, ended)


def _as_long_as(least_bytes: int, corpus: Path, path: Path) -> Path:
    """The same records with blanks around them, which readers pass over."""
    lines = corpus.read_bytes().splitlines()
    blanks = b" " * (least_bytes // len(lines) + 1)
    path.write_bytes(b"".join(blanks + line + b"\n" for line in lines))
    return path


def usage_of(out: Path) -> dict[str, Any]:
    """What a label set says that was sent."""
    return json.loads((out / "manifest.json").read_bytes())["usage"]
