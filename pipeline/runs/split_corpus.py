"""Split a local corpus by prompt group into buckets on disk, one bucket per shard, in bounded memory.

In: corpus files.   Out: `.work/buckets/<shard>` with one line per record (ordinal, tab, the sample's JSON), the records
that could not be read, and the ids that occur twice. Labelling then needs no shuffle and resumes bucket by bucket.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import orjson

from pipeline.corpora import CorpusFile, read_corpus_file
from pipeline.runs import progress
from pipeline.storage.shard_files import reason_kind, shard_of, write_rejected
from schemas.disk import sync_folder, write_atomically
from schemas.manifest import WORK_FOLDER
from schemas.records import Rejected, Sample
from schemas.rows import to_rejected_table
from schemas.samples import sample_from_json, sample_to_json

BUCKET_FOLDER = "buckets"
SPLIT_FILE = "split.json"
BUFFER_BYTES = 32 << 20  # of lines waiting for their bucket, all buckets together
REJECTS_PER_FILE = 20_000


@dataclass(frozen=True)
class Split:
    """What splitting found. read: records, good or bad.   rejected: manifest entries of the unreadable ones.
    duplicates: ordinal of a record -> "file:row" of the first record with the same id.
    buckets: records per non-empty bucket.   bucket_bytes: of its file."""

    read: int
    rejected: list[dict]
    rejected_by: dict[str, int]
    duplicates: dict[int, str]
    buckets: dict[int, int]
    bucket_bytes: dict[int, int]


def split_corpus(files: Sequence[CorpusFile], out: Path, num_shards: int) -> Split:
    """Split `files` under `out`/.work, or return what an earlier, finished split found."""
    work = out / WORK_FOLDER
    split = _read_split(work)
    if split is not None:
        return split
    (work / SPLIT_FILE).unlink(missing_ok=True)
    for stale in (work / BUCKET_FOLDER).glob("*"):
        stale.unlink()
    (work / BUCKET_FOLDER).mkdir(parents=True, exist_ok=True)
    writer = _BucketWriter(work / BUCKET_FOLDER, num_shards)
    rejects = _RejectWriter(str(out))
    for file in files:
        for record in read_corpus_file(file):
            progress.advance(1)
            if isinstance(record, Sample):
                writer.add(record)
            else:
                rejects.add(record)
    writer.flush()
    rejects.flush()
    split = Split(
        read=writer.count + rejects.count,
        rejected=rejects.entries,
        rejected_by=rejects.rejected_by,
        duplicates=writer.duplicates(),
        buckets=dict(writer.per_bucket),
        bucket_bytes=writer.sync(),
    )
    write_atomically(work / SPLIT_FILE, json.dumps(split.__dict__).encode())
    return split


def _read_split(work: Path) -> Split | None:
    """What a finished split found; None when there is none, or it or one of its buckets is not as it was written."""
    try:
        values = json.loads((work / SPLIT_FILE).read_bytes())
        for name in ("duplicates", "buckets", "bucket_bytes"):
            values[name] = {int(key): value for key, value in values[name].items()}
        split = Split(**values)
        sizes = {bucket: _bucket_path(work / BUCKET_FOLDER, bucket).stat().st_size for bucket in split.buckets}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return split if sizes == split.bucket_bytes else None


def read_bucket(folder: str, bucket: int) -> Iterator[tuple[int, Sample]]:
    """(ordinal, sample) of one bucket, sorted by group so that responses to one prompt follow each other."""
    with open(_bucket_path(Path(folder), bucket), "rb") as file:
        numbered = [_parsed(line) for line in file]
    numbered.sort(key=lambda one: (one[1].group_id, one[1].id), reverse=True)
    while numbered:  # what is handed out is not held here any longer
        yield numbered.pop()


def _parsed(line: bytes) -> tuple[int, Sample]:
    ordinal, _, text = line.partition(b"\t")
    values = orjson.loads(text)
    return int(ordinal), sample_from_json(
        values, source=values["source"], source_row=values["source_row"], default_id=None
    )


def _bucket_path(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:05d}.tsv"


class _BucketWriter:
    """Appends samples to their bucket, few large writes; remembers a hash of every id (8 bytes a record)."""

    def __init__(self, folder: Path, num_shards: int):
        self.folder = folder
        self.num_shards = num_shards
        self.count = 0
        self.per_bucket: dict[int, int] = {}
        self._id_hashes = array("Q")
        self._waiting: dict[int, list[bytes]] = {}
        self._waiting_bytes = 0

    def add(self, sample: Sample) -> None:
        line = b"%d\t%b\n" % (self.count, orjson.dumps(sample_to_json(sample)))
        bucket = shard_of(sample.group_id, self.num_shards)
        self._waiting.setdefault(bucket, []).append(line)
        self.per_bucket[bucket] = self.per_bucket.get(bucket, 0) + 1
        self._id_hashes.append(_hash(sample.id))
        self.count += 1
        self._waiting_bytes += len(line)
        if self._waiting_bytes > BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        for bucket, lines in self._waiting.items():
            path = _bucket_path(self.folder, bucket)
            try:
                with open(path, "ab") as file:
                    file.writelines(lines)
            except OSError as err:  # writing to an open file does not name it
                raise OSError(err.errno, err.strerror, str(path)) from err
        self._waiting, self._waiting_bytes = {}, 0

    def sync(self) -> dict[int, int]:
        """Bring all buckets to the disk: else a crash of the machine may keep split.json and lose the end of one.
        Returns their bytes."""
        sizes = {}
        for bucket in self.per_bucket:
            with open(_bucket_path(self.folder, bucket), "rb") as file:
                os.fsync(file.fileno())
                sizes[bucket] = os.fstat(file.fileno()).st_size
        sync_folder(self.folder)
        return sizes

    def duplicates(self) -> dict[int, str]:
        """Records whose id an earlier one has. Equal hashes are only a suspicion: the ids themselves are compared."""
        hashes = np.frombuffer(self._id_hashes, np.uint64)
        ordered = np.sort(hashes)
        repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        suspects = set(np.flatnonzero(np.isin(hashes, repeated)).tolist())
        if not suspects:
            return {}
        first: dict[str, tuple[int, str]] = {}
        later: dict[int, str] = {}
        for ordinal, sample_id, place in sorted(self._places(suspects)):
            if sample_id in first:
                later[ordinal] = first[sample_id][1]
            else:
                first[sample_id] = (ordinal, place)
        return later

    def _places(self, ordinals: set[int]) -> Iterator[tuple[int, str, str]]:
        for bucket in self.per_bucket:
            with open(_bucket_path(self.folder, bucket), "rb") as file:
                for line in file:
                    ordinal, _, text = line.partition(b"\t")
                    if int(ordinal) in ordinals:
                        values = orjson.loads(text)
                        yield int(ordinal), values["id"], f"{values['source']}:{values['source_row']}"


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class _RejectWriter:
    """Writes unreadable records to `rejected/`, a bounded number to a file."""

    def __init__(self, out: str):
        self.out = out
        self.count = 0
        self.entries: list[dict] = []
        self.rejected_by: dict[str, int] = {}
        self._waiting: list[Rejected] = []

    def add(self, rejected: Rejected) -> None:
        self.count += 1
        key = reason_kind(rejected.stage, rejected.reason)
        self.rejected_by[key] = self.rejected_by.get(key, 0) + 1
        self._waiting.append(rejected)
        if len(self._waiting) >= REJECTS_PER_FILE:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            table = to_rejected_table(self._waiting)
            self.entries.append(write_rejected(table, self.out, f"read-{len(self.entries):05d}"))
            self._waiting = []
