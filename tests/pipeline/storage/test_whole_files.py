"""Files in buckets and on disks: whole or not at all, and one OSError for whatever a client raises."""

from pathlib import Path

import pytest

from pipeline.storage import whole_files
from pipeline.storage.whole_files import (
    file_facts,
    files_below,
    find_files,
    join,
    open_file,
    read_file,
    remove_files,
    write_file,
)
from schemas.errors import ConfigError
from tests import shelf


@pytest.fixture(params=["shelf://bucket/run", "dirs://disk/run", "local"])
def folder(request, tmp_path, monkeypatch) -> str:
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path))
    return str(tmp_path / "run") if request.param == "local" else request.param


def names(folder: str) -> list[str]:
    return [one.path.removeprefix(f"{folder}/") for one in files_below(folder)]


def test_what_is_written_is_read_and_found(folder):
    write_file(join(folder, "a", "b.json"), b"first")
    write_file(join(folder, "c.json"), b"other")
    write_file(join(folder, "a", "b.json"), b"second")
    assert read_file(join(folder, "a", "b.json"), 6) == b"second"
    assert names(folder) == ["a/b.json", "c.json"]
    facts = file_facts(join(folder, "c.json"))
    assert (facts.size_bytes, facts.modified_ns > 0) == (5, True)
    assert [one.path for one in find_files(join(folder, "*.json"))] == [join(folder, "c.json")]
    assert file_facts(join(folder, "missing")) is None


def test_a_file_that_is_larger_than_allowed_is_not_read(folder):
    write_file(join(folder, "x"), b"12345")
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_file(join(folder, "x"), 4)


@pytest.mark.parametrize("name", ["set[1]", "s*t", "se?"])
def test_a_folder_is_taken_by_its_name_not_as_a_pattern(folder, name):
    inside = [join(folder, name, "2"), join(folder, name, "a", "1")]
    for path in (*inside, join(folder, "set", "4"), join(folder, "set1", "3")):
        write_file(path, b"x")
    assert [one.path for one in files_below(join(folder, name))] == inside
    remove_files(join(folder, name))
    assert names(folder) == ["set/4", "set1/3"]


def test_bytes_are_read_in_any_order(folder):
    write_file(join(folder, "x"), bytes(range(256)))
    with open_file(join(folder, "x")) as file:
        assert file.peek(1)[:1] == b"\x00"
        file.seek(-4, 2)
        assert file.read() == b"\xfc\xfd\xfe\xff"
        file.seek(10)
        assert file.read(2) == b"\x0a\x0b"


def test_removing_takes_files_and_folders(folder):
    for name in ("keep", "gone", "all/1", "all/2/3"):
        write_file(join(folder, name), b"x")
    remove_files(join(folder, "gone"), join(folder, "all"), join(folder, "never was"))
    assert names(folder) == ["keep"]


class TornUpload(shelf.ShelfFileSystem):
    """A bucket whose connection breaks in the middle of an object."""

    @classmethod
    def scheme(cls) -> str:
        return "torn"

    def create(self, path, mime_type="", compression_type=""):
        upload = super().create(path)
        write = upload.write

        def torn(data: bytes) -> int:
            write(data[: len(data) // 2])
            raise ConnectionError("the line is down")

        upload.write = torn
        return upload


def test_an_upload_that_breaks_leaves_no_object(tmp_path, monkeypatch):
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path))
    with pytest.raises(OSError, match="the line is down") as caught:
        write_file("torn://bucket/manifest.json", b"0123456789")
    assert caught.value.filename == "torn://bucket/manifest.json"
    assert not any(path.is_file() for path in Path(tmp_path).rglob("*"))


def test_a_missing_object_is_an_oserror_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv(shelf.VARIABLE, str(tmp_path))
    with pytest.raises(OSError) as caught:
        read_file("shelf://bucket/none", 10)
    assert caught.value.filename == "shelf://bucket/none"


def test_an_unknown_scheme_says_what_may_be_used():
    with pytest.raises(ConfigError, match="nothing here reads ftp://; use gs://, s3:// or a local path"):
        file_facts("ftp://host/file")


def test_a_bucket_of_google_without_credentials_is_refused_at_once(monkeypatch, tmp_path):
    pytest.importorskip("google.cloud.storage")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    whole_files._no_google_credentials.cache_clear()
    with pytest.raises(ConfigError, match="no Google credentials were found .*none.json.*; run `gcloud auth"):
        find_files("gs://bucket/folder/*")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")  # which needs none
    whole_files._check_google_credentials("gs://bucket/x", {})
    whole_files._no_google_credentials.cache_clear()


def test_a_bucket_of_s3_without_credentials_is_refused_at_once(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    whole_files._s3_credentials_found.cache_clear()
    with pytest.raises(ConfigError, match="no AWS credentials were found; set AWS_ACCESS_KEY_ID"):
        find_files("s3://bucket/folder/")
    whole_files._s3_credentials_found.cache_clear()
