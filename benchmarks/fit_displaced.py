"""Fit what tells a number or a name that stands in another's place: pipeline/engines/contrary/displaced_model.py.

    python -m benchmarks.fit_displaced --ragtruth DIR --factscore FILE \\
        [--write pipeline/engines/contrary/displaced_model.py]

Nobody's labels of such errors: the facts of right claims of RAGTruth and FActScore stand in their place, and those that
changed_facts.py exchanges do not. A ridge logistic regression of that on the features of displaced.py, one for numbers
and one for names; every kind of change weighs the same, and right claims as much as all of them. A claim is doubtful
from the probability that a few right claims reach (COSTS), measured out of fold; folds never split a context.
Prints what is found out of fold: claims of each kind that are doubtful, in percent.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.changed_facts import UNCHANGED, Asked, changed_samples
from benchmarks.fit_lexical import deal_folds, fit_logistic, logits_of
from benchmarks.lexical_data import by_themselves, read_biographies, read_factscore, read_ragtruth
from pipeline.engines.context_index import index_context
from pipeline.engines.contrary.displaced import FEATURES, fact_slots
from pipeline.engines.fact_slots import NAME, Fact
from pipeline.engines.features import Reading
from pipeline.engines.likeness import Likeness
from pipeline.engines.words import Tokens
from schemas.records import Sample

KINDS: Final = {"NUMBER": ("number", "number nearby", "two numbers"), "NAME": ("name", "name nearby", "two names")}
COSTS: Final = {"NUMBER": 0.012, "NAME": 0.015}  # share of right claims that become doubtful
RIDGE: Final = 10.0  # lambda on standardised features
DRAWS: Final = 4  # changes of each kind to every claim


@dataclass(frozen=True, slots=True, eq=False)
class FactRows:
    """Facts of claims, those of a claim together. N facts, D features.

    features: (N, D).   displaced: (N,) bool.   claim: (N,) number of the claim.   kinds, groups: of each claim.
    """

    features: np.ndarray
    displaced: np.ndarray
    claim: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray


def fact_rows(asked: Sequence[Asked], of_names: bool) -> FactRows:
    """All facts of unchanged claims, and the changed ones of changed claims."""
    features, displaced, claim, kinds, groups = [], [], [], [], []
    for one in asked:
        found = _features(one, of_names)
        features += found
        displaced += [one.kind != UNCHANGED] * len(found)
        claim += [len(kinds)] * len(found)
        kinds.append(one.kind)
        groups.append(one.sample.group_id)
    return FactRows(np.array(features), np.array(displaced), np.array(claim), np.array(kinds), np.array(groups))


def _features(asked: Asked, of_names: bool) -> list[tuple[float, ...]]:
    reading = Reading(asked.sample.response or "", index_context(asked.sample.context), None)
    (span,) = asked.claims[asked.number].spans
    first, last = reading.words_between(span.start, span.end)
    tokens = reading.analysis.tokens
    like = Likeness.of(reading.index, tokens.content_stems(first, last))
    if like is None:
        return []
    return [
        slot.features
        for slot in fact_slots(like, tokens, first, last, reading.numbers_between(first, last))
        if (slot.fact.kind == NAME) == of_names and (asked.kind == UNCHANGED or _is_changed(asked, tokens, slot.fact))
    ]


def _is_changed(asked: Asked, tokens: Tokens, fact: Fact) -> bool:
    (claim,) = asked.claims[asked.number].spans
    start, end = tokens.starts[fact.first] - claim.start, tokens.ends[fact.last - 1] - claim.start
    return any(span.start < end and start < span.end for span in asked.spans)


def fit(rows: FactRows, chosen: np.ndarray) -> np.ndarray:
    """(D + 1,) weights of FEATURES and the bias.   chosen: (claims,) bool."""
    facts = chosen[rows.claim]
    kinds = rows.kinds[rows.claim[facts]]
    weights = np.zeros(len(kinds))
    names, counts = np.unique(kinds, return_counts=True)
    for name, count in zip(names, counts, strict=True):
        weights[kinds == name] = (len(names) - 1 if name == UNCHANGED else 1) / count
    weights *= len(kinds) / weights.sum()
    return fit_logistic(rows.features[facts], rows.displaced[facts], RIDGE, weights)


def highest_logits(rows: FactRows, coefficients: np.ndarray) -> np.ndarray:
    """(claims,) the highest logit of each claim's facts."""
    highest = np.full(len(rows.kinds), -np.inf)  # of those that have no such fact
    np.maximum.at(highest, rows.claim, logits_of(coefficients, rows.features))
    return highest


def out_of_fold(rows: FactRows) -> np.ndarray:
    """(claims,) highest logits by models that did not see the claim's context."""
    folds = deal_folds(rows.groups, seed=0)
    found = np.zeros(len(rows.kinds))
    for fold in np.unique(folds):
        found[folds == fold] = highest_logits(rows, fit(rows, folds != fold))[folds == fold]
    return found


def main() -> None:
    """Fit, print what is found, and write the constants if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, required=True, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, required=True, help="factscore.jsonl with contexts")
    parser.add_argument("--write", type=Path, help="where the constants go")
    arguments = parser.parse_args()
    samples = by_themselves(
        [*read_ragtruth(arguments.ragtruth), *read_biographies(read_factscore(arguments.factscore))]
    )
    asked = _drawn(samples)
    written = []
    for name, changes in KINDS.items():
        rows = fact_rows([one for one in asked if one.kind in (UNCHANGED, *changes)], of_names=name == "NAME")
        logits = out_of_fold(rows)
        threshold = float(np.quantile(logits[rows.kinds == UNCHANGED], 1 - COSTS[name]))
        for kind in (UNCHANGED, *changes):
            of_kind = logits[rows.kinds == kind]
            print(f"{name:8}{kind:16}{len(of_kind):6} claims, doubtful {100 * (of_kind > threshold).mean():5.1f} %")
        written.append(_constant(name, fit(rows, np.ones(len(rows.kinds), bool)), threshold))
    if arguments.write:
        arguments.write.write_text(_module(len(asked), written), encoding="utf-8")


def _drawn(samples: list[Sample]) -> list[Asked]:
    """The right claims once, and DRAWS changes of each kind to them."""
    drawn = [[*changed_samples(samples, seed)] for seed in range(DRAWS)]
    return [one for seed, found in enumerate(drawn) for one in found if seed == 0 or one.kind != UNCHANGED]


def _constant(name: str, coefficients: np.ndarray, threshold: float) -> str:
    pairs = zip(FEATURES, coefficients[:-1], strict=True)
    weights = "".join(f'        ("{feature}", {weight:.4f}),\n' for feature, weight in pairs)
    return (
        f"{name}_MODEL: Final = LinearModel.of(\n    (\n{weights}    ),\n    bias={coefficients[-1]:.4f},\n)\n"
        f"{name}_THRESHOLD: Final = {threshold:.4f}\n"
    )


def _module(claims: int, constants: list[str]) -> str:
    return (
        f'"""What tells a displaced number or name, written by benchmarks/fit_displaced.py.\n\n'
        f"Fitted {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d} on {claims} claims of RAGTruth QA and FActScore, "
        f'right ones and such with a fact exchanged.\nThe positive class is "displaced"; what a feature means: '
        f'displaced.py. From the thresholds, logits, a claim is doubtful.\n"""\n\n'
        "from __future__ import annotations\n\nfrom typing import Final\n\n"
        "from pipeline.engines.linear import LinearModel\n\n" + "\n".join(constants)
    )


if __name__ == "__main__":
    main()
