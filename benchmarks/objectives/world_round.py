"""A whole round on the synthetic world, from prompts to scores before and after, through the product's own stages.

    python -m benchmarks.objectives.world_round --out demo-output/round               # reduced: under a minute
    python -m benchmarks.objectives.world_round --out DIR --train 256 --held-out 192 --epochs 3

The start is a model of 94,000 parameters that knows this world and invents 40 % of its claims (data/world; written by
`--write-model` from the benchmark's base). generate -> exact marks -> label -> train -> generate -> label -> score:
what `balto round` does, with one difference: the world's own verifier marks what is wrong (`gold_spans`, as people
would) and `balto label --labels gold` reads the marks, because the embedded engine knows English, not this world. The
prompts that are scored are never trained on. All files are of the ordinary kinds, so every `balto` command reads them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from benchmarks.objectives.sampling import draw_prompts
from benchmarks.objectives.world import MAX_RESPONSE_TOKENS, Prompt
from benchmarks.objectives.world_text import gold_spans, prompt_sample, text_of, world_tokenizer
from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.runs.label import Resources, run_label
from pipeline.score.tables import score_tables
from pipeline.show.show_tables import print_tables
from rounds.generate_corpus import GenerationConfig, run_generate
from schemas.samples import sample_from_json, sample_to_json
from trainer.config import TrainConfig
from trainer.generation.sampling import SamplingParams
from trainer.train import train

MODEL = Path(__file__).parents[2] / "data" / "world" / "model"
SCORES = ("faithfulness", "informativeness", "q_score", "characters")
KINDS = ("supported", "unsupported", "neutral", "stop")


def write_model(folder: Path, rate: float) -> None:
    """The benchmark's base of a rate with its tokenizer, in half precision: 0.2 MB."""
    from benchmarks.objectives.models import base_model

    base_model(rate).half().save_pretrained(folder)
    world_tokenizer().save_pretrained(folder)


