"""Whole files on local disks or any filesystem that Beam knows (gs://, s3://): a reader sees all of one, or none.

Beam, which takes seconds to import, is asked only about the others. Whatever its filesystems and the clients below them
raise becomes an OSError that names the file, so that callers treat a bucket as they treat a disk.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import importlib.util
import io
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final

from schemas.disk import write_atomically
from schemas.errors import ConfigError, one_line

EXTRA_OF: Final = {"gs": "gcp", "s3": "s3"}  # scheme -> extra with the client that Beam needs for it
BUFFER_BYTES: Final = 1 << 20
# "some"; "s3 key" when credentials are among them, "no_auth" when none are wanted
_options_given = ""
_WILDCARD: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file that is there. modified_ns: since the epoch, 0 where the filesystem does not say."""

    path: str
    size_bytes: int
    modified_ns: int


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's disks."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """Path of a file under `folder`, in the folder's own filesystem."""
    return os.path.join(folder, *names) if is_local(folder) else "/".join((folder.rstrip("/"), *names))


def file_facts(path: str) -> FileFacts | None:
    """Size and age of a file; None when there is no file of that very name."""
    if is_local(path):
        if not os.path.isfile(path):
            return None
        stat = os.stat(path)
        return FileFacts(path, stat.st_size, stat.st_mtime_ns)
    with _beam(path) as (filesystems, filesystem):
        return _facts(filesystem.metadata(path)) if filesystems.exists(path) else None


def find_files(pattern: str) -> list[FileFacts]:
    """The files that a pattern with wildcards matches, sorted by path."""
    if is_local(pattern):
        return _sorted_facts(glob.glob(pattern, recursive=True))
    return sorted(_matches(pattern), key=lambda one: one.path)


def files_below(folder: str) -> list[FileFacts]:
    """All files in a folder and the folders in it, sorted by path. Its name is no pattern, whatever is in it."""
    if is_local(folder):
        return _sorted_facts(os.path.join(above, name) for above, _, names in os.walk(folder) for name in names)
    prefix = f"{folder.rstrip('/')}/"
    literal = _WILDCARD.split(prefix, maxsplit=1)[0]  # Beam has no way to quote what comes then
    found = (one for one in _matches(f"{literal}**") if one.path.startswith(prefix))
    return sorted(found, key=lambda one: one.path)


def _sorted_facts(paths: Iterable[str]) -> list[FileFacts]:
    return [facts for path in sorted(paths) if (facts := file_facts(path)) is not None]


def _matches(pattern: str) -> list[FileFacts]:
    with _beam(pattern) as (filesystems, _):
        (result,) = filesystems.match([pattern])
    return list(map(_facts, result.metadata_list))


def has_wildcard(path: str) -> bool:
    """Whether a path is a pattern."""
    return _WILDCARD.search(path) is not None


@contextlib.contextmanager
def open_file(path: str) -> Iterator[IO[bytes]]:
    """The file's bytes as they lie there, buffered and seekable."""
    if is_local(path):
        with open(path, "rb") as file:
            yield file
        return
    with _beam(path) as (filesystems, _):
        remote = _RemoteFile(path, filesystems.open(path, compression_type=_as_it_is()))
    with io.BufferedReader(remote, BUFFER_BYTES) as file:
        yield file


@contextlib.contextmanager
def parquet_source(path: str) -> Iterator[str | IO[bytes]]:
    """What pyarrow reads a Parquet file from: a local one by its path, which is faster."""
    if is_local(path):
        yield path
    else:
        with open_file(path) as file:
            yield file


def use_beam_options(beam_args: Sequence[str]) -> None:
    """Let Beam's filesystems have the options of the command line (another endpoint for s3://, say)."""
    global _options_given
    if beam_args:
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, S3Options

        options = PipelineOptions(list(beam_args))
        FileSystems.set_options(options)
        anonymous = "no_auth" if options.view_as(GoogleCloudOptions).no_auth else "some"
        _options_given = "s3 key" if options.view_as(S3Options).s3_access_key_id else anonymous


def read_file(path: str, max_bytes: int) -> bytes:
    """A whole file. Raises OSError when it is not there or larger than `max_bytes`."""
    with open_file(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"more than {max_bytes} bytes", path)
    return data


def write_file(path: str, data: bytes) -> None:
    """Write a whole file atomically, making its folders.

    A filesystem with folders gets a file of another name that is then renamed; an object store publishes an object when
    it is complete, and never before.
    """
    if is_local(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), data)
        return
    with _beam(path) as (filesystems, filesystem):
        if not filesystem.has_dirs():
            _write(filesystems, path, data)
            return
        folder, name = filesystem.split(path)
        with contextlib.suppress(OSError):  # it is there already
            filesystem.mkdirs(folder)
        partial = filesystem.join(folder, f".{name}.{uuid.uuid4().hex}.partial")
        try:
            _write(filesystems, partial, data)
            _replace(filesystem, partial, path)
        except BaseException:
            with contextlib.suppress(Exception):  # the failure that brought us here is the one to tell
                filesystem.delete([partial])
            raise


def _write(filesystems: Any, path: str, data: bytes) -> None:
    file = filesystems.create(path, compression_type=_as_it_is())
    try:
        file.write(data)
    except BaseException:
        # Closing would publish the part that was written; a client that can drop an upload is told to.
        getattr(file, "terminate", lambda: None)()
        raise
    file.close()


