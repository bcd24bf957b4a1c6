"""`balto train-verifier` on the hand-marked sample corpus with a tiny encoder, and labelling with the result."""

import dataclasses
import fcntl
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import balto
from pipeline.config import LabelConfig
from pipeline.engines.nli import loading
from pipeline.engines.nli.settings import Compute
from schemas.errors import ConfigError, ShardError
from tests.pipeline.engines.nli.tiny_nli_models import make_encoder, make_model

SAMPLE = Path(__file__).parents[4] / "data" / "sample" / "corpus.jsonl"


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    out = tmp_path_factory.mktemp("labels") / "gold"
    done = CliRunner().invoke(balto.app, ["label", str(SAMPLE), "--labels", "gold", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    words = sorted(set(re.findall(r"\w+|[^\w\s]", SAMPLE.read_text().lower())))
    return make_encoder(tmp_path_factory.mktemp("models") / "encoder", words=words)


def train(labels, base, out, *options):
    words = ["train-verifier", str(labels), "--base", str(base), "--out", str(out), "--device", "cpu"]
    return CliRunner().invoke(balto.app, [*words, "--epochs", "1", "--window", "128", "--held-out", "0.4", *options])


@pytest.fixture(scope="module")
def verifier(labels, base, tmp_path_factory):
    out = tmp_path_factory.mktemp("verifiers") / "V"
    done = train(labels, base, out, "--json")
    assert done.exit_code == 0, done.output
    return out


def label(out, *options):
    words = ["label", str(SAMPLE), "--out", str(out), "--device", "cpu", *options]
    done = CliRunner().invoke(balto.app, words)
    assert done.exit_code == 0, done.output
    return pl.scan_parquet(f"{out}/shards/*.parquet").select("id", "claims").collect().sort("id").to_dicts()


def test_verifier_says_what_it_was_made_of_and_what_it_is_worth(verifier):
    written = json.loads((verifier / "verifier.json").read_text())
    assert written["parts"] == ["claims", "tokens"]
    assert written["notes"]["responses"] + written["notes"]["held_out_responses"] == 44  # one of 45 makes no claim
    assert written["calibrations"][0]["features"] == ["claim", "token_max", "token_mean", "lexical"]
    assert 0 <= written["notes"]["held_out"]["calibration_error"] <= 1


def test_doubtful_claims_of_a_trained_verifier_label_no_token(verifier, tmp_path):
    label(tmp_path / "auto", "--verifier", f"nli:{verifier}")
    manifest = json.loads((tmp_path / "auto" / "manifest.json").read_text())
    assert manifest["config"]["neutral_band"] == "0.45:0.7"
    plain = make_model(tmp_path / "plain")
    label(tmp_path / "none", "--verifier", f"nli:{plain}")
    assert json.loads((tmp_path / "none" / "manifest.json").read_text())["config"]["neutral_band"] == "none"


def test_a_trained_verifier_of_a_hub_has_a_band_as_well(verifier, monkeypatch):
    """The hub gives the folder under another name than the one that was asked for."""
    hub = {"someone/V": verifier}
    monkeypatch.setattr(loading, "find_folder", lambda name: hub.get(name, Path(name)))
    prepared = LabelConfig(num_shards=1, verifier="nli:someone/V", compute=Compute(device="cpu")).prepared()
    assert (prepared.neutral_band, prepared.as_dict()["neutral_band"]) == ("0.45:0.7", "0.45:0.7")
    unasked = dataclasses.replace(prepared, neutral_band="none").prepared()
    assert unasked.band is None


def test_verifier_labels_a_corpus(verifier, tmp_path):
    rows = label(tmp_path / "out", "--verifier", f"nli:{verifier}")
    claims = [claim for row in rows for claim in row["claims"]]
    assert {claim["status"] for claim in claims} == {"ok"}
    assert all(0 <= claim["score"] <= 1 for claim in claims)
    assert all(claim["reason"].endswith("by claim, token_max, token_mean, lexical") for claim in claims)


def test_what_it_is_worth_is_printed_beside_what_the_embedded_engine_is_worth(labels, base, tmp_path, caplog):
    caplog.set_level("INFO")
    done = train(labels, base, tmp_path / "V", "--kind", "tokens")
    first, held_out, own, lexical, *rest, last = done.stdout.splitlines()  # of the trainers' own there is nothing
    assert first.startswith(f"{tmp_path / 'V'}: trained on ")
    assert re.fullmatch(r"held-out claims \d+, of them unsupported \d+:", held_out)
    assert own.startswith("  this verifier          F1 ")
    assert lexical.startswith("  `lexical` alone        F1 ")
    f1 = [float(re.search(r"F1 (\d\.\d\d)", line)[1]) for line in (own, lexical)]
    assert bool(rest) is (f1[0] <= f1[1])
    assert last.startswith("use it: ")
    assert re.search(r"token classifier \| step \d+ of \d+ \| loss \d\.\d{3}", caplog.text)
    notes = json.loads((tmp_path / "V" / "verifier.json").read_text())["notes"]
    assert notes["held_out"]["claims"] == notes["held_out_lexical"]["claims"]


@pytest.mark.parametrize(("kind", "names"), [("claims", "a"), ("tokens", "ab")])
def test_one_kind_alone_can_be_trained_and_gives_the_same_again(labels, base, tmp_path, kind, names):
    runs = []
    for name in names:
        assert train(labels, base, tmp_path / name, "--kind", kind).exit_code == 0
        rows = label(tmp_path / f"labels-{name}", "--verifier", f"nli:{tmp_path / name}")
        assert {claim["status"] for row in rows for claim in row["claims"]} == {"ok"}
        runs.append([claim["score"] for row in rows for claim in row["claims"]])
    assert runs[0] == pytest.approx(runs[-1], abs=2e-3)


def test_base_with_a_head_of_another_size_gives_its_encoder(labels, tmp_path):
    three_way = make_model(tmp_path / "three-way")
    done = train(labels, three_way, tmp_path / "V")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "V" / "verifier.json").read_text())["parts"] == ["claims", "tokens"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--kind", "all"), "--kind all"),
        (("--held-out", "1"), "--held-out 1.0"),
        (("--epochs", "0"), "--epochs 0"),
        (("--base", "/nowhere"), "no such folder"),
    ],
)
def test_what_cannot_work_is_said_before_training(labels, base, tmp_path, options, message):
    done = train(labels, base, tmp_path / "V", *options)
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert not (tmp_path / "V").exists()


