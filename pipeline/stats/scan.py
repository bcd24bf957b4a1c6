"""Finished label sets as one lazy frame."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.exceptions import PolarsError

from schemas.errors import ConfigError, ShardError, first_line
from schemas.listed_files import check_files
from schemas.manifest import Manifest, read_manifest

LABEL_SET = "label_set"  # column of a scanned frame that no shard holds: the folder, as it was named


def scan_labels(folders: Sequence[str], verify: bool = True) -> pl.LazyFrame:
    """A lazy frame over the shards of finished label sets: the columns of a shard, and `label_set`.

    verify: read all bytes first, as `check_files` does: Polars takes some flipped bits for other values without a sign.
    Rows of a prompt group stand together. Raises ShardError for an unfinished or damaged label set, ConfigError for one
    that is named twice, for several of different tokenizers, and when there is no row at all.
    """
    manifests = {folder: read_manifest(Path(folder)) for folder in folders}
    _check(folders, manifests)
    frames = []
    for folder, manifest in manifests.items():
        files = check_files(Path(folder), manifest.shards, verify)
        if files:
            frames.append(pl.scan_parquet(files, glob=False).with_columns(pl.lit(folder).alias(LABEL_SET)))
    if not frames:
        raise ConfigError(f"{', '.join(folders)}: no record was labelled; `rejected/` and the manifest say why")
    return pl.concat(frames)


def _check(folders: Sequence[str], manifests: dict[str, Manifest]) -> None:
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise ConfigError(f"{', '.join(folders)}: the same label set is named twice; its rows would count double")
    tokenizers = {m.tokenizer["fingerprint"]: f"{folder} ({m.tokenizer['name']})" for folder, m in manifests.items()}
    if len(tokenizers) > 1:
        raise ConfigError(
            f"label sets of different tokenizers do not add up: {', '.join(tokenizers.values())}; "
            "look at one at a time, or project them onto one tokenizer with `balto project`"
        )


def of_people(folders: Sequence[str]) -> list[str]:
    """The label sets that `--labels gold` made of human spans."""
    return [folder for folder in folders if read_manifest(Path(folder)).config.get("labels") == "gold"]


def count_rows(folders: Sequence[str]) -> int:
    """Rows of the label sets by their manifests. Raises ShardError as `read_manifest` does."""
    return sum(read_manifest(Path(folder)).counts["labelled"] for folder in folders)


@contextlib.contextmanager
def readable(folders: Sequence[str]) -> Iterator[None]:
    """Around reading with Polars: what it says of a damaged shard becomes a ShardError that names the shard."""
    try:
        yield
    except PolarsError as err:
        for shard in (Path(folder) / entry.path for folder in folders for entry in read_manifest(Path(folder)).shards):
            with as_shard_error(shard):
                pq.read_metadata(shard)
        raise ShardError(f"{', '.join(folders)}: cannot be read ({first_line(err)}); label the corpus again") from err


@contextlib.contextmanager
def as_shard_error(shard: Path) -> Iterator[None]:
    """Around reading a shard with pyarrow: what it says becomes a ShardError that names the shard."""
    try:
        yield
    except (pa.ArrowException, OSError, IndexError) as err:
        raise ShardError(f"{shard}: cannot be read ({first_line(err)}); label the corpus again") from err