def _replace(filesystem: Any, source: str, target: str) -> None:
    """Rename; some filesystems (HDFS) do so only where there is no target yet."""
    try:
        filesystem.rename([source], [target])
    except OSError:
        if not filesystem.exists(target):
            raise
        filesystem.delete([target])
        filesystem.rename([source], [target])


def remove_files(*paths: str) -> None:
    """Remove files and whole folders; what is not there is passed over."""
    for path in paths:
        if is_local(path):
            shutil.rmtree(path) if os.path.isdir(path) else Path(path).unlink(missing_ok=True)
            continue
        files = [path] if file_facts(path) else [one.path for one in files_below(path)]
        with _beam(path) as (filesystems, _):
            if files:
                filesystems.delete(files)


class _RemoteFile(io.RawIOBase):
    """A file of Beam's under Python's own buffer. What its client raises is an OSError with the path."""

    def __init__(self, path: str, file: Any):
        self.path = path
        self.file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _as_os_error(self.path):
            data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _as_os_error(self.path):
            self.file.seek(offset, whence)
            return self.file.tell()

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        if not self.closed:
            self.file.close()
        super().close()


@contextlib.contextmanager
def _beam(path: str) -> Iterator[tuple[Any, Any]]:
    """Beam's FileSystems and the one of `path`. Raises ConfigError when none is registered for its scheme."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    if not _options_given and RuntimeValueProvider.runtime_options is None:
        FileSystems.set_options(PipelineOptions([]))  # outside of a run Beam has none, and some filesystems need some
    scheme = path.partition("://")[0]
    try:
        filesystem = FileSystems.get_filesystem(path)
        if scheme == "s3" and importlib.util.find_spec("boto3") is None:  # Beam finds that out later, and less clearly
            raise ValueError("no boto3")
    except ValueError as err:
        extra = EXTRA_OF.get(scheme)
        remedy = f"pip install '.[{extra}]' in the checkout of balto" if extra else "use gs://, s3:// or a local path"
        raise ConfigError(f"{path}: nothing here reads {scheme}://; {remedy}") from err
    if scheme == "s3":
        _check_s3_credentials(path, RuntimeValueProvider.runtime_options or {})
    if scheme == "gs":
        _check_google_credentials(path, RuntimeValueProvider.runtime_options or {})
    with _as_os_error(path):
        yield FileSystems, filesystem


def _check_s3_credentials(path: str, worker_options: Mapping[str, Any]) -> None:
    """Raises ConfigError when there are none; Beam would ask again for minutes.   worker_options: of a worker's job."""
    are_given = _options_given == "s3 key" or worker_options.get("s3_access_key_id")
    if not are_given and not _s3_credentials_found():
        raise ConfigError(
            f"{path}: no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )


@lru_cache(maxsize=1)
def _s3_credentials_found() -> bool:
    """In the environment, a profile, or where the cloud gives them to its machines."""
    import boto3

    return boto3.Session().get_credentials() is not None


def _check_google_credentials(path: str, worker_options: Mapping[str, Any]) -> None:
    """Raises ConfigError when there are none and nobody said so; Beam would try again and again, then go without."""
    anonymous = _options_given == "no_auth" or worker_options.get("no_auth") or "STORAGE_EMULATOR_HOST" in os.environ
    missing = "" if anonymous else _no_google_credentials()
    if missing:
        raise ConfigError(
            f"{path}: {missing}; run `gcloud auth application-default login`, "
            "or set GOOGLE_APPLICATION_CREDENTIALS to a key file "
            "(`balto label` and `copy` read a public bucket with --no_auth)"
        )


@lru_cache(maxsize=1)
def _no_google_credentials() -> str:
    """Why there are no Application Default Credentials (a key file, gcloud's own, a cloud machine's); "": there are."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    try:
        google.auth.default()
    except DefaultCredentialsError as err:
        named = "GOOGLE_APPLICATION_CREDENTIALS" in os.environ  # else the reason is a page to read
        return "no Google credentials were found" + (f" ({reason_of(err)})" if named else "")
    return ""


@contextlib.contextmanager
def _as_os_error(path: str) -> Iterator[None]:
    try:
        yield
    except (ConfigError, KeyboardInterrupt):
        raise
    except Exception as err:  # google-cloud-storage, google-auth, botocore and Beam raise families of their own
        raise OSError(errno.EIO, reason_of(err), path) from err


def reason_of(err: BaseException) -> str:
    """One line for what a storage client raised: Beam wraps the cause in a table of paths."""
    details = getattr(err, "exception_details", None)
    if isinstance(details, dict):
        cause = next((one for one in details.values() if isinstance(one, BaseException)), None)
        if cause is not None:
            return reason_of(cause)
    return f"{type(err).__name__}: {one_line(err) or 'no reason given'}"


def _facts(metadata: Any) -> FileFacts:
    return FileFacts(metadata.path, int(metadata.size_in_bytes), int((metadata.last_updated_in_seconds or 0) * 1e9))


def _as_it_is() -> str:
    from apache_beam.io.filesystem import CompressionTypes

    return CompressionTypes.UNCOMPRESSED
