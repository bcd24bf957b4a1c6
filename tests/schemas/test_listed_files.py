"""Files of a label set held against their entries in the manifest."""

import hashlib
import os

import pytest

from schemas import listed_files
from schemas.errors import ShardError
from schemas.listed_files import check_bytes, check_files, is_as_listed
from schemas.manifest import RejectedEntry

DATA = b"rows of a shard"


@pytest.fixture
def entry(tmp_path):
    (tmp_path / "rejected").mkdir()
    (tmp_path / "rejected" / "a.parquet").write_bytes(DATA)
    return RejectedEntry("rejected/a.parquet", 1, len(DATA), hashlib.sha256(DATA).hexdigest())


def test_files_as_listed_are_given_as_paths(tmp_path, entry):
    assert check_files(tmp_path, [entry]) == [tmp_path / entry.path]
    assert is_as_listed(tmp_path, entry)
    check_bytes("a.parquet", DATA, entry)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "missing, although the manifest lists it"),
        (DATA[:-1], "14 bytes, the manifest says 15"),
        (DATA.upper(), "altered since it was written .* again, or pray"),
    ],
)
def test_a_file_that_is_not_what_its_entry_says_is_named(tmp_path, entry, data, message):
    path = tmp_path / entry.path
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ShardError, match=f"{path}: {message}"):
        check_files(tmp_path, [entry], otherwise="or pray")
    assert not is_as_listed(tmp_path, entry)


def test_other_bytes_of_the_same_size_are_let_pass_only_without_verifying(tmp_path, entry):
    (tmp_path / entry.path).write_bytes(DATA.upper())
    assert check_files(tmp_path, [entry], verify=False)
    with pytest.raises(ShardError, match="altered"):
        check_bytes("a.parquet", DATA.upper(), entry)


def test_a_file_is_hashed_once_until_it_changes(tmp_path, entry):
    path = tmp_path / entry.path
    before = listed_files._hashed.cache_info()
    for _ in range(3):
        check_files(tmp_path, [entry])
    path.write_bytes(DATA.upper())
    os.utime(path, ns=(0, 1))
    with pytest.raises(ShardError, match="altered"):
        check_files(tmp_path, [entry])
    after = listed_files._hashed.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (2, 2)
