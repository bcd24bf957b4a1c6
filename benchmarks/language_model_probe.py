"""What a small language model's own computation says about support, beside the lexical score: RAGTruth's human spans.

    python -m benchmarks.language_model_probe --ragtruth DIR --model FOLDER [--factscore FILE] [--deals 4]

The model reads question, passages and response once, and question and response once more. Of every clause, averaged
over its tokens:

    lift       log P(token | passages, question, before) - log P(token | question, before); also held within ±3
    attention  of each head: mean weight on a passage token / (that + mean weight on a token of the response so far),
               as in Lookback Lens (Chuang et al. 2024), and the greatest weight on a passage token
    state      the hidden state in the middle of the model with the passages, and its difference to the one without

A ridge logistic regression on each block, out of fold by question, gives one score; another puts the scores beside the
lexical score, which is out of fold as well. The threshold of a fold has the best span F1 on the other folds.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.fit_lexical import deal_folds
from benchmarks.label_scores import Claims, claim_outcomes, span_scores
from benchmarks.lexical_data import read_factscore
from benchmarks.lexical_folds import Data, judged_out_of_fold
from pipeline.score.span_overlap import prf
from schemas.records import Claim, Sample

# inverse strength of the ridge penalty by block, chosen once by hand: hundreds of columns, a hundred wrong clauses
BLOCKS: Final = {"lift": 1.0, "attention": 1e-3, "state": 1e-4}
TOGETHER: Final = 0.05
HELD: Final = 3.0  # nats
THRESHOLDS: Final = np.linspace(0.7, 0.99, 60)  # quantiles of the scores
_MARGIN: Final = 4  # tokens of the chat template at either end of the prompt, which heads rest on
log = logging.getLogger("benchmarks")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the model computed on the n tokens of a response.

    offsets: (n, 2) characters.   lift: (n,) nats.   attention: (n, 2 * layers * heads).   state: (n, 2 * hidden).
    """

    offsets: np.ndarray
    lift: np.ndarray
    attention: np.ndarray
    state: np.ndarray

    def of(self, claim: Claim) -> dict[str, np.ndarray]:
        """The blocks of a claim, averaged over the tokens that it touches; zeros where it touches none."""
        touched = np.zeros(len(self.offsets), dtype=bool)
        for span in claim.spans:
            touched |= (self.offsets[:, 0] < span.end) & (self.offsets[:, 1] > span.start)
        lift = np.column_stack([self.lift, self.lift.clip(-HELD, HELD)])
        blocks = {"lift": lift, "attention": self.attention, "state": self.state}
        count = max(1, int(touched.sum()))
        return {name: block[touched].sum(0) / count for name, block in blocks.items()}


