"""Does training on human labels do what it says, to log-probabilities and to the length of samples?

    python -m benchmarks.training_on_gold
    python -m benchmarks.training_on_gold --corpus ../shared/datasets/ragtruth_qa/response.jsonl --groups 12 --passes 30

The gold spans of a corpus (default: data/sample) become a label set. A tiny model first learns to write its responses
by maximum likelihood, so that it has lengths and a stop token worth keeping; then `balto train` trains it with its
defaults, all but the learning rate, which tiny models need higher. Printed for every kind of token: the mean log-ratio
to the base over the trained groups; and the mean length of samples before and after, from the same random streams.
The exit code is 1 unless supported tokens went up, unsupported ones down, neutral and stop tokens stayed within the
clip's width (|mean log-ratio| <= log 1.4) and the mean length within a tenth of the base's. It is a test on the
groups that were trained on: of the machinery, not of how well it generalises.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from benchmarks.make_tiny_policy import make_policy
from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.runs.label import Resources, run_label
from schemas.rows import from_table
from schemas.samples import sample_to_json
from trainer.attention import use_shared_prefix_attention
from trainer.config import make_config
from trainer.data.groups import PromptGroup
from trainer.data.label_sets import open_label_sets
from trainer.data.stream import GroupStream
from trainer.generation.sampling import SamplingParams, sample_responses
from trainer.logprobs import TokenLogprobs
from trainer.loss import KINDS
from trainer.packing import lay_out
from trainer.prompts import PromptRenderer
from trainer.train import train

SAMPLE: Final = Path(__file__).parents[1] / "data" / "sample" / "corpus.jsonl"
CLIP_WIDTH: Final = math.log(1.4)
LENGTH_CHANGE: Final = 0.1
FITTING_RATE: Final = 3e-3


def make_labels(corpus: Path, groups: int | None, tokenizer: Path, out: Path) -> None:
    """A label set of the corpus's human spans; of the first groups with an unsupported token where `groups` says."""
    config = LabelConfig(num_shards=1, labels="gold", tokenizer=str(tokenizer))
    if groups is None:
        run_label(open_corpus([str(corpus)]), out, config, Resources(), False)
        return
    with tempfile.TemporaryDirectory() as folder:
        run_label(open_corpus([str(corpus)]), Path(folder) / "all", config, Resources(), False)
        mixed = {group.group_id for group in read_groups(Path(folder) / "all", tokenizer) if _is_mixed(group)}
        chosen = sorted(mixed)[:groups]
        shards = sorted((Path(folder) / "all" / "shards").iterdir())
        samples = [row.sample for path in shards for row in from_table(pq.read_table(path))]
        kept = Path(folder) / "kept.jsonl"
        lines = (json.dumps(sample_to_json(sample)) for sample in samples if sample.group_id in chosen)
        kept.write_text("\n".join(lines))
        run_label(open_corpus([str(kept)]), out, config, Resources(), False)


def _is_mixed(group: PromptGroup) -> bool:
    labels = np.concatenate([row.labels for row in group.responses])
    return bool((labels > 0).any() and (labels < 0).any())


def read_groups(labels: Path, model: Path) -> list[PromptGroup]:
    """All prompt groups, as training reads them."""
    label_sets = open_label_sets([(labels, 1.0)])
    with GroupStream(label_sets, PromptRenderer(AutoTokenizer.from_pretrained(model)), 0) as stream:
        index = stream.measure()
        steps = stream.held_out(index, np.arange(len(index.entries)), 10**9, 64)
        return [group for step in steps for group in step.groups]


def load_scorer(model: Path) -> TokenLogprobs:
    """The model as a scorer of packed rows."""
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(model)
    use_shared_prefix_attention(loaded)
    return TokenLogprobs(loaded)


def fit(model: Path, groups: Sequence[PromptGroup], passes: int) -> float:
    """Maximum likelihood of the responses, their stop tokens included; mean log-probability in the last pass."""
    scorer = load_scorer(model)
    optimizer = torch.optim.AdamW(scorer.parameters(), lr=FITTING_RATE, betas=(0.9, 0.95))
    random = np.random.default_rng(0)
    last: list[float] = []
    for number in range(passes):
        last = []
        for at in random.permutation(len(groups)):
            for settings in optimizer.param_groups:
                settings["lr"] = FITTING_RATE * (1 - number / passes)
            found = scorer(_row(groups[at])).logprobs.mean()
            (-found).backward()
            optimizer.step()
            optimizer.zero_grad()
            last.append(float(found.detach()))
    scorer.causal_lm.config._attn_implementation = None
    scorer.causal_lm.save_pretrained(model)
    return float(np.mean(last))


