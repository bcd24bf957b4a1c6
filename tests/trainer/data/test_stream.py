import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from schemas.errors import BaltoError, ShardError
from tests.trainer.chat_templates import chatml, wrap
from tests.trainer.label_sets_made_here import flip_byte, make_rows, write_label_set
from trainer.data.groups import StepBatch
from trainer.data.index import save_index, split_groups
from trainer.data.label_sets import open_label_sets
from trainer.data.plan import Plan
from trainer.data.reading import Reading
from trainer.data.stream import HELD_OUT, GroupStream
from trainer.prompts import PromptRenderer

TOKENIZER = chatml()
RENDERER = PromptRenderer(TOKENIZER)
# Without a chat template: reader processes that need not import transformers start sooner.
PLAIN = PromptRenderer(wrap(Tokenizer.from_str(TOKENIZER.backend_tokenizer.to_str()), [], []))
GROUPS = 60
BUDGET = 2000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = make_rows(TOKENIZER, GROUPS)
    return write_label_set(tmp_path_factory.mktemp("labels") / "set", rows, TOKENIZER, shards=3)


def planned(stream: GroupStream, per_step: int = 7, window: int = 3, seed: int = 5) -> Plan:
    index = stream.measure()
    return Plan(index, split_groups(index, 10**6).train, stream.label_sets, seed, per_step, window)


def open_stream(*folders, workers: int = 0, verify: bool = True) -> GroupStream:
    return GroupStream(open_label_sets([(folder, 1.0) for folder in folders], verify), RENDERER, workers)


def open_plain(folder, workers: int) -> GroupStream:
    return GroupStream(open_label_sets([(folder, 1.0)]), PLAIN, workers)


def ids(batch: StepBatch) -> list[str]:
    return sorted(group.group_id for group in batch.groups)


@pytest.fixture(scope="module")
def unbroken(folder) -> list[list[str]]:
    """The group ids of every step of two epochs, read in this process by one rank."""
    with open_stream(folder) as stream:
        return [ids(batch) for batch in stream.steps(planned(stream), BUDGET, epochs=2)]


def test_each_group_is_read_exactly_once_per_epoch(unbroken):
    expected = [f"g{number:05d}" for number in range(GROUPS)]
    assert len(unbroken) == 18  # 60 groups, 7 a step
    for epoch in (unbroken[:9], unbroken[9:]):
        assert sorted(itertools.chain.from_iterable(epoch)) == expected


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("budget", [1, 700, 10**6])
def test_ranks_and_budgets_share_the_same_steps(folder, unbroken, world_size, budget):
    with open_stream(folder) as stream:
        plan = planned(stream)
        ranks = [
            list(stream.steps(plan, budget, epochs=1, rank=rank, world_size=world_size)) for rank in range(world_size)
        ]
    for step, shares in enumerate(zip(*ranks, strict=True)):
        assert sorted(itertools.chain.from_iterable(map(ids, shares))) == unbroken[step]
        assert len({len(share.micro_batches) for share in shares}) == 1
        for batch in itertools.chain.from_iterable(share.micro_batches for share in shares):
            assert len(batch) <= 1 or batch.packed_tokens <= budget


