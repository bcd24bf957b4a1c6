"""`balto label` as a whole, on this machine: sums, determinism, duplicates, resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus
from pipeline.runs import label as module
from pipeline.runs.label import Resources, default_shards, run_label
from pipeline.runs.on_runner import run_label_on_runner
from schemas.errors import BaltoError, ConfigError
from schemas.interruption import Output, listening
from schemas.manifest import WORK_FOLDER, read_manifest
from tests.rows import small_corpus, write_jsonl

CONFIG = LabelConfig(num_shards=4)


def label(corpus: str, out: Path, config: LabelConfig = CONFIG, resources: Resources | None = None, overwrite=False):
    return run_label(open_corpus([corpus]), out, config, resources or Resources(), overwrite)


def shard_bytes(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "shards").iterdir())}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> str:
    return write_jsonl(tmp_path_factory.mktemp("corpus") / "corpus.jsonl", small_corpus(groups=20))


@pytest.fixture(scope="module")
def undisturbed(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "labels"
    label(corpus, out)
    return out


def test_every_record_comes_out_once_and_the_sums_add_up(undisturbed):
    manifest = read_manifest(undisturbed)
    assert manifest.counts == {"read": 60, "labelled": 60, "rejected": 0}
    frame = pl.scan_parquet(undisturbed / "shards").collect()
    assert sorted(frame["id"]) == sorted(f"g{group}-r{response}" for group in range(20) for response in range(3))
    assert frame["n_tokens"].sum() == sum(shard.tokens for shard in manifest.shards)
    assert frame["n_tokens_unsupported"].sum() == sum(shard.tokens_unsupported for shard in manifest.shards) > 0
    assert sum(manifest.claims["verdict"].values()) == frame["n_claims"].sum()


def test_groups_stand_together_sorted_and_in_one_shard(undisturbed):
    places = {}
    for path in (undisturbed / "shards").iterdir():
        rows = pq.read_table(path, columns=["group_id", "id"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["group_id"], row["id"]))
        for row in rows:
            places.setdefault(row["group_id"], set()).add(path.name)
    assert len(places) == 20
    assert all(len(shards) == 1 for shards in places.values())


@pytest.mark.parametrize(
    "resources", [Resources(buckets_per_run=4), Resources(workers=2), Resources(workers=3, buckets_per_run=2)]
)
def test_chunk_size_and_worker_count_change_no_byte(corpus, undisturbed, tmp_path, monkeypatch, resources):
    monkeypatch.setattr(module, "PARALLEL_BYTES", 0)
    label(corpus, tmp_path / "labels", resources=resources)
    assert shard_bytes(tmp_path / "labels") == shard_bytes(undisturbed)


def test_order_of_the_corpus_changes_no_label(corpus, undisturbed, tmp_path):
    lines = Path(corpus).read_text().splitlines(keepends=True)
    (tmp_path / "corpus.jsonl").write_text("".join(reversed(lines)))
    label(str(tmp_path / "corpus.jsonl"), tmp_path / "labels")
    columns = ["id", "group_id", "claims", "token_labels"]
    for path in (undisturbed / "shards").iterdir():
        assert pq.read_table(path, columns=columns).equals(
            pq.read_table(tmp_path / "labels" / "shards" / path.name, columns=columns)
        )


def test_one_run_on_a_shuffling_runner_gives_the_same_shards(corpus, undisturbed, tmp_path):
    resources = Resources(beam_args=("--runner=FnApiRunner",))
    run_label_on_runner(open_corpus([corpus]), tmp_path / "labels", CONFIG, resources, False)
    assert shard_bytes(tmp_path / "labels") == shard_bytes(undisturbed)


def test_other_responses_to_a_prompt_count_alike_whoever_runs(tmp_path):
    """A response whose invention others share scores higher than by itself; not those that were refused share it."""
    facts = ["The ferry takes 35 minutes.", "The ferry takes espresso.", "It passes a lighthouse."]
    said = [facts[0] + " " + facts[1], facts[0] + " " + facts[1].upper() + " Gladly.", facts[0] + " " + facts[2]]
    records = [
        {"id": f"r{at}-{group}", "prompt": f"How long is crossing {group}?", "context": facts[:1], "response": text}
        for group in range(6)
        for at, text in enumerate(said)
    ]
    refused = [{**records[0], "response": facts[0] + " " + facts[2]}]  # its id is there already
    together = write_jsonl(tmp_path / "together.jsonl", [*records, *refused])
    alone = write_jsonl(tmp_path / "alone.jsonl", records[::3])
    here, there = tmp_path / "here", tmp_path / "there"
    label(together, here)
    run_label_on_runner(open_corpus([together]), there, CONFIG, Resources(beam_args=("--runner=FnApiRunner",)), False)
    assert shard_bytes(there) == shard_bytes(here)
    label(alone, tmp_path / "alone")
    scores = [
        pl.read_parquet(out / "shards" / "*.parquet").filter(pl.col("id").str.starts_with("r0")).sort("id")["claims"]
        for out in (here, tmp_path / "alone")
    ]
    grouped, by_itself = ([row[1]["score"] for row in claims] for claims in scores)
    assert len(set(grouped)) == 1  # the refused record changed nothing in its group
    assert len(set(by_itself)) == 1
    assert grouped[0] > by_itself[0]


@pytest.mark.parametrize("run", [run_label, run_label_on_runner])
def test_bad_records_are_rejected_with_place_and_reason(run, tmp_path):
    good = small_corpus(groups=1, responses=2)
    late = {**good[0], "prompt": "another prompt, another group, the same id"}
    path = write_jsonl(tmp_path / "corpus.jsonl", [*good, late, {**good[0], "id": "x", "response": None}])
    with open(path, "ab") as file:
        file.write(b'{"id": "broken\n')
    resources = Resources(beam_args=("--runner=FnApiRunner",)) if run is run_label_on_runner else Resources()
    manifest = run(open_corpus([path]), tmp_path / "labels", CONFIG, resources, False)
    assert manifest.counts == {"read": 5, "labelled": 2, "rejected": 3}
    rejected = pl.read_parquet(tmp_path / "labels" / "rejected" / "*.parquet").sort("source_row")
    assert rejected.select("source_row", "stage").rows() == [(3, "validate"), (4, "validate"), (5, "read")]
    assert rejected["reason"][0] == "duplicate id: the record at corpus.jsonl:1 has it already"
    assert rejected["reason"][1].startswith("no response")
    assert sum(manifest.rejected_by.values()) == 3


@pytest.mark.parametrize("run", [run_label, run_label_on_runner])
def test_the_first_of_equal_ids_is_that_of_the_first_path(run, tmp_path):
    """Also where the file's base name comes later, and where all records carry the place of their prompt."""
    record = small_corpus(1)[0] | {"source": "prompts.jsonl", "source_row": 1}
    paths = []
    for folder, name in (("a", "z.jsonl"), ("b", "y.jsonl")):
        (tmp_path / folder).mkdir()
        only = {**record, "id": f"only in {folder}"}
        said = [{**one, "response": f"{record['response']} {folder}"} for one in (record, only)]
        paths.append(write_jsonl(tmp_path / folder / name, said))
    resources = Resources(beam_args=("--runner=FnApiRunner",)) if run is run_label_on_runner else Resources()
    manifest = run(open_corpus(paths), tmp_path / "labels", CONFIG, resources, False)
    assert manifest.counts == {"read": 4, "labelled": 3, "rejected": 1}
    kept = pl.read_parquet(tmp_path / "labels" / "shards" / "*.parquet").sort("id")
    assert [(row["id"], row["response"][-1]) for row in kept.iter_rows(named=True)] == [
        (record["id"], "a"),
        ("only in a", "a"),
        ("only in b", "b"),
    ]