def _row(group: PromptGroup) -> Any:
    return lay_out([(group.prompt_ids, [row.token_ids for row in group.responses])], "packed")


@torch.no_grad()
def log_ratios(base: Path, trained: Path, groups: Sequence[PromptGroup]) -> dict[str, np.ndarray]:
    """Per kind of token: log pi - log pi_base of every token of the groups."""
    scorers = load_scorer(base), load_scorer(trained)
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for group in groups:
        before, after = (scorer(_row(group)).logprobs.numpy() for scorer in scorers)
        labels = np.concatenate([row.labels for row in group.responses])
        stop = np.concatenate([row.is_stop for row in group.responses])
        masks = (labels > 0, labels < 0, (labels == 0) & ~stop, stop)
        for kind, mask in zip(KINDS, masks, strict=True):
            found[kind].append((after - before)[mask])
    return {kind: np.concatenate(values) for kind, values in found.items()}


def sample_lengths(model: Path, groups: Sequence[PromptGroup], samples: int) -> np.ndarray:
    """(groups, samples) tokens of sampled responses, cut at twice the longest response."""
    loaded: Any = AutoModelForCausalLM.from_pretrained(model).eval()
    longest = max(len(row) for group in groups for row in group.responses)
    params = SamplingParams(num_samples=samples, max_new_tokens=2 * longest)
    prompts = [(group.group_id, group.prompt_ids.tolist()) for group in groups]
    stop = frozenset({loaded.config.eos_token_id})
    batches = [prompts[at : at + 8] for at in range(0, len(prompts), 8)]
    answers = [answer for batch in batches for answer in sample_responses(loaded, batch, params, stop)]
    return np.array([[len(one.token_ids) for one in answer] for answer in answers])


def verdicts(ratios: dict[str, np.ndarray], before: np.ndarray, after: np.ndarray) -> dict[str, bool]:
    """What must hold, and whether it does."""
    mean = {kind: float(values.mean()) if len(values) else 0.0 for kind, values in ratios.items()}
    return {
        "supported up": mean["supported"] > 0,
        "unsupported down": mean["unsupported"] < 0,
        "neutral within the clip's width": abs(mean["neutral"]) <= CLIP_WIDTH,
        "stop within the clip's width": abs(mean["stop"]) <= CLIP_WIDTH,
        "length within a tenth": abs(after.mean() / before.mean() - 1) <= LENGTH_CHANGE,
    }


def _with_error(lengths: np.ndarray) -> str:
    """Mean and standard error: tiny models ramble, and few samples say little about a mean."""
    return f"{lengths.mean():.1f} ± {lengths.std() / lengths.size**0.5:.1f}"


def main() -> None:
    """Make, fit, train, compare; print a table and what holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=SAMPLE)
    parser.add_argument("--groups", type=int, help="so many prompt groups with both kinds of tokens; default: all")
    parser.add_argument("--passes", type=int, default=60, help="of maximum likelihood, to make the base")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--samples", type=int, default=16, help="per prompt")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="further options of balto train")
    args = parser.parse_args()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        base, labels, out = (Path(folder) / name for name in ("base", "labels", "run"))
        make_policy(base)
        make_labels(args.corpus, args.groups, base, labels)
        groups = read_groups(labels, base)
        fitted = fit(base, groups, args.passes)
        options = {"epochs": args.epochs, "lr": args.lr, "groups_per_step": 4, "warmup_steps": 2, "workers": 0}
        options |= {"labels": [str(labels)], "model": str(base), "out": str(out), "save_every": 0}
        steps = train(make_config(options | dict(one.split("=", 1) for one in args.set)))["steps"]
        ratios = log_ratios(base, out / "model", groups)
        before, after = (sample_lengths(model, groups, args.samples) for model in (base, out / "model"))
    print(f"{len(groups)} prompt groups, base at {fitted:.2f} per token, {steps} steps of balto train")
    print("| tokens | number | mean log-ratio to the base |\n|---|---|---|")
    for kind, values in ratios.items():
        print(f"| {kind} | {len(values)} | {values.mean() if len(values) else 0:+.3f} |")
    print(f"mean length of samples: {_with_error(before)} before, {_with_error(after)} after")
    held = verdicts(ratios, before, after)
    print("; ".join(f"{name}: {'yes' if holds else 'NO'}" for name, holds in held.items()))
    sys.exit(0 if all(held.values()) else 1)


if __name__ == "__main__":
    main()
