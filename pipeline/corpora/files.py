"""Which files a corpus consists of, and which format each has: told from their first records, not from their names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import pyarrow.parquet as pq

from pipeline.corpora import confiqa, containers, factscore, plain, ragtruth
from pipeline.corpora.field_names import NAMES, first_name, named_value, parse_fields, which_is_which
from pipeline.corpora.foreign import columns, records_inside, what_it_is
from pipeline.storage.whole_files import file_facts, find_files, has_wildcard, is_local, join, open_file, parquet_source
from schemas.errors import ConfigError, CorpusError, one_line
from schemas.manifest import MANIFEST
from schemas.samples import describe_value

FORMATS: Final = ("balto", "ragtruth", "factscore", "confiqa", "plain")
_RAGTRUTH_SOURCES: Final = "ragtruth sources"  # source_info.jsonl: read beside response.jsonl, no corpus of its own
_SNIFFED_RECORDS: Final = 20
_NAMED_WITHIN: Final = 1000  # records in which every field of --fields has to be there once
_GZIP_OVERHEAD: Final = 1024  # header, trailer and blocks of text that does not compress
_GZIP_RATIO: Final = 3  # of JSON text; used only where the gzip trailer cannot be right
_CONTAINERS: Final = (
    "a corpus is one JSON object per line, one JSON array of objects, CSV or TSV with a header, or Parquet; "
    "all but Parquet may be gzipped"
)
_ENDINGS: Final = (".gz", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file of a corpus. Plain strings and numbers: it travels to workers.

    path: as the user gave it.   format: one of FORMATS, plain perhaps with fields.
    container: how records stand in it (`containers`).   size_bytes: on disk.
    name: what its records carry as `source`: the base name, with as many parent folders as it takes to tell two files
    of the corpus apart.   id_prefix: of the ids of records that have none.
    companions: files that are read with it (source_info.jsonl of RAGTruth).
    """

    path: str
    format: str
    container: str
    size_bytes: int
    name: str
    id_prefix: str
    companions: tuple[str, ...] = ()


def open_corpus(patterns: Sequence[str], format: str | None = None) -> list[CorpusFile]:
    """The files that match the patterns, each once, sorted by path, with the format that their content shows.

    format: one of FORMATS for all files, instead of what is detected; plain may name fields (`format_with_fields`).
    Raises ConfigError with one line for a pattern without a match, a directory, an empty or unreadable file, and a file
    of no known format.
    """
    if format is not None:
        _check_format(format)
    if not patterns:
        raise ConfigError("no corpus given; name at least one file or pattern, such as data/sample/corpus.jsonl")
    paths = _matching_paths(patterns)
    names = _names(paths)
    prefixes = _id_prefixes(names)
    files = [_open_file(path, name, prefix, format) for path, name, prefix in zip(paths, names, prefixes, strict=True)]
    return _without_companions(files)


def format_with_fields(format: str | None, fields: str) -> str | None:
    """The format that says which field is which, `plain:prompt=q,response=a`; without `fields` the format as it is."""
    if not fields:
        return format
    if format not in (None, "plain"):
        raise ConfigError(f"--fields: goes with the format plain; leave out --format {format} or --fields")
    return f"plain:{fields}"


def _check_format(format: str) -> None:
    name, colon, fields = format.partition(":")
    if name not in FORMATS or (colon and name != "plain"):
        raise ConfigError(f"--format {format}: there is no such corpus format; use one of {', '.join(FORMATS)}")
    if colon:
        parse_fields(fields)


def assumed_corpus(patterns: Sequence[str], format: str | None) -> list[CorpusFile]:
    """Files of that name and format, without a look at them: for a dry run, which reads nothing."""
    known = format or "balto"
    names = _names(patterns)
    return [
        CorpusFile(
            path,
            known,
            _assumed_container(path),
            0,
            name,
            _stem(name),
            (join(os.path.dirname(path), ragtruth.SOURCES_NAME),) if known == "ragtruth" else (),
        )
        for path, name in zip(patterns, names, strict=True)
    ]


def _assumed_container(path: str) -> str:
    endings = {".parquet": containers.PARQUET, ".csv": containers.TABLE, ".tsv": containers.TABLE}
    return next((container for ending, container in endings.items() if path.endswith(ending)), containers.JSONL)