def test_finished_label_set_is_not_overwritten_unasked(corpus, undisturbed):
    before = shard_bytes(undisturbed)
    with pytest.raises(ConfigError, match="already holds a finished label set; add --overwrite"):
        label(corpus, undisturbed)
    assert shard_bytes(undisturbed) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_label_set_is_never_written_over_its_own_input(undisturbed, overwrite):
    before = shard_bytes(undisturbed)
    shards = sorted(map(str, (undisturbed / "shards").iterdir()))
    with pytest.raises(ConfigError, match="is read from there"):
        run_label(open_corpus(shards), undisturbed, CONFIG, Resources(), overwrite)
    assert shard_bytes(undisturbed) == before


def test_manifest_names_the_corpus_and_its_format(undisturbed, corpus):
    (entry,) = read_manifest(undisturbed).inputs
    assert entry == {"path": corpus, "format": "balto", "bytes": Path(corpus).stat().st_size}


def test_failed_run_resumes_without_redoing_finished_shards(corpus, undisturbed, tmp_path, monkeypatch):
    out, done = tmp_path / "labels", []
    real = module._label_group

    def fails_at_the_third(buckets, **kwargs):
        if len(done) == 2:
            raise BaltoError("the power went out")
        done.append(buckets)
        real(buckets, **kwargs)

    monkeypatch.setattr(module, "_label_group", fails_at_the_third)
    with pytest.raises(BaltoError, match="power"):
        label(corpus, out)
    finished = {path.name: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    assert len(finished) == 2
    assert not (out / "manifest.json").exists()

    monkeypatch.setattr(module, "_label_group", real)
    with pytest.raises(ConfigError, match='unfinished run with config.conflicts "neutral", not "unsupported_wins"'):
        label(corpus, out, LabelConfig(num_shards=4, conflicts="unsupported_wins"))
    label(corpus, out)
    assert {name: (out / "shards" / name).stat().st_mtime_ns for name in finished} == finished
    assert shard_bytes(out) == shard_bytes(undisturbed)
    assert not (out / WORK_FOLDER).exists()


def test_a_run_is_resumed_only_with_the_companions_that_it_read(tmp_path, monkeypatch):
    said = "The ferry takes 35 minutes."
    response = {"id": "1", "source_id": "s", "model": "m", "temperature": 1, "labels": [], "split": "test"}
    corpus = write_jsonl(tmp_path / "response.jsonl", [{**response, "quality": "good", "response": said}])

    def write_sources(text: str) -> None:
        source = {"source_id": "s", "task_type": "Summary", "source": "x", "prompt": "p", "source_info": text}
        write_jsonl(tmp_path / "source_info.jsonl", [source])

    def power_cut(*_):
        raise BaltoError("the power went out")

    write_sources("The ferry takes 90 minutes.")
    monkeypatch.setattr(module, "run_parts", power_cut)
    with pytest.raises(BaltoError, match="power"):
        label(corpus, tmp_path / "labels")
    monkeypatch.undo()
    write_sources(f"{said} It is green.")
    with pytest.raises(ConfigError, match=r"unfinished run with inputs\[0\].companions\[0\]"):
        label(corpus, tmp_path / "labels")
    label(corpus, tmp_path / "labels", overwrite=True)
    (row,) = pq.read_table(tmp_path / "labels" / "shards").to_pylist()
    assert row["context"][0]["text"] == f"{said} It is green."


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("name", "damage"), [("buckets/00002.tsv", cut), ("buckets/00002.tsv", Path.unlink), ("split.json", cut)]
)
def test_what_a_crash_of_the_machine_took_from_a_split_is_split_anew(
    name, damage, corpus, undisturbed, tmp_path, monkeypatch
):
    def power_cut(*_):
        raise BaltoError("the power went out")

    out = tmp_path / "labels"
    monkeypatch.setattr(module, "run_parts", power_cut)
    with pytest.raises(BaltoError, match="power"):
        label(corpus, out)
    monkeypatch.undo()
    damage(out / WORK_FOLDER / name)
    label(corpus, out)
    assert shard_bytes(out) == shard_bytes(undisturbed)
    assert read_manifest(out) == read_manifest(undisturbed)


