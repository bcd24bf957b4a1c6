"""Whole files on local disks or any filesystem that Beam knows (gs://, s3://): a reader sees all of one, or none.

Beam, which takes seconds to import, is asked only about the others.
"""

from __future__ import annotations

import os
from pathlib import Path

from schemas.manifest import write_atomically


def is_local(path: str) -> bool:
    """Whether `path` is on this machine's disks."""
    return "://" not in path


def join(folder: str, *names: str) -> str:
    """Path of a file under `folder`, in the folder's own filesystem."""
    if is_local(folder):
        return os.path.join(folder, *names)
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.join(folder, *names)


def write_file(path: str, data: bytes) -> None:
    """Write a whole file atomically, making its folders. Object stores publish an object when it is closed."""
    if is_local(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), data)
        return
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)
