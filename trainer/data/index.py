"""What the plan must know of every prompt group before the first step: where it stands and how many tokens it has.

Lengths are exact: every prompt is rendered once, in the reader processes. The index is kept beside a run, so a resumed
run plans with what the first start saw, even when a row group has gone bad since.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from schemas.disk import write_atomically
from schemas.errors import ConfigError, ShardError
from schemas.records import NEGATIVE, POSITIVE
from trainer.data.decode import RefusedGroup, decode_row_group, read_group_ids
from trainer.data.groups import PromptGroup
from trainer.data.label_sets import LabelSet, RowGroup
from trainer.prompts import PromptRenderer

INDEX_VERSION: Final = 1
READABLE, REFUSED, UNREADABLE = 0, 1, 2  # states of a group: as it should be; prompt refused; in a bad row group

# One entry per prompt group, in file order.
ENTRY: Final = np.dtype(
    [
        ("key", np.uint64),  # of group_id: decides what is held out
        ("row_group", np.int32),  # position in the row groups of all label sets
        ("first_row", np.int32),  # within its row group
        ("rows", np.int32),  # responses
        ("prompt_tokens", np.int32),  # P
        ("response_tokens", np.int32),  # sum of R, stop tokens included
        ("longest_row", np.int32),  # P + longest R
        ("supported", np.int32),  # tokens with label +1
        ("unsupported", np.int32),  # tokens with label -1
        ("state", np.int8),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class GroupIndex:
    """entries: (groups,) of ENTRY, in file order.   row_groups: what `row_group` counts.   key: equal exactly when the
    label sets and the rendering of prompts are equal.   problems: place or group -> why it cannot be trained on."""

    entries: np.ndarray
    row_groups: tuple[RowGroup, ...]
    key: str
    problems: dict[str, str]

    @property
    def packed_tokens(self) -> np.ndarray:
        """(groups,) tokens of each group when its responses share the prompt."""
        return self.entries["prompt_tokens"] + self.entries["response_tokens"]

    @property
    def sources(self) -> np.ndarray:
        """(groups,) index of the label set of each group."""
        return np.array([one.source for one in self.row_groups], np.int32)[self.entries["row_group"]]


@dataclass(frozen=True, slots=True, eq=False)
class GroupSplit:
    """Which groups are trained on and which are held out: (n,) positions in the index, ascending.

    left_out: counts of what is neither: `too_long`, `refused_prompt`, `unreadable`.
    """

    train: np.ndarray
    held_out: np.ndarray
    left_out: dict[str, int]


def index_key(label_sets: Sequence[LabelSet], renderer: PromptRenderer) -> str:
    """Names the index of these label sets under this rendering."""
    parts = [INDEX_VERSION, renderer.fingerprint, *(one.manifest.content_hash() for one in label_sets)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


Measured = tuple[np.ndarray, dict[str, str]]  # (entries, problems) of one row group


def measure_row_group(row_group: RowGroup, position: int, renderer: PromptRenderer) -> Measured:
    """What the index says of one row group. A bad one keeps its groups' places where their ids can still be read."""
    try:
        ids, bounds = read_group_ids(row_group)
    except ShardError as err:
        return np.zeros(0, ENTRY), {row_group.place: str(err)}
    entries = np.zeros(len(ids), ENTRY)
    entries["key"] = [group_key(group_id) for group_id in ids]
    entries["row_group"], entries["first_row"], entries["rows"] = position, bounds[:-1], np.diff(bounds)
    try:
        groups = decode_row_group(row_group, renderer)
    except ShardError as err:
        entries["state"] = UNREADABLE
        return entries, {row_group.place: str(err)}
    problems = {}
    for entry, group in zip(entries, groups, strict=True):
        if isinstance(group, RefusedGroup):
            entry["state"] = REFUSED
            problems[f"{row_group.place}, prompt group {group.group_id}"] = group.reason
        else:
            _measure(entry, group)
    return entries, problems


def _measure(entry: np.void, group: PromptGroup) -> None:
    labels = np.concatenate([response.labels for response in group.responses])
    entry["prompt_tokens"] = len(group.prompt_ids)
    entry["response_tokens"] = len(labels)
    entry["longest_row"] = group.longest_row
    entry["supported"] = np.count_nonzero(labels == POSITIVE)
    entry["unsupported"] = np.count_nonzero(labels == NEGATIVE)