class Reader:
    """Reads responses with a causal language model of a folder."""

    def __init__(self, folder: Path, device: str, precision: str):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, precision), attn_implementation="eager"
        )
        self.model = model.to(device).eval()

    def read(self, sample: Sample) -> Reading:
        """One response with and without its passages."""
        encoded = self.tokenizer(sample.response, return_offsets_mapping=True, add_special_tokens=False)
        passages = "\n".join(passage.text for passage in sample.context)
        given = self._prompt(f"Passages:\n{passages}\n\nAnswer from the passages: {sample.prompt}")
        bare = self._prompt(str(sample.prompt))
        with torch.inference_mode():
            logprobs, state, attention = self._run(given, encoded["input_ids"])
            alone, state_alone, _ = self._run(bare, encoded["input_ids"])
        return Reading(
            np.array(encoded["offset_mapping"]),
            logprobs - alone,
            attention,
            np.concatenate([state, state - state_alone], axis=1),
        )

    def _prompt(self, text: str) -> list[int]:
        turn = [{"role": "user", "content": text}]
        return self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=True, return_dict=False)

    def _run(self, prompt: list[int], response: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(log-probabilities (n,), middle hidden state (n, hidden), attention (n, 2 * layers * heads))."""
        ids = torch.tensor([prompt + response], device=self.model.device)
        out = self.model(ids, output_hidden_states=True, output_attentions=True)
        logprobs = torch.log_softmax(out.logits[0, len(prompt) - 1 : -1].float(), -1)
        chosen = logprobs.gather(1, ids[0, len(prompt) :, None])[:, 0]
        state = out.hidden_states[len(out.hidden_states) // 2][0, len(prompt) :]
        heads = [lookback(weights[0].float(), len(prompt)) for weights in out.attentions]
        return _array(chosen), _array(state), _array(torch.cat(heads).T)


def lookback(weights: torch.Tensor, prompt: int) -> torch.Tensor:
    """(heads, tokens, tokens) attention -> (2 * heads, n): share of the prompt, greatest weight on a prompt token."""
    rows = weights[:, prompt:]
    on_prompt = rows[:, :, _MARGIN : prompt - _MARGIN]
    count = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    on_response = rows[:, :, prompt:].sum(-1) / count  # causal: later ones weigh 0
    mean = on_prompt.mean(-1)
    return torch.cat([mean / (mean + on_response), on_prompt.amax(-1)])


def _array(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Clauses that have a score.   response: (N,) index of the response.   wrong: (N,) bool.   lexical: (N,) logit of
    being unsupported.   blocks: name -> (N, columns)."""

    claims: list[Claim]
    response: np.ndarray
    wrong: np.ndarray
    lexical: np.ndarray
    blocks: dict[str, np.ndarray]


def rows_of(samples: Sequence[Sample], judged: Sequence[Claims], readings: Sequence[Reading]) -> Rows:
    """The clauses of all responses."""
    scored = [[claim for claim in claims if claim.score is not None and claim.spans] for claims in judged]
    found = [reading.of(claim) for reading, claims in zip(readings, scored, strict=True) for claim in claims]
    probability, supported = claim_outcomes(samples, judged)
    doubt = np.clip(1 - probability, 1e-3, 1 - 1e-3)
    return Rows(
        [claim for claims in scored for claim in claims],
        np.repeat(np.arange(len(samples)), [len(claims) for claims in scored]),
        ~supported.astype(bool),
        np.log(doubt / (1 - doubt)),
        {name: np.array([one[name] for one in found]) for name in BLOCKS},
    )


def _fit(features: np.ndarray, wrong: np.ndarray, strength: float) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500)).fit(features, wrong)


def _out_of_fold(features: np.ndarray, wrong: np.ndarray, fold: np.ndarray, strength: float) -> np.ndarray:
    logits = np.zeros(len(wrong))
    for number in np.unique(fold):
        test = fold == number
        logits[test] = _fit(features[~test], wrong[~test], strength).decision_function(features[test])
    return logits