def write_prompts(prompts: Mapping[str, Prompt], path: Path) -> None:
    """Prompts as a corpus without responses."""
    lines = [json.dumps(sample_to_json(prompt_sample(prompt, name))) + "\n" for name, prompt in prompts.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


def answer(model: Path, prompts: Mapping[str, Prompt], samples: int, seed: int, folder: Path) -> Path:
    """`balto generate`, the world's marks, `balto label --labels gold`: the label set."""
    write_prompts(prompts, folder / "prompts.jsonl")
    params = SamplingParams(num_samples=samples, max_new_tokens=MAX_RESPONSE_TOKENS, seed=seed)
    config = GenerationConfig((str(folder / "prompts.jsonl"),), str(model), params, policy=folder.name)
    run_generate(config, folder / "corpus.jsonl")
    mark(folder / "corpus.jsonl", prompts, folder / "marked.jsonl")
    files = open_corpus([str(folder / "marked.jsonl")])
    config = LabelConfig(num_shards=1, labels="gold", tokenizer=str(model))
    run_label(files, folder / "labels", config, Resources(), overwrite=False)
    return folder / "labels"


def mark(corpus: Path, prompts: Mapping[str, Prompt], out: Path) -> None:
    """Every response with the exact verifier's marks; its text must be that of its ids."""
    with corpus.open() as lines, out.open("w") as marked:
        for number, line in enumerate(lines, start=1):
            sample = sample_from_json(json.loads(line), source=corpus.name, source_row=number, default_id=None)
            token_ids = sample.response_token_ids or ()
            assert sample.response == text_of(token_ids), (sample.response, token_ids)
            spans = gold_spans(prompts[sample.group_id], token_ids)
            marked.write(json.dumps(sample_to_json(dataclasses.replace(sample, gold_spans=spans))) + "\n")


def run_round(
    out: Path, num_train: int, num_held_out: int, epochs: int, rate: float
) -> dict[str, list[dict[str, Any]]]:
    """Tables: scores before and after on held-out prompts, what moved, one prompt's answers. See the module."""
    held_out = {f"held-out-{i}": prompt for i, prompt in enumerate(draw_prompts("select", num_held_out))}
    training = {f"train-{i}": prompt for i, prompt in enumerate(draw_prompts("train", num_train))}
    _say(f"the model answers {num_held_out} held-out prompts, 4 times each")
    before = answer(MODEL, held_out, 4, 0, out / "before")
    _say(f"it answers {num_train} training prompts, 8 times each; a verifier marks what their contexts do not hold")
    labels = answer(MODEL, training, 8, 1, out / "training")
    _say("balanced training on these labels, all else at its defaults")
    config = TrainConfig(
        labels=(str(labels),),
        model=str(MODEL),
        out=str(out / "run"),
        lr=rate,
        epochs=epochs,
        groups_per_step=8,
        warmup_steps=2,
        held_out=1 / 8,
        save_every=0,
        eval_every=0,
        workers=0,
    )
    summary = train(config)
    _say("the trained model answers the held-out prompts")
    after = answer(Path(str(summary["model"])), held_out, 4, 0, out / "after")
    return {
        "before and after, held-out prompts (95 % intervals of the paired difference)": _scores(before, after),
        "what moved: tokens of held-out groups of the label set, under the trained model against the start": _moved(
            summary["metrics"]
        ),
        "one held-out prompt, two answers each; [-what its context does not hold-]": _example(out, held_out),
    }


def _scores(before: Path, after: Path) -> list[dict[str, Any]]:
    start = {row["score"]: row["value"] for row in score_tables([str(before)], [str(before)])["scores"].to_dicts()}
    tables = score_tables([str(after)], [str(before)])
    change = {row["score"]: row for row in tables["against the base"].to_dicts()}
    return [
        {
            "score": row["score"],
            "before": start[row["score"]],
            "after": row["value"],
            **{name: change[row["score"]][name] for name in ("difference", "low", "high")},
        }
        for row in tables["scores"].to_dicts()
        if row["score"] in SCORES
    ]


def _moved(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "tokens": kind,
            "count": int(metrics[f"{kind}_tokens"]),
            "mean log-ratio": metrics[f"log_ratio_{kind}"],
            "as likely as before": f"x{math.exp(metrics[f'log_ratio_{kind}']):.2f}",
        }
        for kind in KINDS
        if f"log_ratio_{kind}" in metrics
    ]


def _example(out: Path, prompts: Mapping[str, Prompt]) -> list[dict[str, Any]]:
    """Facts and answers of the held-out prompt with the most marked characters before; [-wrong-] in brackets."""
    found = {name: _marked(out / name / "marked.jsonl") for name in ("before", "after")}
    name = max(prompts, key=lambda name: (sum(text.count("[-") for text in found["before"][name]), name))
    sample = prompt_sample(prompts[name], name)
    rows = [{"what": "context", "text": "; ".join(passage.text for passage in sample.context)}]
    rows.append({"what": "prompt", "text": str(sample.prompt)})
    return rows + [{"what": when, "text": text} for when in found for text in found[when][name][:2]]


def _marked(path: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        record = json.loads(line)
        text = record["response"]
        for span in sorted(record["gold_spans"], key=lambda span: -span["start"]):
            start, end = span["start"], span["end"]
            text = f"{text[:start]}[-{text[start:end]}-]{text[end:]}"
        texts.setdefault(record["group_id"], []).append(text)
    return texts


def _say(what: str) -> None:
    sys.stderr.write(f"round: {what}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a round and print its tables, or write the model that it starts from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the round, new")
    parser.add_argument("--train", type=int, default=64, help="training prompts, 8 responses each")
    parser.add_argument("--held-out", type=int, default=48, help="prompts that are scored, 4 responses each")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=5e-4, help="peak learning rate")
    parser.add_argument("--write-model", type=Path, help="write the start model here instead (minutes)")
    asked = parser.parse_args(arguments)
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    if asked.write_model:
        write_model(asked.write_model, 0.4)
        return
    if asked.out is None:
        parser.error("--out is missing")
    torch.set_num_threads(1)
    print_tables(run_round(asked.out, asked.train, asked.held_out, asked.epochs, asked.rate))


if __name__ == "__main__":
    main()