def test_labels_of_the_embedded_engine_are_warned_of(labels, base, tmp_path, caplog):
    """Its own score is among what the verifier sees: the figures would only say how well it is imitated."""
    lexical = tmp_path / "lexical"
    label(lexical)
    for folder, warned in ((labels, False), (lexical, True)):
        done = train(folder, base, tmp_path / f"out-{warned}", "--epochs", "0.1", "--kind", "tokens")
        assert done.exit_code == 0, done.output
        assert (f"{folder}: its labels are the embedded engine's own" in caplog.text) is warned


def test_a_folder_that_is_no_verifier_is_never_replaced(labels, base, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = train(labels, base, tmp_path, "--overwrite")
    assert "it is not replaced" in str(done.exception)
    assert (tmp_path / "thesis.txt").exists()


def test_a_second_run_into_the_same_folder_is_refused(labels, base, tmp_path):
    work = tmp_path / "V.unfinished"
    work.mkdir()
    (work / "of the first").write_text("")
    with open(work / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = train(labels, base, tmp_path / "V")
    assert "another run is writing there" in str(done.exception)
    assert (work / "of the first").exists()


def test_what_a_killed_run_left_is_cleared_away_and_an_older_verifier_replaced(labels, base, tmp_path):
    out, work, old = tmp_path / "V", tmp_path / "V.unfinished", tmp_path / "V.replaced"
    for folder in (out, work / "claims", old):
        folder.mkdir(parents=True)
        (folder / "verifier.json").write_text("{}")
    (work / ".lock").write_text("")
    done = train(labels, base, out, "--kind", "tokens", "--overwrite")
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["V"]
    assert sorted(path.name for path in out.iterdir()) == ["tokens", "verifier.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"calibrations": []}, "damaged"),
        ({"window": "many"}, "damaged"),
        ({"parts": ["x"]}, "damaged"),
    ],
)
def test_damaged_verifier_is_one_line(verifier, tmp_path, change, message):
    copy = shutil.copytree(verifier, tmp_path / "V")
    file = copy / "verifier.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    words = ["label", str(SAMPLE), "--out", str(tmp_path / "out"), "--verifier", f"nli:{copy}", "--device", "cpu"]
    done = CliRunner().invoke(balto.app, words)
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_altered_label_set_trains_no_verifier(labels, base, tmp_path):
    copy = shutil.copytree(labels, tmp_path / "labels")
    (shard,) = (copy / "shards").iterdir()
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(bytes(data))
    done = train(copy, base, tmp_path / "V")
    assert isinstance(done.exception, ShardError)
    assert str(done.exception).startswith(f"{shard}: altered since it was written")
    assert not (tmp_path / "V").exists()
