"""Errors of a disk name their file."""

import errno
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from schemas.disk import disk_errors_of


def test_an_error_of_an_open_file_gets_its_name():
    with (
        open("/dev/full", "wb", buffering=0) as file,
        pytest.raises(OSError, match=r"No space left on device: '/dev/full'"),
        disk_errors_of(Path("/dev/full")),
    ):
        file.write(b"x")


def test_what_a_rust_library_tells_as_text_is_an_error_of_the_disk(tmp_path):
    import numpy as np

    folder = tmp_path / "no" / "folder"
    with pytest.raises(FileNotFoundError) as caught, disk_errors_of(folder):
        save_file({"a": np.zeros(1)}, folder / "model.safetensors")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(folder))


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(ValueError, match="no disk"), disk_errors_of(tmp_path):
        raise ValueError("no disk")
    with pytest.raises(FileNotFoundError, match="missing.txt"), disk_errors_of(tmp_path):
        (tmp_path / "missing.txt").read_text()
