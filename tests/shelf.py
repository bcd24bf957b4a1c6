"""A bucket for tests: a filesystem of Beam's with the manners of an object store, kept in a folder of this machine.

Any process that imports this module can open `shelf://bucket/path`; the variable BALTO_SHELF names the folder. There
are no folders there; an object is there when its writer is closed, and a name can be overwritten. `dirs://` is the same
with folders: files are written under another name and renamed, and renaming refuses a name that is taken, as with HDFS.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

VARIABLE = "BALTO_SHELF"


class ShelfFileSystem(FileSystem):
    @classmethod
    def scheme(cls) -> str:
        return "shelf"

    def has_dirs(self) -> bool:
        return False

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join((basepath.rstrip("/"), *paths))

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        """There are no folders."""

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        root = _root()
        for path in sorted(root.rglob("*")):
            address = f"{self.scheme()}://{path.relative_to(root).as_posix()}"
            if path.is_file() and address.startswith(dir_or_prefix) and not path.name.endswith(".upload"):
                yield self._facts(address)

    def _facts(self, address: str) -> FileMetadata:
        stat = local(address).stat()
        return FileMetadata(address, stat.st_size, stat.st_mtime)

    def create(
        self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO
    ) -> io.BufferedIOBase:
        return _Upload(local(path))

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        return open(local(path), "rb")

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            with self.create(target) as file:
                file.write(local(source).read_bytes())

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        self.copy(source_file_names, destination_file_names)
        self.delete(source_file_names)

    def exists(self, path: str) -> bool:
        return local(path).is_file()

    def size(self, path: str) -> int:
        return self.metadata(path).size_in_bytes

    def last_updated(self, path: str) -> float:
        return self.metadata(path).last_updated_in_seconds

    def metadata(self, path: str) -> FileMetadata:
        if not self.exists(path):
            raise BeamIOError("no such object", {path: FileNotFoundError(path)})
        return self._facts(path)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            local(path).unlink()


class DirsFileSystem(ShelfFileSystem):
    @classmethod
    def scheme(cls) -> str:
        return "dirs"

    def has_dirs(self) -> bool:
        return True

    def _url_dirname(self, url_or_path: str) -> str:
        return url_or_path.rpartition("/")[0]

    def mkdirs(self, path: str) -> None:
        if local(path).is_dir():
            raise OSError("is there already")
        local(path).mkdir(parents=True)

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            if local(target).exists():
                raise BeamIOError("is taken", {target: FileExistsError(target)})
            os.rename(local(source), local(target))


class _Upload(io.BytesIO):
    """Bytes on their way: they are an object once this is closed. `terminate` drops them."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def terminate(self) -> None:
        super().close()

    def close(self) -> None:
        if self.closed:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f".{uuid.uuid4().hex}.upload")
        partial.write_bytes(self.getvalue())
        os.replace(partial, self.path)
        super().close()


def _root() -> Path:
    return Path(os.environ[VARIABLE])


def local(address: str) -> Path:
    """Where an object lies on this machine."""
    return _root() / address.partition("://")[2]
