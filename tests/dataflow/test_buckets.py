"""Corpora and label sets in buckets: the same rows as on disks, one run at a time, nothing half-written."""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from balto import main as balto_main
from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus, read_corpus_file
from pipeline.runs.copy_labels import copy_labels, read_manifest_at
from pipeline.runs.label import Resources
from pipeline.runs.on_runner import run_label_on_runner
from pipeline.runs.output_folder import only_writer
from pipeline.runs.start import start_label
from pipeline.storage import turns
from pipeline.storage.whole_files import files_below, write_file
from schemas.errors import BaltoError, ConfigError, ShardError
from schemas.manifest import MANIFEST, parse_manifest
from tests import shelf
from tests.rows import small_corpus, write_jsonl

ROOT = Path(__file__).parents[2]
TOKENIZER = str(ROOT / "data" / "sample" / "tokenizer.json")
CONFIG = LabelConfig(num_shards=3, tokenizer=TOKENIZER)
OUT = "shelf://bucket/labels"


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """A bucket with a corpus of 24 records, two of them bad."""
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path / "shelf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    records = small_corpus(groups=8)
    (tmp_path / "shelf" / "bucket" / "in").mkdir(parents=True)
    for name, part in (("a", records[:12]), ("b", [*records[12:23], records[0], "no record"])):
        write_jsonl(tmp_path / "shelf" / "bucket" / "in" / f"{name}.jsonl", part)
    return tmp_path / "shelf" / "bucket"


def label(out: str, runner: str = "FnApiRunner", overwrite: bool = False, corpus: str = "shelf://bucket/in/*.jsonl"):
    resources = Resources(beam_args=(f"--runner={runner}",))
    if runner == "whole graph":
        resources = Resources(beam_args=("--runner=FnApiRunner",))
        return run_label_on_runner(open_corpus([corpus]), out, CONFIG, resources, overwrite)
    return start_label(open_corpus([corpus]), out, CONFIG, resources, runner, overwrite, None)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("runner", ["FnApiRunner", "whole graph"])
@pytest.mark.parametrize("out", [OUT, "dirs://bucket/labels"])
def test_a_label_set_in_a_bucket_is_byte_for_byte_the_one_on_a_disk(bucket, tmp_path, runner, out):
    manifest = label(out, runner)
    assert manifest.counts == {"read": 25, "labelled": 23, "rejected": 2}
    label(str(tmp_path / "here"), runner)
    assert files_in(bucket / "labels") == files_in(tmp_path / "here")
    assert not (tmp_path / "cache" / "balto" / "runs").exists() or not any((tmp_path / "cache/balto/runs").iterdir())


def test_here_and_on_a_runner_the_shards_are_the_same(bucket):
    here, there = label(OUT), label("shelf://bucket/other", "whole graph")
    assert here.shards == there.shards
    assert here.content_hash() == there.content_hash()


def test_a_finished_label_set_is_replaced_only_when_told(bucket):
    label(OUT)
    before = files_in(bucket / "labels")
    for runner in ("FnApiRunner", "whole graph"):
        with pytest.raises(ConfigError, match="already holds a finished label set; add --overwrite"):
            label(OUT, runner)
    assert files_in(bucket / "labels") == before
    label(OUT, "whole graph", overwrite=True, corpus="shelf://bucket/in/a.jsonl")
    assert read_manifest_at(OUT).counts["read"] == 12


def test_an_unfinished_run_is_resumed_by_the_same_command_only(bucket, monkeypatch):
    monkeypatch.setattr(turns, "WATCH_S", 0.0)
    with monkeypatch.context() as dying:
        dying.setattr("pipeline.runs.on_runner.run_pipeline", _die)
        with pytest.raises(RuntimeError):
            label(OUT, "whole graph")
    with pytest.raises(ConfigError, match="holds an unfinished run with inputs"):
        label(OUT, "whole graph", corpus="shelf://bucket/in/a.jsonl")
    assert label(OUT, "whole graph").counts["read"] == 25
    assert {one.path.removeprefix(f"{OUT}/").partition("/")[0] for one in files_below(OUT)} == {
        "shards",
        "rejected",
        MANIFEST,
    }


def _die(_: object) -> None:
    raise RuntimeError("killed")


def test_a_second_run_is_refused_while_the_first_beats(bucket):
    def beats_on(_: float) -> None:
        write_file(f"{OUT}/.work/owner.json", json.dumps({"token": "first", "beat": 7}).encode())

    write_file(f"{OUT}/.work/owner.json", json.dumps({"token": "first", "beat": 6}).encode())
    with pytest.raises(ConfigError, match="another run is writing there"), turns.take_turn(OUT, beats_on):
        pass
    with turns.take_turn(OUT, lambda _: None) as token:
        turns.check_turn(OUT, token)


def test_a_run_that_was_taken_over_writes_nothing_more(bucket, monkeypatch):
    taken_over = _overtaken(monkeypatch)
    with pytest.raises(BaltoError, match="another run has taken over this output"):
        label(OUT, "whole graph")
    assert taken_over
    assert not (bucket / "labels" / MANIFEST).exists()
    assert not (bucket / "labels" / "shards").exists()


