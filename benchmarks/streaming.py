"""How fast label sets are read for training, beside a bare scan of the same columns and beside a small model's pace.

    python -m benchmarks.streaming --records 12000 --workers 1 2

A label set is made by the pipeline from a made-up corpus (or given: --labels with --model). Then, in alternation:
the same columns of all row groups by pyarrow alone, in one thread; and one epoch of steps as training sees them,
shuffled, prompts rendered and tokenised, responses with stop tokens, in micro-batches. The median of the paired ratios
is printed. With --workers 0 everything happens in this process, and its processor time is taken, not the wall's: what
else the machine does counts less.
--consume also times forward and backward of a small Llama over the first packed groups, which is the least
that training on them can cost, and prints how many times faster the groups arrive.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from trainer.data.groups import PromptGroup
from trainer.data.index import split_groups
from trainer.data.label_sets import TRAINING_COLUMNS, LabelSet, check_tokenizer, open_label_sets
from trainer.data.plan import Plan
from trainer.data.stream import GroupStream
from trainer.prompts import PromptRenderer

TOKEN_BUDGET = 16_384
GROUPS_PER_STEP = 32
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SAMPLE_TOKENIZER = Path(__file__).parents[1] / "data" / "sample" / "tokenizer.json"


def make_tokenizer(folder: Path) -> None:
    """The sample's tokenizer with a chat template, saved as models save theirs."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_file(str(SAMPLE_TOKENIZER))
    backend.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=TEMPLATE, eos_token="<|im_end|>").save_pretrained(
        folder
    )


def make_labels(folder: Path, tokenizer: Path, records: int) -> Path:
    """A label set of a made-up corpus: six responses to a prompt, by the embedded engine."""
    from benchmarks.synthetic_corpus import write_corpus
    from pipeline.config import LabelConfig
    from pipeline.corpora import open_corpus
    from pipeline.runs.label import Resources, default_shards, run_label

    corpus = folder / "corpus.jsonl"
    write_corpus(corpus, records)
    config = LabelConfig(num_shards=default_shards(corpus.stat().st_size), tokenizer=str(tokenizer))
    run_label(open_corpus([str(corpus)]), folder / "labels", config, Resources(), False)
    return folder / "labels"


def scan(label_sets: Sequence[LabelSet]) -> int:
    """Decode the training columns of every row group with pyarrow, nothing else; returns rows."""
    rows = 0
    for path in dict.fromkeys(one.path for label_set in label_sets for one in label_set.row_groups):
        file = pq.ParquetFile(path)
        for index in range(file.num_row_groups):
            rows += len(file.read_row_group(index, list(TRAINING_COLUMNS), use_threads=False))
    return rows


def timed(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> tuple[float, Any]:
    """(seconds, result)."""
    started = clock()
    result = work()
    return clock() - started, result


def read_epoch(stream: GroupStream, plan: Plan, epoch: int) -> tuple[int, int]:
    """(groups, packed tokens) of one epoch."""
    groups = tokens = 0
    for batch in stream.steps(plan, TOKEN_BUDGET, epoch, epochs=epoch + 1):
        groups += sum(len(micro_batch) for micro_batch in batch.micro_batches)
        tokens += sum(micro_batch.packed_tokens for micro_batch in batch.micro_batches)
    return groups, tokens


def model_pace(groups: Sequence[PromptGroup], vocabulary: int, layers: int, width: int) -> float:
    """Groups per second of forward and backward over packed rows: a small Llama, causal attention, no optimiser."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = max(1, width // 64)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=8192,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = LlamaForCausalLM(config)
    model.to(device)

    def train() -> None:
        for group in groups:
            ids = [*group.prompt_ids.tolist(), *itertools.chain(*(one.token_ids.tolist() for one in group.responses))]
            row = torch.tensor([ids], device=device)
            model(row, labels=row).loss.backward()
            model.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    train()
    return len(groups) / timed(train)[0]


def compare(label_sets: Sequence[LabelSet], renderer: PromptRenderer, workers: int, rounds: int) -> dict[str, Any]:
    """Bare scan against an epoch of steps, `rounds` times in alternation."""
    with GroupStream(label_sets, renderer, workers) as stream:
        clock = time.perf_counter if workers else time.process_time
        measuring, index = timed(stream.measure, clock)
        plan = Plan(index, split_groups(index, sys.maxsize).train, label_sets, seed=0, groups_per_step=GROUPS_PER_STEP)
        list(itertools.islice(stream.steps(plan, TOKEN_BUDGET), 1))  # the readers have started
        groups, tokens = len(index.entries), int(index.packed_tokens.sum())
        pairs = []
        for epoch in range(rounds):
            scanning, _ = timed(lambda: scan(label_sets), clock)
            reading, found = timed(lambda epoch=epoch: read_epoch(stream, plan, epoch), clock)
            if found != (groups, tokens):
                raise RuntimeError(f"an epoch gave {found} groups and tokens, the index says {(groups, tokens)}")
            pairs.append((scanning, reading))
    return {
        "workers": workers,
        "groups": groups,
        "packed_tokens_per_group": tokens / groups,
        "measure_s": measuring,
        "scan_groups_per_s": groups / statistics.median(pair[0] for pair in pairs),
        "read_groups_per_s": groups / statistics.median(pair[1] for pair in pairs),
        "read_over_scan": statistics.median(pair[0] / pair[1] for pair in pairs),
    }


def first_groups(label_sets: Sequence[LabelSet], renderer: PromptRenderer, count: int) -> list[PromptGroup]:
    """The first groups of training."""
    with GroupStream(label_sets, renderer, 0) as stream:
        index = stream.measure()
        plan = Plan(index, split_groups(index, sys.maxsize).train, label_sets, seed=0, groups_per_step=count)
        return list(next(stream.steps(plan, TOKEN_BUDGET)).groups)


def run(options: argparse.Namespace, labels: Path, model: str) -> list[dict[str, Any]]:
    """All figures for one label set."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    label_sets = open_label_sets([(labels, 1.0)])
    check_tokenizer(label_sets, tokenizer, model)
    renderer = PromptRenderer(tokenizer)
    pace = 0.0
    if options.consume:
        groups = first_groups(label_sets, renderer, options.consume)
        pace = model_pace(groups, renderer.vocabulary, options.layers, options.width)
        print(f"a Llama of {options.layers} layers, width {options.width}: {pace:.1f} groups/s", file=sys.stderr)
    results = []
    for workers in options.workers:
        one = compare(label_sets, renderer, workers, options.rounds)
        line = (
            f"{workers} readers | {one['read_groups_per_s']:.0f} groups/s | "
            f"{one['packed_tokens_per_group']:.0f} tokens each | bare scan {one['scan_groups_per_s']:.0f} groups/s | "
            f"x{one['read_over_scan']:.3f} of it | measuring lengths first: {one['measure_s']:.1f} s"
        )
        if pace:
            one["read_over_model"] = one["read_groups_per_s"] / pace
            line += f" | x{one['read_over_model']:.0f} of the model's pace"
        print(line, file=sys.stderr)
        results.append(one)
    return results


def main() -> None:
    """Command line; prints one line per number of readers, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=12_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--labels", type=Path, help="a label set instead of a made-up one")
    parser.add_argument("--model", help="folder of the tokenizer that --labels was projected for")
    parser.add_argument("--consume", type=int, default=0, help="groups over which a small model's pace is measured")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.labels is None:
            model = Path(folder) / "model"
            make_tokenizer(model)
            results = run(options, make_labels(Path(folder), model, options.records), str(model))
        else:
            results = run(options, options.labels, options.model)
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
