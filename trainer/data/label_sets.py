"""Open label sets for training: every shard present, unaltered, readable, and of the model's own tokenizer.

All of it is found before the first step: bad input ends here, in one line that names the file and the remedy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import BaltoError, ConfigError, ShardError, first_line
from schemas.listed_files import check_files
from schemas.manifest import Manifest, ShardEntry, read_manifest
from schemas.shards import SHARD_SCHEMA
from schemas.tokens import fingerprint, load_tokenizer

# What training reads; the rest of a row (claims, evidence, texts of responses) stays on disk.
TRAINING_COLUMNS: Final = (
    *("id", "group_id", "prompt", "messages", "context.list.element.text", "token_ids", "token_labels"),
    *("behaviour_logprobs", "n_supported", "n_contradicted", "n_unsupported", "meta"),
)


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group of a shard: the unit that is read at once. It never cuts a prompt group.

    source: index of the label set.   index: of the row group in its file.   rows: from the footer.
    """

    source: int
    path: str
    index: int
    rows: int

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.path}, row group {self.index}"


@dataclass(frozen=True)
class LabelSet:
    """An opened label set. weight: passes over it per epoch (1: every group once).   row_groups: in file order."""

    folder: Path
    manifest: Manifest
    weight: float
    row_groups: tuple[RowGroup, ...]

    @property
    def groups(self) -> int:
        """Prompt groups, as the manifest counts them."""
        return sum(shard.groups for shard in self.manifest.shards)


def parse_source(text: str) -> tuple[Path, float]:
    """`LABELS` or `LABELS:WEIGHT` as the folder and its weight. Raises ConfigError for a weight that cannot be."""
    folder, colon, weight = text.rpartition(":")
    if not colon or weight.startswith("//") or Path(text).is_dir():
        return Path(text), 1.0
    if not re.fullmatch(r"\d{1,3}(\.\d{1,6})?", weight) or float(weight) == 0:
        raise ConfigError(f"{text}: the weight after the colon must be a number above 0 and below 1000, such as 0.5")
    return Path(folder), float(weight)


def open_label_sets(sources: Iterable[tuple[Path, float]], verify: bool = True) -> tuple[LabelSet, ...]:
    """Open label sets for reading. verify: compare every shard's bytes with the sha256 in its manifest.

    Raises ShardError for a folder without manifest, a newer schema, a missing, altered or unreadable shard.
    """
    sources = list(sources)
    folders = Counter(folder.resolve() for folder, _ in sources)
    twice = next((folder for folder, _ in sources if folders[folder.resolve()] > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice}: given twice; its rows would count double: give it once, as FOLDER:2")
    opened = tuple(_open(folder, weight, source, verify) for source, (folder, weight) in enumerate(sources))
    if not any(one.row_groups for one in opened):
        raise ShardError(f"{', '.join(str(one.folder) for one in opened)}: no labelled response to train on")
    return opened


def _open(folder: Path, weight: float, source: int, verify: bool) -> LabelSet:
    manifest = read_manifest(folder)
    row_groups: list[RowGroup] = []
    paths = check_files(folder, manifest.shards, verify, otherwise="or read it as it is with --no-verify")
    for path, shard in zip(paths, manifest.shards, strict=True):
        rows = _row_counts(path, shard)
        row_groups += [RowGroup(source, str(path), index, count) for index, count in enumerate(rows)]
    return LabelSet(folder, manifest, weight, tuple(row_groups))


def _row_counts(path: Path, shard: ShardEntry) -> list[int]:
    """Rows of every row group, from the footer, which must agree with the manifest and the schema."""
    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
    except (pa.ArrowException, OSError) as err:
        raise ShardError(f"{path}: not a readable Parquet file ({first_line(err)}); label the corpus again") from err
    for name in {column.partition(".")[0] for column in TRAINING_COLUMNS}:
        wanted = SHARD_SCHEMA.field(name).type
        if name not in schema.names or not schema.field(name).type.equals(wanted):
            raise ShardError(f"{path}: no column {name} of type {wanted}; label the corpus again with this balto")
    if footer.num_rows != shard.rows:
        raise ShardError(f"{path}: {footer.num_rows} rows, the manifest says {shard.rows}; label the corpus again")
    return [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]


def may_hold_logprobs(label_sets: Sequence[LabelSet]) -> bool:
    """Whether some row may hold log-probabilities of the policy that sampled it, as the shards' footers tell."""
    paths = (one.folder / shard.path for one in label_sets for shard in one.manifest.shards)
    return any(_may_hold(path, "behaviour_logprobs") for path in paths)


def _may_hold(path: Path, column: str) -> bool:
    """Whether some value of a column of lists is there, or not known to be null."""
    footer = pq.read_metadata(path)
    row_groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    chunks = [one.column(at) for one in row_groups for at in range(one.num_columns)]
    statistics = [chunk.statistics for chunk in chunks if chunk.path_in_schema.startswith(f"{column}.")]
    return any(one is None or one.num_values > 0 for one in statistics)


def check_tokenizer(label_sets: Sequence[LabelSet], tokenizer: Any, model: str) -> None:
    """Refuse label sets whose token ids are not `tokenizer`'s (a transformers tokenizer).   model: its name or folder.

    A library may rebuild a tokenizer as it loads it, so the model's own tokenizer.json counts as the loaded one does.
    Raises ConfigError, naming the command that projects the labels.
    """
    accepted = {fingerprint(tokenizer.backend_tokenizer)}
    if any(one.manifest.tokenizer.get("fingerprint") not in accepted for one in label_sets):
        accepted |= _file_fingerprint(model)
    for label_set in label_sets:
        if label_set.manifest.tokenizer.get("fingerprint") not in accepted:
            folder, name = label_set.folder, label_set.manifest.tokenizer.get("name", "unknown")
            out = folder.with_name(f"{folder.name}-{Path(model).name}")
            raise ConfigError(
                f"{folder}: its tokens are those of the tokenizer {name}, not of {model}; project its labels first: "
                f"balto project {folder} --tokenizer {model} --out {out}"
            )


def _file_fingerprint(model: str) -> set[str]:
    try:
        return {load_tokenizer(model).fingerprint}
    except BaltoError:  # no tokenizer.json there: the loaded one is all there is
        return set()
