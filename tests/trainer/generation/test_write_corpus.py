import fcntl
import json

import pytest

from schemas.errors import ConfigError
from schemas.records import Passage, Sample
from schemas.samples import sample_from_json
from trainer.generation.write_corpus import CorpusWriter

RUN = {"model": "m", "seed": 0}
GENERATED = '{"id": "a", "meta": {"finish_reason": "stop"}}\n'


def group(name, size=2):
    context = (Passage("p1", "text"),)
    return [Sample(f"{name}:{i}", name, "question", context, f"answer {i} ✓") for i in range(size)]


def read(path):
    return [
        sample_from_json(json.loads(line), source="", source_row=0, default_id=None)
        for line in path.read_text().splitlines()
    ]


def test_a_finished_corpus_holds_every_record_and_leaves_nothing_beside_it(tmp_path):
    out = tmp_path / "new" / "corpus.jsonl"
    with CorpusWriter(out, RUN, 2) as writer:
        writer.write(group("a"))
        writer.write(group("b"))
        assert not out.exists()
        writer.finish()
    assert read(out) == [*group("a"), *group("b")]
    assert [path.name for path in out.parent.iterdir()] == ["corpus.jsonl"]


@pytest.mark.parametrize("cut", [0, 1, 40, 150])
def test_an_interrupted_run_keeps_its_whole_groups_and_drops_the_rest(tmp_path, cut):
    out = tmp_path / "corpus.jsonl"
    with CorpusWriter(out, RUN, 2) as writer:
        writer.write(group("a"))
        writer.write(group("b"))
        writer.flush()
    partial = tmp_path / ".corpus.jsonl.partial"
    partial.write_bytes(partial.read_bytes()[: -cut or None])
    with CorpusWriter(out, RUN, 2) as writer:
        assert writer.done == ({"a", "b"} if cut == 0 else {"a"})
        for name in sorted({"a", "b"} - writer.done):
            writer.write(group(name))
        writer.finish()
    assert read(out) == [*group("a"), *group("b")]


def test_another_run_does_not_continue_it(tmp_path):
    out = tmp_path / "corpus.jsonl"
    with CorpusWriter(out, RUN, 2) as writer:
        writer.write(group("a"))
    with (
        pytest.raises(ConfigError, match="unfinished run there has seed 0, not 1; .* or add --overwrite to start anew"),
        CorpusWriter(out, RUN | {"seed": 1}, 2),
    ):
        pass
    with CorpusWriter(out, RUN | {"seed": 1}, 2, overwrite=True) as writer:
        assert writer.done == set()
        writer.write(group("b"))
        writer.finish()
    assert read(out) == group("b")


def test_overwrite_goes_on_with_an_unfinished_run_of_the_same_question(tmp_path):
    out = tmp_path / "corpus.jsonl"
    for name in "ab":
        with CorpusWriter(out, RUN, 2, overwrite=True) as writer:
            assert writer.done == ({"a"} if name == "b" else set())
            writer.write(group(name))
            writer.flush()


def test_a_corpus_that_is_there_is_not_replaced_by_surprise(tmp_path):
    out = tmp_path / "corpus.jsonl"
    out.write_text(GENERATED)
    with pytest.raises(ConfigError, match="add --overwrite"):
        CorpusWriter(out, RUN, 2)
    with CorpusWriter(out, RUN, 2, overwrite=True) as writer:
        assert out.read_text() == GENERATED
        writer.write(group("a"))
        writer.finish()
    assert read(out) == group("a")


@pytest.mark.parametrize(
    "text", ["precious\n", '{"id": "a", "response": "b"}\n', '{"id": "a", "meta": null}\n', "[1]\n"]
)
def test_a_file_that_no_run_wrote_is_never_replaced(text, tmp_path):
    out = tmp_path / "corpus.jsonl"
    out.write_text(text)
    with pytest.raises(ConfigError, match="is a file that `balto generate` did not write"):
        CorpusWriter(out, RUN, 2, overwrite=True)
    assert out.read_text() == text


def test_two_runs_do_not_write_one_corpus(tmp_path):
    out = tmp_path / "corpus.jsonl"
    with CorpusWriter(out, RUN, 2), pytest.raises(ConfigError, match="another run is writing"):
        CorpusWriter(out, RUN, 2).__enter__()


def test_a_run_that_comes_as_another_finishes_leaves_its_corpus_alone(tmp_path, monkeypatch):
    out, flock = tmp_path / "corpus.jsonl", fcntl.flock
    first, second = CorpusWriter(out, RUN, 2), CorpusWriter(out, {**RUN, "seed": 1}, 2)
    first.__enter__()
    first.write(group("a"))

    def finish_before(descriptor, how):  # the second has opened its lock, and does not hold it yet
        monkeypatch.undo()
        first.finish()
        first.__exit__()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", finish_before)
    with pytest.raises(ConfigError, match="is there already"):
        second.__enter__()
    assert read(out) == group("a")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]
