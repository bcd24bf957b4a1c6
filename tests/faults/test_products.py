"""The looks at what a command left do see damage: each kind is made on purpose here."""

import json
import shutil

import pytest

from tests.faults.products import corpus_problems, label_set_problems, page_problems, run_problems


@pytest.fixture
def copy(scenarios, tmp_path):
    def of(name):
        whole = scenarios[name].undisturbed
        shutil.copytree(whole.parent, tmp_path / name)
        return tmp_path / name / whole.name, whole

    return of


def kinds(problems):
    return {problem.partition(":")[0] for problem in problems}


def test_damage_of_a_label_set_is_seen(copy):
    out, whole = copy("label")
    assert label_set_problems(out, whole, True) == []
    shard = next((out / "shards").glob("*.parquet"))
    shutil.copy(shard, shard.with_name("again.parquet"))
    assert kinds(label_set_problems(out, whole, True)) == {"doubled", "left over"}
    shard.with_name("again.parquet").unlink()
    shard.rename(out / "elsewhere")
    assert kinds(label_set_problems(out, whole, False)) == {"lost", "unreadable"}
    (out / "manifest.json").unlink()
    assert kinds(label_set_problems(out, whole, True)) == {"lost"}
    assert label_set_problems(out, whole, False) == []  # an unfinished run, refused by readers


def test_damage_of_a_corpus_is_seen(copy):
    out, whole = copy("generate")
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join([*lines[1:], lines[-1]]))
    assert kinds(corpus_problems(out, whole, False)) == {"lost", "doubled"}
    changed = json.loads(lines[0]) | {"response": "another"}
    out.write_bytes(json.dumps(changed).encode() + b"\n" + b"".join(lines[1:]))
    assert kinds(corpus_problems(out, whole, False)) == {"different"}
    out.write_bytes(b"".join(lines)[:-20])
    assert kinds(corpus_problems(out, whole, False)) == {"unreadable"}


def test_damage_of_a_run_and_of_a_page_is_seen(copy):
    out, whole = copy("train")
    assert run_problems(out, whole, True) == []
    optimizer = next((out / "checkpoints").glob("step-*/optimizer.pt"))
    optimizer.write_bytes(optimizer.read_bytes()[:100])
    steps = (out / "metrics.jsonl").read_text().splitlines(keepends=True)
    (out / "metrics.jsonl").write_text("".join([*steps[1:], steps[-1]]))
    (out / ".config.yaml.1.partial").write_text("")
    assert kinds(run_problems(out, whole, True)) == {"unreadable", "lost", "doubled", "different", "left over"}
    page, whole_page = copy("report")
    page.write_bytes(page.read_bytes()[:-1])
    assert kinds(page_problems(page, whole_page, False)) == {"different"}
