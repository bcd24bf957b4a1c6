"""The engine `nli` against a plain loop over CrossEncoder.predict per record: same scores, processor time.

    python -m benchmarks.nli_throughput [--model FOLDER | --shape minilm] [--ragtruth DIR] [--records 12] [--rounds 3]
        [--device cuda] [--precision bfloat16] [--json]

Without --model: a BERT in the shape of MiniLM-L6 (6 layers, 384 wide), BERT-base or BERT-large with random weights
and a WordPiece tokenizer trained on the records; what is measured does not depend on the weights. Corpora: made-up
texts with one response to a context, whose pairs all differ; made-up texts with six responses to a context, as a
policy is sampled for training, which share sentences; and with --ragtruth real responses of several models. The plain
loop asks, record by record, about the very pairs that the engine makes, at float32. Both run in turns; the figures
are medians, of processor time in one thread on a CPU and of wall-clock time on a GPU, their ratio, and the largest
difference between the scores (the engine keeps four digits). On one core both are bound by the same matrix products:
what is left to gain there is pairs that are asked twice, padding, and the overhead per call; and with --precision
bfloat16 products of half the width where the processor multiplies them natively. On a GPU the loop's small batches
leave the device idle while the texts are read into tokens.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lexical_data import read_ragtruth
from benchmarks.synthetic_corpus import RESPONSES_PER_GROUP, groups
from pipeline.engines.nli.loading import OpenModel, open_model
from pipeline.engines.nli.scoring import Pair
from pipeline.engines.nli.settings import Compute, NliSettings
from pipeline.engines.nli.verifier import NliVerifier
from pipeline.engines.rules import RulesExtractor
from schemas.records import Claim, Sample
from schemas.samples import sample_from_json

Asked = list[tuple[Sample, tuple[Claim, ...]]]
SHAPES = {"minilm": (6, 384), "base": (12, 768), "large": (24, 1024)}  # layers, width


def one_response_each(records: int) -> list[Sample]:
    """Made-up records of as many contexts: no claim is asked twice."""
    made = list(groups(RESPONSES_PER_GROUP * records))
    return [sample_from_json(own[0], source="made up", source_row=1, default_id=None) for own in made]


def six_responses_each(records: int) -> list[Sample]:
    """Made-up records, six to a context; many repeat its sentences word for word, and so each other."""
    made = itertools.chain.from_iterable(groups(records))
    return [sample_from_json(one, source="made up", source_row=1, default_id=None) for one in made]


def of_ragtruth(folder: Path, records: int) -> list[Sample]:
    """The first records of RAGTruth, prompt group by prompt group: responses of several models to one context."""
    samples = sorted(read_ragtruth(folder), key=lambda one: one.group_id)
    return samples[:records]


def with_claims(samples: Sequence[Sample]) -> Asked:
    """The records with the claims of the extractor `rules`."""
    return [(sample, RulesExtractor().extract(sample)) for sample in samples]


def make_model(folder: Path, texts: Sequence[str], shape: str = "minilm") -> Path:
    """A BERT of this shape with random weights, and a tokenizer for these texts."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(texts, vocab_size=8_000, show_progress=False)
    BertTokenizer(vocab=trained.get_vocab(), model_max_length=512).save_pretrained(folder)
    torch.manual_seed(0)
    layers, width = SHAPES[shape]
    config = BertConfig(
        vocab_size=trained.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32 if shape == "minilm" else width // 64,
        intermediate_size=4 * width,
        id2label={0: "contradiction", 1: "entailment", 2: "neutral"},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def pairs_of(verifier: NliVerifier, opened: OpenModel, asked: Asked) -> list[list[Pair]]:
    """The pairs that the engine makes of each record."""
    return [verifier.pairs(opened, [one]) for one in asked]


def plain_loop(opened: OpenModel, pairs: Sequence[Sequence[Pair]]) -> list[np.ndarray]:
    """The library's own way, a record at a time."""
    assert opened.scorer is not None
    model: Any = opened.scorer.model
    return [
        model.predict(
            [text_pair(one, opened.scorer.head.claim_first) for one in own], apply_softmax=True, show_progress_bar=False
        )
        for own in pairs
        if own
    ]


def text_pair(pair: Pair, claim_first: bool) -> tuple[str, str]:
    """The two texts in the model's order."""
    return (pair.claim, pair.evidence) if claim_first else (pair.evidence, pair.claim)


def timed(work: Any, clock: Any) -> tuple[float, Any]:
    """(seconds, result)."""
    started = clock()
    result = work()
    return clock() - started, result


def compare(verifier: NliVerifier, opened: OpenModel, asked: Asked, rounds: int) -> dict[str, float]:
    """Medians of both, in turns; the engine's time includes finding the evidence and making the verdicts.

    opened: the model that the loop asks.
    """
    assert opened.scorer is not None
    on_gpu = str(opened.scorer.model.device) != "cpu"
    clock = time.perf_counter if on_gpu else time.process_time  # other load on a machine slows its CPUs
    pairs = pairs_of(verifier, opened, asked)
    if on_gpu:  # the first kernels of a process are slow, those of a size as well
        plain_loop(opened, pairs)
        verifier.verify_many(asked)
    plain, engine, difference = [], [], 0.0
    for _ in range(rounds):
        seconds, outputs = timed(lambda: plain_loop(opened, pairs), clock)
        plain.append(seconds)
        seconds, answers = timed(lambda: verifier.verify_many(asked), clock)
        engine.append(seconds)
        theirs = [row for own in outputs for row in own]
        highest = iter(best_of(theirs, pairs, asked, opened.scorer.head.supported))
        ours = [claim.score for claims in answers for claim in claims if claim.score is not None]
        difference = max(difference, *(abs(mine - next(highest)) for mine in ours))
    return {
        "records": len(asked),
        "pairs": sum(map(len, pairs)),
        "different_pairs": len({pair for own in pairs for pair in own}),
        "plain_s": statistics.median(plain),
        "engine_s": statistics.median(engine),
        "times_as_fast": statistics.median(plain) / statistics.median(engine),
        "largest_difference": difference,
    }


def best_of(
    outputs: Sequence[np.ndarray], pairs: Sequence[Sequence[Pair]], asked: Asked, supported: int
) -> list[float]:
    """P(supported) of each claim, the highest over its pairs, which follow each other.   supported: its output."""
    best: list[float] = []
    rows = iter(outputs)
    for own, _ in zip(pairs, asked, strict=True):
        for _, same in itertools.groupby(own, key=lambda pair: pair.claim):
            best.append(max(float(next(rows)[supported]) for _ in same))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of a classifier; default: a random one of --shape")
    parser.add_argument("--shape", choices=SHAPES, default="minilm")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--records", type=int, default=12)
    parser.add_argument("--ragtruth", type=Path, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the engine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        corpora = {
            "one response to a context": with_claims(one_response_each(arguments.records)),
            "six responses to a context": with_claims(six_responses_each(arguments.records)),
        }
        if arguments.ragtruth:
            corpora["RAGTruth QA"] = with_claims(of_ragtruth(arguments.ragtruth, arguments.records))
        samples = [sample for asked in corpora.values() for sample, _ in asked]
        texts = [passage.text for sample in samples for passage in sample.context]
        texts += [sample.response or "" for sample in samples]
        model = arguments.model or make_model(Path(scratch) / "model", texts, arguments.shape)
        compute = Compute(device=arguments.device, threads=1 if arguments.device == "cpu" else 0)
        verifier = NliVerifier(NliSettings(str(model), precision=arguments.precision, refine=False), compute)
        verifier.setup()
        opened = open_model(replace(verifier.settings, precision="float32"), compute)
        for name, asked in corpora.items():
            figures[name] = compare(verifier, opened, asked, arguments.rounds)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, found in figures.items():
        print(
            f"{name}: {found['pairs']} pairs of {found['records']} records, {found['different_pairs']} different | "
            f"plain loop {found['plain_s']:.2f} s, engine {found['engine_s']:.2f} s: "
            f"{found['times_as_fast']:.2f} times as fast | "
            f"largest difference of a score {found['largest_difference']:.1e}"
        )


if __name__ == "__main__":
    main()