def _overtaken(monkeypatch) -> list[str]:
    from pipeline.runs import on_runner

    real, done = on_runner.run_pipeline, []

    def run(pipeline) -> bool:
        write_file(f"{OUT}/.work/owner.json", b'{"token": "second", "beat": 0}')
        done.append("second")
        return real(pipeline)

    monkeypatch.setattr(on_runner, "run_pipeline", run)
    return done


def test_ragtruth_reads_its_sources_beside_it_in_the_bucket(bucket):
    source = {
        "source_id": "7",
        "task_type": "QA",
        "source": "MARCO",
        "source_info": {"question": "Who?", "passages": "passage 1:Ada did."},
    }
    response = {
        "id": "1",
        "source_id": "7",
        "model": "m",
        "temperature": 0.7,
        "labels": [],
        "split": "test",
        "quality": "good",
        "response": "Ada did.",
    }
    (bucket / "rt").mkdir()
    write_jsonl(bucket / "rt" / "source_info.jsonl", [source])
    write_jsonl(bucket / "rt" / "response.jsonl", [response])
    (file,) = open_corpus(["shelf://bucket/rt/*.jsonl"])
    (sample,) = read_corpus_file(file)
    assert (file.format, sample.prompt, sample.source) == ("ragtruth", "Who?", "response.jsonl")


def test_a_corpus_that_is_not_there_is_one_line(bucket):
    with pytest.raises(ConfigError, match=r"shelf://bucket/none/\*.jsonl: no such file; check the address"):
        open_corpus(["shelf://bucket/none/*.jsonl"])


def test_copies_are_checked_and_their_manifest_comes_last(bucket, tmp_path):
    label(OUT)
    copy_labels(OUT, str(tmp_path / "here"))
    assert files_in(tmp_path / "here") == files_in(bucket / "labels")
    copy_labels(str(tmp_path / "here"), "shelf://bucket/back")
    assert files_in(bucket / "back") == files_in(bucket / "labels")
    shard = next(iter((bucket / "labels" / "shards").iterdir()))
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ShardError, match="altered since it was written"):
        copy_labels(OUT, str(tmp_path / "again"))
    assert not (tmp_path / "again" / MANIFEST).exists()


def test_a_copy_does_not_write_where_a_run_is_writing(bucket, tmp_path):
    label(OUT)
    here = tmp_path / "here"
    with (
        only_writer(here),
        pytest.raises(ConfigError, match="another run is writing there"),
    ):
        copy_labels(OUT, str(here), overwrite=True)
    copy_labels(OUT, str(here))
    assert files_in(here) == files_in(bucket / "labels")
    with pytest.raises(ConfigError, match="already holds a finished label set"):
        copy_labels(OUT, str(here))


@pytest.mark.parametrize("target", ["{tmp}/set[1]", "shelf://bucket/set[1]"])
def test_a_copy_that_replaces_a_label_set_leaves_none_of_its_files(bucket, tmp_path, target):
    label(OUT)
    target = target.format(tmp=tmp_path)
    copy_labels(OUT, target)
    small, corpus = tmp_path / "small", open_corpus(["shelf://bucket/in/a.jsonl"])
    start_label(corpus, str(small), LabelConfig(num_shards=1), Resources(), "FnApiRunner", False, None)
    copy_labels(str(small), target, overwrite=True)
    assert files_in(shelf.local(target) if "://" in target else Path(target)) == files_in(small)


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "shards/../../x", "gs://other/x", "shards\\..\\..\\x", "a/../../b"]
)
def test_a_manifest_names_no_file_outside_its_label_set(bucket, path):
    label(OUT)
    values = json.loads((bucket / "labels" / MANIFEST).read_bytes())
    values["shards"][0]["path"] = path
    with pytest.raises(ShardError, match="names a file outside the label set"):
        parse_manifest(json.dumps(values).encode(), "manifest.json")


def command(*args: str) -> tuple[int, str]:
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["balto", *args])
        with pytest.raises(SystemExit) as ended:
            balto_main()
    return int(ended.value.code or 0), out.getvalue() + err.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ("stats", "gs://bucket/labels"),
        ("score", "gs://bucket/labels"),
        ("show", "gs://bucket/labels"),
        ("report", "gs://bucket/labels", "--out", "page.html"),
        ("project", "gs://bucket/labels", "--tokenizer", "bytes", "--out", "x"),
        ("train", "gs://bucket/labels", "--model", "m", "--out", "x"),
    ],
    ids=lambda words: words[0],
)
def test_commands_that_read_here_say_how_to_copy_a_label_set(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = command(*words)
    assert (code, text.count("\n")) == (2, 1)
    assert "copy it here first: balto copy gs://bucket/labels FOLDER" in text
    assert not any(tmp_path.iterdir())


def test_label_and_copy_as_typed(bucket, tmp_path):
    code, text = command("label", "shelf://bucket/in/a.jsonl", "--out", OUT, "--num-shards", "1")
    assert (code, "12 records read = 12 labelled + 0 rejected" in text) == (0, True)
    code, text = command("copy", OUT, str(tmp_path / "here"))
    assert (code, text) == (0, f"label set: {tmp_path / 'here'} (1 shard, 12 responses)\n")
