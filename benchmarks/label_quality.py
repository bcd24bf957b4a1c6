"""How good labels are against human labels: extractor `rules` with any verifier, by set and by kind of hallucination.

    python -m benchmarks.label_quality --ragtruth DIR --factscore FILE [--verifier NAME] [--nested] [--json]

Sets: each task of a RAGTruth folder (arXiv 2401.00396), with the official response-level P/R/F1 (positive = any span)
and micro character-overlap span P/R/F1; FActScore's biographies (arXiv 2305.14251) with the same measures, their human
claims located as spans; and these claims by themselves, supported or not. Verdicts are scored, and besides the labels
that are left once doubtful claims are neutral. Intervals: bootstrap over prompts, 95 %.

`shipped` runs the verifier as it is; for `lexical` that is on the data of its fit. `out_of_fold`, for `lexical`: the
contexts (persons) are dealt into five folds and, for each, weights, calibration and threshold are fitted on the other
four; over seeds. Every response is seen beside the others to its prompt, as `balto label` sees it, or `by_itself`, as
if there were no others. `--nested` also chooses the features inside the folds. `transfer`: fitted on one set alone,
measured on the other. The features themselves were chosen on this data: expect less on new data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import label_scores, lexical_folds, location_quality
from benchmarks.lexical_data import read_biographies, read_factscore, read_ragtruth
from pipeline.config import LabelConfig
from pipeline.engines import AskingVerifier, BatchVerifier, Verifier
from pipeline.weigh_scores import NONE, NeutralBand
from schemas.records import Sample

LEXICAL: Final = "lexical"


def sets_of(ragtruth: Path | None, records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[Sample]]]:
    """(name, samples with gold spans) of every set of responses."""
    if ragtruth:
        samples = read_ragtruth(ragtruth)
        for task in dict.fromkeys(sample.meta["task_type"] for sample in samples):
            yield f"RAGTruth {task}", [sample for sample in samples if sample.meta["task_type"] == task]
    if records:
        yield "FActScore biographies", read_biographies(records)


def named_verifier(name: str) -> tuple[Verifier | BatchVerifier, NeutralBand | None]:
    """A verifier that needs no endpoint, as `balto label` makes it, and its neutral band."""
    config = LabelConfig(num_shards=1, verifier=name).prepared()
    verifier = config.chosen.make_verifier()
    assert not isinstance(verifier, AskingVerifier), "the config refuses `llm` without a model"
    return verifier, config.band


def measure(
    ragtruth: Path | None, factscore: Path | None, verifier_name: str, seeds: int, nested: bool
) -> dict[str, Any]:
    """All figures, by set."""
    verifier, band = named_verifier(verifier_name)
    records = read_factscore(factscore) if factscore else []
    figures: dict[str, Any] = {"verifier": verifier.name, "neutral_band": str(band or NONE)}
    verifier.setup()
    for name, samples in sets_of(ragtruth, records):
        figures[name] = {"shipped": label_scores.of_responses(samples, label_scores.judge(samples, verifier), band)}
    if records:
        asked = label_scores.as_claims(records)
        figures["FActScore claims"] = {
            "shipped": label_scores.of_claims(asked, label_scores.judge_claims(asked, verifier))
        }
        figures["location"] = location_quality.summary(records)
    verifier.teardown()
    if verifier_name == LEXICAL:
        figures = _with_folds(figures, ragtruth, records, band, seeds, nested)
    return figures


def _with_folds(
    figures: dict[str, Any],
    ragtruth: Path | None,
    records: Sequence[dict[str, Any]],
    band: Any,
    seeds: int,
    nested: bool,
) -> dict[str, Any]:
    """The figures with those of the embedded engine out of fold."""
    data = lexical_folds.Data.read(ragtruth, records)
    if ragtruth:
        name = next(iter(sets_of(ragtruth, ())))[0]
        for kind, seen in (("out_of_fold", data), ("out_of_fold_by_itself", data.by_themselves())):
            figures[name][kind] = spread([lexical_folds.responses(seen, seed, band) for seed in range(seeds)])
        if nested:
            few = range(min(2, seeds))
            figures[name]["nested"] = spread([lexical_folds.nested_responses(data, seed, band) for seed in few])
    if records:
        figures["FActScore claims"]["out_of_fold"] = spread([lexical_folds.claims(data, seed) for seed in range(seeds)])
    if ragtruth and records:
        figures["transfer"] = lexical_folds.transfer(data)
    return figures


def spread(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first run's figures, each number replaced by its mean over the runs, with `sd` beside the scores."""
    mean: dict[str, Any] = {}
    for name, value in runs[0].items():
        values = [run[name] for run in runs]
        if isinstance(value, dict):
            mean[name] = spread(values)
        elif isinstance(value, float):
            mean[name] = float(np.mean(values))
            mean[f"{name}_sd"] = float(np.std(values))
        else:
            mean[name] = value
    return mean


def main() -> None:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ragtruth", type=Path, help="folder: response.jsonl and source_info.jsonl")
    parser.add_argument("--factscore", type=Path, help="factscore.jsonl with contexts")
    parser.add_argument("--verifier", default=LEXICAL, help="any that needs no endpoint: lexical, nli:PATH")
    parser.add_argument("--seeds", type=int, default=10, help="deals of the contexts into folds")
    parser.add_argument("--nested", action="store_true", help="choose the features inside the folds as well (minutes)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if not (arguments.ragtruth or arguments.factscore):
        parser.error("give --ragtruth, --factscore or both")
    figures = measure(
        arguments.ragtruth, arguments.factscore, arguments.verifier, arguments.seeds, arguments.nested
    )  # fmt: skip
    print(json.dumps(figures, indent=2) if arguments.json else label_scores.report(figures))


if __name__ == "__main__":
    main()