def corpus_size_bytes(files: Sequence[CorpusFile]) -> int:
    """About how many bytes the corpus has when decompressed, companions included."""
    return sum(_plain_size(file.path, file.container) for file in files) + sum(
        _plain_size(path, containers.JSONL) for path in sorted({path for file in files for path in file.companions})
    )


def _matching_paths(patterns: Sequence[str]) -> list[str]:
    found: dict[str, str] = {}
    for pattern in patterns:
        try:
            paths = _expand(pattern)
        except OSError as err:
            raise ConfigError(
                f"{pattern}: cannot be reached ({err.strerror}); check {_what_to_check(pattern)}"
            ) from err
        for path in paths:
            found.setdefault(_same_file(path), path)
    return sorted(found.values())


def _expand(pattern: str) -> list[str]:
    if is_local(pattern) and os.path.isfile(join(pattern, MANIFEST)):
        raise ConfigError(
            f"{pattern}: is a label set, not a corpus: `balto stats` and `balto show` look at it, `balto project` "
            "gives it another tokenizer; to label again, name the files that it was made from"
        )
    if is_local(pattern) and os.path.isdir(pattern):
        raise ConfigError(f"{pattern}: is a directory; name its files, for example '{join(pattern, '*.jsonl')}'")
    if is_local(pattern) and os.path.exists(pattern) and not os.path.isfile(pattern):
        raise ConfigError(f"{pattern}: is a pipe or a device, and a corpus is read twice; write it to a file first")
    if file_facts(pattern) is not None:
        return [pattern]
    paths = [one.path for one in find_files(pattern)] if has_wildcard(pattern) else []
    if not paths:
        raise ConfigError(f"{pattern}: no such file; check {_what_to_check(pattern)}")
    return paths


def _what_to_check(pattern: str) -> str:
    return "the path and the wildcards" if is_local(pattern) else "the address, the wildcards and your access to it"


def _same_file(path: str) -> str:
    """What two names of one file have in common."""
    return os.path.realpath(path) if is_local(path) else path


def _open_file(path: str, name: str, id_prefix: str, format: str | None) -> CorpusFile:
    container = containers.container_of(path)
    if container is None or (container == containers.PARQUET and _parquet_rows(path) == 0):
        raise CorpusError(f"{path}: has no records; remove it from the corpus or write it again")
    found = format or _detect_format(path, container)
    if found.startswith("plain:"):
        _check_fields(path, container, parse_fields(found.removeprefix("plain:")))
    companions = (ragtruth.sources_path(path),) if found == "ragtruth" else ()
    return CorpusFile(path, found, container, _size_bytes(path), name, id_prefix, companions)


def _size_bytes(path: str) -> int:
    facts = file_facts(path)
    if facts is None:
        raise ConfigError(f"{path}: was there a moment ago and is gone; start again")
    return facts.size_bytes


def _check_fields(path: str, container: str, fields: Mapping[str, str]) -> None:
    """Raises ConfigError for a field that a user named and that the file's first records do not have."""
    missing = dict(fields)
    objects: list[Mapping[str, Any]] = []
    for record in islice(containers.read_records(path, container), _NAMED_WITHIN):
        if type(record.value) is dict:
            objects = objects or [record.value]
            missing = {ours: name for ours, name in missing.items() if not _has(record.value, name)}
        if not missing:
            return
    if objects:
        ours, name = next(iter(missing.items()))
        raise ConfigError(
            f"--fields {ours}={name}: {path} has no such field in its first {_NAMED_WITHIN:,} records "
            f"(fields {_names_of(objects)}); name one that it has; "
            "--fields is for all files of a command, those with other names need one of their own"
        )


def _has(obj: Mapping[str, Any], name: str) -> bool:
    return name in obj or named_value(obj, name) is not None