def _scores(rows: Rows, names: Sequence[str], train: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((N,) logits of lexical score and blocks together, fitted on `train`; those of `train` out of its inner folds).

    inner: (N,) folds within `train`.
    """
    wrong = rows.wrong[train]
    columns, held_out = [rows.lexical], [rows.lexical[train]]
    for name in names:
        block = rows.blocks[name]
        columns.append(_fit(block[train], wrong, BLOCKS[name]).decision_function(block))
        held_out.append(_out_of_fold(block[train], wrong, inner[train], BLOCKS[name]))
    stacked = np.column_stack(held_out)
    return (
        _fit(stacked, wrong, TOGETHER).decision_function(np.column_stack(columns)),
        _out_of_fold(stacked, wrong, inner[train], TOGETHER),
    )


def together(samples: Sequence[Sample], rows: Rows, names: Sequence[str], deal: int) -> dict[str, float]:
    """Ranking and F1, in percent, of the lexical score with some blocks, all out of fold by question."""
    groups = np.array([samples[at].group_id for at in rows.response])
    fold, inner = deal_folds(groups, deal), deal_folds(groups, 1000 + deal)
    logits, flagged = np.zeros(len(groups)), np.zeros(len(groups), dtype=bool)
    for number in np.unique(fold):
        train = fold != number
        fitted, held_out = _scores(rows, names, train, inner)
        logits[~train] = fitted[~train]
        flagged[~train] = fitted[~train] >= _threshold(samples, rows, train, held_out)
    spans: list[list[Any]] = [[] for _ in samples]
    for at in np.flatnonzero(flagged).tolist():
        spans[rows.response[at]].extend(rows.claims[at].spans)
    found = span_scores(samples, spans)
    return {
        "AUC": 100 * float(roc_auc_score(rows.wrong, logits)),
        "average precision": 100 * float(average_precision_score(rows.wrong, logits)),
        "response F1": found["response"]["f1"],
        "span F1": found["span"]["f1"],
    }


def _threshold(samples: Sequence[Sample], rows: Rows, train: np.ndarray, logits: np.ndarray) -> float:
    """The logit with the best span F1 on the clauses of `train`."""
    wrong = [np.zeros(len(sample.response or ""), dtype=bool) for sample in samples]
    for sample, marks in zip(samples, wrong, strict=True):
        for span in sample.gold_spans or ():
            marks[span.start : span.end] = True
    places = np.flatnonzero(train).tolist()
    chars = np.array([sum(span.end - span.start for span in rows.claims[at].spans) for at in places])
    hits = np.array(
        [
            sum(int(wrong[rows.response[at]][span.start : span.end].sum()) for span in rows.claims[at].spans)
            for at in places
        ]
    )
    gold = sum(int(wrong[at].sum()) for at in np.unique(rows.response[places]).tolist())

    def f1(threshold: float) -> float:
        over = logits >= threshold
        return prf(float(hits[over].sum()), float(chars[over].sum()), float(gold)).f1

    return max(np.quantile(logits, THRESHOLDS).tolist(), key=f1)


def measure(ragtruth: Path, factscore: Path | None, reader: Reader, deals: int) -> dict[str, dict[str, list[float]]]:
    """What is asked -> figure -> its value in every deal."""
    data = Data.read(ragtruth, read_factscore(factscore) if factscore else [])
    readings = []
    for number, sample in enumerate(data.samples, start=1):
        readings.append(reader.read(sample))
        if number % 50 == 0:
            log.info("%d of %d responses read", number, len(data.samples))
    figures: dict[str, dict[str, list[float]]] = {}
    for deal in range(deals):
        rows = rows_of(data.samples, judged_out_of_fold(data, deal), readings)
        fold = deal_folds(np.array([data.samples[at].group_id for at in rows.response]), deal)
        for name, strength in BLOCKS.items():
            logits = _out_of_fold(rows.blocks[name], rows.wrong, fold, strength)
            ranking = {
                "AUC": roc_auc_score(rows.wrong, logits),
                "average precision": average_precision_score(rows.wrong, logits),
            }
            _add(figures, f"{name} alone", {key: 100 * float(value) for key, value in ranking.items()})
        for at in range(len(BLOCKS) + 1):
            names = list(BLOCKS)[:at]
            _add(figures, " + ".join(["lexical", *names]), together(data.samples, rows, names, deal))
        log.info("deal %d of %d", deal + 1, deals)
    return figures


def _add(figures: dict[str, dict[str, list[float]]], name: str, values: dict[str, float]) -> None:
    for key, value in values.items():
        figures.setdefault(name, {}).setdefault(key, []).append(value)


def report(figures: dict[str, dict[str, list[float]]]) -> str:
    """Mean and standard deviation over the deals."""
    return "\n".join(
        f"{name:36} "
        + "   ".join(f"{key} {np.mean(values):.1f} ± {np.std(values):.1f}" for key, values in found.items())
        for name, found in figures.items()
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument(
        "--model", type=Path, required=True, help="folder of a causal language model with a chat template"
    )
    parser.add_argument("--factscore", type=Path, help="factscore.jsonl with contexts, for the lexical score's fit")
    parser.add_argument("--deals", type=int, default=4, help="of the questions into folds")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    reader = Reader(arguments.model, arguments.device, arguments.precision)
    figures = measure(arguments.ragtruth, arguments.factscore, reader, arguments.deals)
    print(json.dumps(figures, indent=1) if arguments.json else report(figures))


if __name__ == "__main__":
    main()