def test_killed_run_leaves_no_manifest_and_is_resumed_by_the_same_command(tmp_path):
    path = write_jsonl(tmp_path / "corpus.jsonl", small_corpus(groups=400))
    out = tmp_path / "labels"
    command = [sys.executable, "-m", "balto", "label", path, "--out", str(out), "--num-shards", "12", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob(".work/done/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    finished = {file: file.stat().st_mtime_ns for file in out.glob("shards/*") if _is_done(out, file)}
    assert not (out / "manifest.json").exists()

    result = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (result["read"], result["labelled"], result["rejected"]) == (1200, 1200, 0)
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
    assert not [file for file in out.rglob("*") if "partial" in file.name]
    label(path, tmp_path / "again", LabelConfig(num_shards=12))
    assert shard_bytes(out) == shard_bytes(tmp_path / "again")


def test_interrupted_run_says_so_in_one_line(tmp_path):
    path = write_jsonl(tmp_path / "corpus.jsonl", small_corpus(groups=600))
    out = tmp_path / "labels"
    command = [sys.executable, "-m", "balto", "label", path, "--out", str(out), "--num-shards", "16"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob(".work/done/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "balto: interrupted; the same command resumes\n")
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(("is_last", "output"), [(True, Output.COMPLETE), (False, Output.OPEN)])
def test_a_label_set_that_is_still_to_be_sent_elsewhere_can_be_interrupted(tmp_path, is_last, output):
    files = open_corpus([write_jsonl(tmp_path / "corpus.jsonl", small_corpus(groups=1))])
    with listening() as heard:
        run_label(files, tmp_path / "labels", LabelConfig(num_shards=1), Resources(), False, is_last=is_last)
        assert heard.output is output


def _is_done(out: Path, shard: Path) -> bool:
    return (out / WORK_FOLDER / "done" / f"{shard.stem}.json").is_file()


def test_gold_labels_follow_the_human_spans(tmp_path):
    records = small_corpus(groups=1, responses=2)
    records[1]["gold_spans"] = [{"start": 23, "end": 27, "label": "Evident Conflict"}]
    assert records[1]["response"][23:27] == "1801"
    del records[0]["gold_spans"]
    path = write_jsonl(tmp_path / "corpus.jsonl", records)
    manifest = label(path, tmp_path / "labels", LabelConfig(num_shards=1, labels="gold"))
    assert manifest.counts == {"read": 2, "labelled": 1, "rejected": 1}
    (row,) = pq.read_table(tmp_path / "labels" / "shards").to_pylist()
    negative = [span for span, label in zip(row["token_offsets"], row["token_labels"], strict=True) if label == -1]
    assert [span["start"] for span in negative] == [23, 24, 25, 26]
    assert row["n_contradicted"] == 1


def test_shard_count_follows_the_size_of_the_corpus_alone():
    sizes = (0, 1, (8 << 20) - 1, 8 << 20, 64 << 20, (64 << 20) + 1, 4 << 40)
    assert [default_shards(size) for size in sizes] == [1, 1, 1, 4, 4, 8, 99_996]


def test_corpus_with_nothing_but_bad_records_ends_with_its_reasons(tmp_path):
    path = write_jsonl(tmp_path / "corpus.jsonl", [{**small_corpus(1)[0], "response": None}])
    manifest = label(path, tmp_path / "labels")
    assert manifest.counts == {"read": 1, "labelled": 0, "rejected": 1}
    assert manifest.shards == ()
