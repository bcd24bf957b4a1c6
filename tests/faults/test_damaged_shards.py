"""A shard that is cut, has a flipped bit, is exchanged for another, or is missing: all readers refuse it and name it.

In a finished label set all commands that read it are asked; in an unfinished one the resuming run writes it again.
"""

import random
import shutil

import pytest

from tests.faults.products import label_set_problems

READERS = {
    "project": ("project", "{labels}", "--tokenizer", "bytes", "--out", "{out}"),
    "train": ("train", "{labels}", "--model", "{model}", "--out", "{out}"),
    "stats": ("stats", "{labels}"),
    "score": ("score", "{labels}"),
    "report": ("report", "{labels}", "--out", "{out}"),
}


def cut(first, other):
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2])


def flip(first, other):
    data = bytearray(first.read_bytes())
    rng = random.Random(1)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    first.write_bytes(bytes(data))


def exchange(first, other):
    ours = first.read_bytes()
    first.write_bytes(other.read_bytes())
    other.write_bytes(ours)


def remove(first, other):
    first.unlink()


DAMAGES = [cut, flip, exchange, remove]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", READERS)
def test_damaged_shard_is_refused_in_one_line_that_names_it(reader, damage, balto, inputs, scenarios, tmp_path):
    labels = shutil.copytree(scenarios["label"].undisturbed, tmp_path / "labels")
    first, other = sorted((labels / "shards").iterdir())[:2]
    damage(first, other)
    out = tmp_path / "out"
    ended = balto.run([arg.format(labels=labels, out=out, model=inputs.model) for arg in READERS[reader]])
    assert ended.code == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert first.name in ended.stderr or other.name in ended.stderr
    assert not (out / "manifest.json").exists()
    assert not out.is_file()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["label", "project"])
def test_damaged_shard_of_an_unfinished_run_is_written_again(name, damage, balto, scenarios, folder, tmp_path):
    scenario = scenarios[name]
    out = tmp_path / "labels"
    undisturbed = balto.run(scenario.argv(tmp_path / "whole"), watch=tmp_path)
    killed = balto.run(scenario.argv(out), watch=tmp_path, kill_at=undisturbed.operations - 12)  # shards are done
    assert killed.code == -9
    shards = sorted((out / "shards").glob("*.parquet"))
    assert len(shards) >= 2
    damage(*shards[:2])
    ended = balto.run(scenario.argv(out))
    assert ended.code == 0, ended.stderr
    assert label_set_problems(out, scenario.undisturbed, True) == []