@pytest.mark.parametrize("start", [(0, 0), (0, 4), (0, 8), (1, 3)])
@pytest.mark.parametrize("world_size", [1, 2])
def test_resuming_at_any_step_continues_the_unbroken_run(folder, unbroken, start, world_size):
    epoch, step = start
    with open_stream(folder) as stream:
        plan = planned(stream)
        shares = [
            list(stream.steps(plan, BUDGET, epoch, step, epochs=2, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
    read = [sorted(itertools.chain.from_iterable(map(ids, step_shares))) for step_shares in zip(*shares, strict=True)]
    assert read == unbroken[9 * epoch + step :]
    assert (shares[0][0].epoch, shares[0][0].step) == start


def test_reader_processes_give_the_same_groups_bit_by_bit(folder, unbroken):
    with open_stream(folder) as here, open_stream(folder, workers=2) as there:
        mine = list(here.steps(planned(here), BUDGET, epochs=2))
        theirs = list(there.steps(planned(there), BUDGET, epochs=2))
    assert [ids(batch) for batch in theirs] == unbroken
    pairs = zip((g for b in mine for g in b.groups), (g for b in theirs for g in b.groups), strict=True)
    for one, other in pairs:
        assert one.group_id == other.group_id
        assert one.prompt_ids.tolist() == other.prompt_ids.tolist()
        for left, right in zip(one.responses, other.responses, strict=True):
            assert left.id == right.id
            assert left.token_ids.tolist() == right.token_ids.tolist()
            assert left.labels.tolist() == right.labels.tolist()


def test_reading_holds_two_windows_of_row_groups_at_most(folder):
    with open_plain(folder, workers=1) as stream:
        plan = planned(stream, per_step=2, window=2)
        submitted = []
        decode = stream.decode
        stream.decode = lambda row_group, rows: submitted.append(row_group) or decode(row_group, rows)
        used: set[str] = set()
        for batch in stream.steps(plan, BUDGET, epochs=1):
            used |= set(ids(batch))
            # 4 groups stand in a row group: those used up, two windows ahead, and those begun
            assert len(submitted) <= len(used) // 4 + 2 * 2 + 2
        assert len(submitted) == 15  # every row group was decoded once


def test_reading_keeps_nothing_of_steps_that_are_over(folder):
    stream = GroupStream(open_label_sets([(folder, 1.0)]), RENDERER, workers=0)
    plan = planned(stream, per_step=2)
    reading = Reading(stream, plan.index, lambda: ((n, plan.epoch(n), 0) for n in range(2)), BUDGET, 0, 2, ahead=0)
    steps = [(batch.epoch, batch.step, min(reading._shares, default=(9, 0))) for batch in reading]
    assert len(steps) == 2 * GROUPS // 2
    assert all(oldest > (epoch, step) for epoch, step, oldest in steps)


def test_label_sets_are_mixed_by_their_weights(folder, tmp_path):
    other = write_label_set(tmp_path / "other", make_rows(TOKENIZER, 16, name="h"), TOKENIZER)
    sets = open_label_sets([(folder, 1.0), (other, 2.0)])
    with GroupStream(sets, RENDERER, 0) as stream:
        groups = [group for batch in stream.steps(planned(stream), BUDGET, epochs=1) for group in batch.groups]
    expected = [f"g{n:05d}" for n in range(GROUPS)] + sorted([f"h{n:05d}" for n in range(16)] * 2)
    assert sorted(group.group_id for group in groups) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_row_group_that_breaks_during_a_run_is_skipped_and_nothing_else_moves(folder, unbroken, tmp_path, workers):
    copy = shutil.copytree(folder, tmp_path / "copy")
    bad = {f"g{number:05d}" for number in range(4, 8)}  # the second row group of the first shard
    with open_plain(copy, workers) as stream:
        plan = planned(stream)
        flip_byte(sorted((copy / "shards").iterdir())[0], 1, "token_labels")
        batches = list(stream.steps(plan, BUDGET, epochs=2))
        assert [ids(batch) for batch in batches] == [[g for g in step if g not in bad] for step in unbroken]
        assert sum(batch.skipped_groups for batch in batches) == 8
        ((place, reason),) = stream.quarantined.items()
    assert place.endswith("part-00000-of-00003.parquet, row group 1")
    assert "not readable" in reason


def test_row_group_bad_from_the_start_keeps_its_places(folder, unbroken, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    flip_byte(sorted((copy / "shards").iterdir())[0], 1, "token_ids")
    with open_stream(copy, verify=False) as stream:
        index = stream.measure()
        assert list(index.problems) == [f"{copy}/shards/part-00000-of-00003.parquet, row group 1"]
        assert split_groups(index, 10**6).left_out == {"too_long": 0, "refused_prompt": 0, "unreadable": 4}
        batches = list(stream.steps(planned(stream), BUDGET, epochs=1))
    bad = {f"g{number:05d}" for number in range(4, 8)}
    assert [ids(batch) for batch in batches] == [[g for g in step if g not in bad] for step in unbroken[:9]]
    assert sum(batch.skipped_groups for batch in batches) == 4


def test_nothing_readable_left_is_an_error_not_an_endless_run(tmp_path):
    labels = write_label_set(tmp_path / "set", make_rows(TOKENIZER, 4), TOKENIZER)
    with open_stream(labels) as stream:
        plan = planned(stream)
        flip_byte(next((labels / "shards").iterdir()), 0, "token_ids")
        with pytest.raises(ShardError, match="no row group of the label sets can be read any more"):
            list(stream.steps(plan, BUDGET, epochs=1))


def test_stored_index_is_taken_only_for_the_same_label_sets(folder, tmp_path):
    cache = tmp_path / "index.npz"
    with open_stream(folder) as stream:
        first = stream.measure()
        save_index(cache, first)
        progress = []
        again = stream.measure(cache, lambda done, total: progress.append((done, total)))
        assert progress == []  # nothing was read again
        assert (again.entries == first.entries).all()
        cache.write_bytes(cache.read_bytes()[:-30])  # cut short: measured again
        assert (stream.measure(cache, lambda *at: progress.append(at)).entries == first.entries).all()
        assert progress[-1] == (15, 15)
    other = write_label_set(tmp_path / "other", make_rows(TOKENIZER, 8, name="h"), TOKENIZER)
    with open_stream(other) as stream:
        assert len(stream.measure(cache).entries) == 8


def test_held_out_groups_never_train_and_come_in_the_same_order(folder):
    with open_stream(folder) as stream:
        index = stream.measure()
        split = split_groups(index, 10**6, held_out=0.2)
        assert 4 <= len(split.held_out) <= 22  # 12 expected of 60; a fixed deal of these ids
        plan = Plan(index, split.train, stream.label_sets, 0, 7)
        trained = {group for batch in stream.steps(plan, BUDGET, epochs=1) for group in ids(batch)}
        runs = [
            [(batch.epoch, ids(batch)) for batch in stream.held_out(index, split.held_out, BUDGET, 5)] for _ in range(2)
        ]
        held_out = {group for _, groups in runs[0] for group in groups}
        few = [g for batch in stream.held_out(index, split.held_out, BUDGET, 5, limit=3) for g in ids(batch)]
    assert runs[0] == runs[1]
    assert {epoch for epoch, _ in runs[0]} == {HELD_OUT}
    assert trained | held_out == {f"g{n:05d}" for n in range(GROUPS)}
    assert not trained & held_out
    assert len(few) == 3
    assert set(few) < held_out


def test_killed_reader_is_one_line_not_a_hang(folder):
    with open_plain(folder, workers=1) as stream:
        steps = stream.steps(planned(stream, window=1), BUDGET)
        next(steps)
        (worker,) = stream._pool._executor._processes  # type: ignore[union-attr]
        os.kill(worker, signal.SIGKILL)
        with pytest.raises(BaltoError, match=r"process that reads the label set died .* the same command goes on"):
            list(itertools.islice(steps, 1000))


CHILD = """
import sys, time
from pathlib import Path
from tests.trainer.data.test_stream import open_plain, planned
if __name__ == "__main__":
    stream = open_plain(Path(sys.argv[1]), workers=2)
    steps = stream.steps(planned(stream), 2000)
    next(steps)
    print(*stream._pool._executor._processes, flush=True)
    time.sleep(60)
"""


def test_readers_end_with_a_parent_that_is_killed(folder, tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command, root = [sys.executable, str(script), str(folder)], str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        readers = [int(pid) for pid in child.stdout.readline().split()]
        assert len(readers) == 2
        for number in (signal.SIGINT, signal.SIGTERM):  # theirs to leave to the parent
            os.kill(readers[0], number)
        time.sleep(0.3)
        assert _runs(readers[0])
        child.kill()
    deadline = time.monotonic() + 30
    while any(map(_runs, readers)):
        assert time.monotonic() < deadline, "a reader process outlived its parent"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_entries_describe_the_groups_that_are_read(folder):
    with open_stream(folder) as stream:
        plan = planned(stream)
        index = plan.index
        step = plan.epoch(0).groups[:7]
        (batch,) = itertools.islice(stream.steps(plan, 10**9), 1)
    by_tokens = sorted(group.packed_tokens for group in batch.groups)
    assert by_tokens == sorted(index.packed_tokens[step].tolist())
    labels = np.concatenate([response.labels for group in batch.groups for response in group.responses])
    assert np.count_nonzero(labels == 1) == index.entries["supported"][step].sum()
    assert np.count_nonzero(labels == -1) == index.entries["unsupported"][step].sum()
    assert max(group.longest_row for group in batch.groups) == index.entries["longest_row"][step].max()
