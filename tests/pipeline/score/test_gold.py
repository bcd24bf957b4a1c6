"""Labels against human spans: the official metric, reckoned by sets of characters."""

import dataclasses
import os
import random
from pathlib import Path

import pytest

from pipeline.label_tokens import label_draft
from pipeline.score import gold_counts, gold_scores, score_tables
from pipeline.stages import Draft
from pipeline.stats import scan_labels
from pipeline.weigh_scores import NeutralBand
from schemas.records import CONTRADICTED, OK, SUPPORTED, UNSUPPORTED, Claim, GoldSpan, Passage, Sample, Span
from schemas.tokens import load_tokenizer
from tests.pipeline.label_sets import row, write_label_set


def official(rows: list[tuple[set[int], set[int]]]) -> dict[str, tuple[float, float, float]]:
    """RAGTruth's metric over (gold characters, predicted characters), written out."""

    def prf(true_positive: int, predicted: int, gold: int) -> tuple[float, float, float]:
        precision, recall = true_positive / max(predicted, 1), true_positive / max(gold, 1)
        both = precision + recall
        return 100 * precision, 100 * recall, 100 * 2 * precision * recall / both if both else 0.0

    response = prf(
        sum(bool(g) and bool(p) for g, p in rows), sum(bool(p) for _, p in rows), sum(bool(g) for g, _ in rows)
    )
    span = prf(sum(len(g & p) for g, p in rows), sum(len(p) for _, p in rows), sum(len(g) for g, _ in rows))
    return {"response": response, "span": span}


def measured(folder: str) -> dict[str, tuple[float, float, float]]:
    table = gold_scores(gold_counts(scan_labels([folder])))
    return {one["level"]: (one["precision"], one["recall"], one["f1"]) for one in table.to_dicts()}


def test_scores_of_four_responses_reckoned_by_hand(tmp_path):
    rows = [
        row("r1", "g1", "u", "----......", gold="..xxxxx..."),  # 2 shared of 4 and 5
        row("r2", "g1", "s", "++++......", gold="xx........"),  # missed: 2
        row("r3", "g2", "u", "--........", gold=".........."),  # invented: 2
        row("r4", "g2", "u", "--........"),  # nobody annotated it
    ]
    table = gold_scores(gold_counts(scan_labels([write_label_set(tmp_path / "x", rows)])))
    assert table.select("level", "precision", "recall", "f1", "responses", "flawed").rows() == [
        ("response", 50.0, 50.0, 50.0, 3, 2),
        ("span", pytest.approx(200 / 6), pytest.approx(200 / 7), pytest.approx(100 * 2 * 2 / (6 + 7)), 3, 2),
    ]


def test_random_and_overlapping_spans_score_as_sets_of_characters(tmp_path):
    rng = random.Random(5)
    rows, sets = [], []
    for number in range(60):
        labels = "".join(rng.choice("-.+...") for _ in range(40))
        gold = "".join(rng.choice("x.....") for _ in range(40))
        one = row(f"r{number:02}", f"g{number % 7}", "u", labels, gold=gold)
        spans = one.sample.gold_spans or ()
        twice = tuple(type(span)(max(0, span.start - 2), span.end, "") for span in spans)  # overlaps its neighbours
        sample = dataclasses.replace(one.sample, gold_spans=(*spans, *twice))
        characters = {at for span in (*spans, *twice) for at in range(span.start, span.end)}
        rows.append(dataclasses.replace(one, sample=sample))
        sets.append((characters, {at for at, sign in enumerate(labels) if sign == "-"}))
    assert measured(write_label_set(tmp_path / "x", rows[:30], rows[30:])) == {
        level: pytest.approx(scores) for level, scores in official(sets).items()
    }


def test_nothing_annotated_gives_no_table(tmp_path):
    folder = write_label_set(tmp_path / "x", [row("r1", "g1", "s", "++")])
    assert "against people" not in score_tables([folder], by=["policy"])


def test_clean_and_found_clean_says_nothing(tmp_path):
    folder = write_label_set(tmp_path / "x", [row("r1", "g1", "s", "++", gold=".."), row("r2", "g2", gold="")])
    assert measured(folder) == {"response": (None, None, None), "span": (None, None, None)}


def test_official_metric_on_ragtruth(tmp_path):
    from pipeline.config import LabelConfig
    from pipeline.corpora import open_corpus, read_corpus_file
    from pipeline.runs.label import Resources, run_label

    datasets = Path(os.environ.get("BALTO_DATASETS", Path(__file__).parents[4] / "shared" / "datasets"))
    corpus = datasets / "ragtruth_qa" / "response.jsonl"
    if not corpus.is_file():
        pytest.skip(f"no datasets in {datasets}; set BALTO_DATASETS to a folder with ragtruth_qa/")
    files = open_corpus([str(corpus)])
    out = Path(tmp_path / "labels")
    run_label(files, out, LabelConfig(num_shards=2), Resources(1, 2, ()), False)
    labels = scan_labels([str(out)]).select("id", "label_spans").collect()
    predicted = {
        one["id"]: {at for s in one["label_spans"] if s["label"] == -1 for at in range(s["start"], s["end"])}
        for one in labels.to_dicts()
    }
    samples = [item for file in files for item in read_corpus_file(file)]
    sets = [
        ({at for span in sample.gold_spans for at in range(span.start, span.end)}, predicted[sample.id])
        for sample in samples
    ]
    assert len(sets) == 257
    assert measured(str(out)) == {level: pytest.approx(scores, rel=1e-12) for level, scores in official(sets).items()}


def test_verdicts_are_scored_with_the_claims_that_are_too_doubtful_for_a_label(tmp_path):
    sample = Sample("r", "g", "?", (Passage("p", "x"),), "x" * 12, gold_spans=(GoldSpan(0, 6, "k"),))
    claims = (
        Claim("1", "t", spans=(Span(0, 4),), error_spans=(Span(2, 4),), verdict=CONTRADICTED, status=OK, score=0.6),
        Claim("2", "t", spans=(Span(5, 8),), verdict=UNSUPPORTED, status=OK, score=0.6),
        Claim("3", "t", spans=(Span(8, 12),), verdict=SUPPORTED, status=OK, score=0.9),
    )
    labelled = label_draft(Draft(sample, claims), load_tokenizer("bytes"), "neutral", band=NeutralBand(0.4, 0.7))
    labels = scan_labels([write_label_set(tmp_path / "x", [labelled])])
    found = gold_counts(labels, verdicts=True).row(0, named=True)
    assert (found["gold"], found["predicted"], found["shared"]) == (6, 2 + 3, 2 + 1)
    assert gold_counts(labels).row(0, named=True)["predicted"] == 0
    assert set(score_tables([str(tmp_path / "x")])) >= {"against people", "verdicts against people"}


def test_a_response_without_wrong_claims_is_predicted_clean(tmp_path):
    labels = scan_labels([write_label_set(tmp_path / "x", [row("r1", "g1", "s", "++++", gold="xx..")])])
    assert gold_counts(labels, verdicts=True).row(0, named=True)["predicted"] == 0