def group_key(group_id: str) -> int:
    """A number in [0, 2^64) that no process, version or machine changes."""
    return int.from_bytes(hashlib.blake2b(group_id.encode(), digest_size=8, person=b"held-out").digest(), "big")


def join_measured(measured: Iterable[Measured], row_groups: Sequence[RowGroup], key: str) -> GroupIndex:
    """One index of what `measure_row_group` said of every row group, in order."""
    entries, problems = [np.zeros(0, ENTRY)], {}
    for some, why in measured:
        entries.append(some)
        problems |= why
    return GroupIndex(np.concatenate(entries), tuple(row_groups), key, problems)


def split_groups(index: GroupIndex, max_positions: int, too_long: str = "drop", held_out: float = 0.0) -> GroupSplit:
    """Deal the groups into trained and held out; the same group_id falls on the same side in every label set.

    max_positions: the model's window; P + R of each response must fit.   too_long: `drop` counts and leaves out
    groups that do not, `error` refuses them.   held_out: share of groups, 0 <= held_out < 1.
    Raises ConfigError for options that cannot work, ShardError when nothing is left to train on.
    """
    if not 0 <= held_out < 1:
        raise ConfigError(f"--held-out {held_out}: must be a share of at least 0 and below 1")
    if too_long not in ("drop", "error"):
        raise ConfigError(f"--too-long {too_long}: must be drop or error")
    entries = index.entries
    readable = entries["state"] == READABLE
    long = readable & (entries["longest_row"] > max_positions)
    if too_long == "error" and long.any():
        entry = entries[int(np.argmax(np.where(long, entries["longest_row"], 0)))]
        raise ShardError(
            f"{index.row_groups[entry['row_group']].place}, row {entry['first_row']}: a prompt group of "
            f"{entry['longest_row']} tokens, the model's window holds {max_positions} ({np.count_nonzero(long)} such "
            "groups); leave them out with --too-long drop, or shorten their contexts"
        )
    # Bad row groups keep their places in the order of training, so that nothing shifts when a file is mended or breaks.
    eligible = ~long & (entries["state"] != REFUSED)
    kept_out = entries["key"] < np.uint64(int(held_out * 2.0**64))
    left_out = {
        "too_long": int(np.count_nonzero(long)),
        "refused_prompt": int(np.count_nonzero(entries["state"] == REFUSED)),
        "unreadable": int(np.count_nonzero(entries["state"] == UNREADABLE)),
    }
    if not (readable & eligible & ~kept_out).any():
        counted = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in left_out.items())
        raise ShardError(f"no prompt group to train on: {len(entries)} in the label sets, {counted}, the rest held out")
    return GroupSplit(np.flatnonzero(eligible & ~kept_out), np.flatnonzero(eligible & kept_out), left_out)


def save_index(path: Path, index: GroupIndex) -> None:
    """Write the index into one file, atomically."""
    write_atomically(path, index_to_bytes(index))


def index_to_bytes(index: GroupIndex) -> bytes:
    """The index as a file or another rank gets it."""
    buffer = io.BytesIO()
    row_groups = [dataclasses.asdict(one) for one in index.row_groups]
    about = json.dumps({"key": index.key, "row_groups": row_groups, "problems": index.problems})
    np.savez_compressed(buffer, entries=index.entries, about=np.frombuffer(about.encode(), np.uint8))
    return buffer.getvalue()


def load_index(path: Path, key: str, row_groups: Sequence[RowGroup]) -> GroupIndex | None:
    """The stored index, or None when there is none of these label sets under this rendering. Nothing is unpickled."""
    try:
        return index_from_bytes(path.read_bytes(), key, row_groups)
    except OSError:
        return None


def index_from_bytes(data: bytes, key: str, row_groups: Sequence[RowGroup]) -> GroupIndex | None:
    """The index of `index_to_bytes`, or None when it is damaged or of other label sets or another rendering."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            entries, about = stored["entries"], json.loads(stored["about"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if about.get("key") != key or entries.dtype != ENTRY:
        return None
    if [(one["index"], one["rows"]) for one in about["row_groups"]] != [(one.index, one.rows) for one in row_groups]:
        return None
    return GroupIndex(entries, tuple(row_groups), key, dict(about["problems"]))