def _detect_format(path: str, container: str) -> str:
    records = list(islice(containers.read_records(path, container), _SNIFFED_RECORDS))
    objects = [record.value for record in records if type(record.value) is dict]
    if len(records) == 1 and objects and (table := columns(objects[0])):
        raise CorpusError(f"{path}: {table}; {_CONTAINERS}")
    formats = {name for obj in objects if (name := _format_of(obj)) is not None}
    if formats == {"balto", "plain"} or (container == containers.TABLE and formats == {"balto"}):
        return "plain"  # no id, other names for the fields, lists as text: plain reads records of balto too
    if len(formats) == 1:
        return formats.pop()
    if formats:
        raise CorpusError(
            f"{path}: mixes the formats {', '.join(sorted(formats))}; split it, or name one with --format"
        )
    if not objects:
        raise CorpusError(f"{path}: {what_it_is(path) or _no_object(records, container)}; {_CONTAINERS}")
    if len(records) == 1 and (inside := records_inside(objects[0], path)):
        raise CorpusError(f"{path}: {inside}; {_CONTAINERS}")
    raise CorpusError(
        f"{path}: no known format in its first records (fields {_names_of(objects)}); say which field is which: "
        f'{which_is_which(objects)} (a record without a context has "context": []), or name a format with --format'
    )


def _format_of(obj: Mapping[str, Any]) -> str | None:
    return next((name for name, matches in _DETECTORS if matches(obj)), None)


def _is_balto(obj: Mapping[str, Any]) -> bool:
    found = [first_name(obj, ours) for ours in NAMES]
    return "id" in obj and found in (["prompt", "context", "response"], ["prompt", "context", None])


_DETECTORS: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], bool]], ...]] = (
    (_RAGTRUTH_SOURCES, ragtruth.is_source),
    ("ragtruth", ragtruth.is_response),
    ("factscore", factscore.is_factscore),
    ("confiqa", confiqa.is_confiqa),
    ("balto", _is_balto),
    ("plain", plain.is_plain),
)


def _no_object(records: Sequence[containers.RawRecord], container: str) -> str:
    if not records:
        return "a header without rows" if container == containers.TABLE else "an empty JSON array"
    first = records[0]
    found = first.reason or f"not an object but {describe_value(first.value)}"
    return f"no JSON object in its first records (record {first.row}: {found})"


def _names_of(objects: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(repr(name)[1:-1][:40] for name in list(objects[0])[:8])


def _without_companions(files: list[CorpusFile]) -> list[CorpusFile]:
    """A pattern such as `ragtruth/*.jsonl` matches the sources too; they are read with their responses."""
    companions = {_same_file(path) for file in files for path in file.companions}
    kept = [file for file in files if _same_file(file.path) not in companions]
    stray = [file for file in kept if file.format == _RAGTRUTH_SOURCES] or ([] if kept else files)
    if stray:
        raise ConfigError(f"{stray[0].path}: holds the sources of RAGTruth; name the response.jsonl beside it instead")
    return kept


def _names(paths: Sequence[str]) -> list[str]:
    """The shortest ends of the paths, in whole folders, that tell them apart: mostly just the base names."""
    parts = [(os.path.normpath(path) if is_local(path) else path).split("/") for path in paths]
    depths = [1] * len(paths)
    while True:
        names = ["/".join(part[-depth:]) for part, depth in zip(parts, depths, strict=True)]
        uses = Counter(names)
        clashing = [i for i, name in enumerate(names) if uses[name] > 1 and depths[i] < len(parts[i])]
        if not clashing:
            return names
        for index in clashing:
            depths[index] += 1


def _id_prefixes(names: Sequence[str]) -> list[str]:
    """The names without endings, where that leaves them different."""
    uses = Counter(map(_stem, names))
    return [_stem(name) if uses[_stem(name)] == 1 else name for name in names]


def _stem(name: str) -> str:
    stem = name
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    return stem or name


def _plain_size(path: str, container: str) -> int:
    if container == containers.PARQUET:
        with parquet_source(path) as source:
            return containers.parquet_bytes(pq.read_metadata(source))
    size = _size_bytes(path)
    with open_file(path) as file:
        if file.read(2) != b"\x1f\x8b":
            return size
        file.seek(-4, os.SEEK_END)
        trailer = int.from_bytes(file.read(4), "little")  # of the last member, modulo 4 GiB
    return trailer if trailer + _GZIP_OVERHEAD >= size else size * _GZIP_RATIO


def _parquet_rows(path: str) -> int:
    try:
        with parquet_source(path) as source:
            return pq.read_metadata(source).num_rows
    except (OSError, ValueError) as err:  # pyarrow's ArrowInvalid is a ValueError
        raise CorpusError(f"{path}: damaged Parquet file ({one_line(err)}); write it again") from err
