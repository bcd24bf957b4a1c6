import fcntl

import pytest

from pipeline.runs.output_folder import close_output, open_output, refuse_occupied
from schemas.errors import ConfigError

RUN = {"config": {"num_shards": 1}, "inputs": ["a.jsonl"]}


def test_new_folder_is_made_and_left_clean(tmp_path):
    out = tmp_path / "deep" / "labels"
    with open_output(out, RUN, overwrite=False) as resuming:
        assert not resuming
        close_output(out)
    assert list(out.iterdir()) == []


def test_same_command_resumes_and_another_is_refused_by_what_differs(tmp_path):
    with open_output(tmp_path / "labels", RUN, overwrite=False):
        pass
    with open_output(tmp_path / "labels", RUN, overwrite=False) as resuming:
        assert resuming
    with (
        pytest.raises(ConfigError, match=r'unfinished run with inputs\[0\] "a.jsonl", not "b.jsonl"'),
        open_output(tmp_path / "labels", {**RUN, "inputs": ["b.jsonl"]}, overwrite=False),
    ):
        pass


def test_overwrite_starts_an_unfinished_run_anew(tmp_path):
    out = tmp_path / "labels"
    with open_output(out, RUN, overwrite=False):
        (out / ".work" / "done").mkdir()
    with open_output(out, {**RUN, "inputs": []}, overwrite=True) as resuming:
        assert not resuming
        assert not (out / ".work" / "done").exists()


def test_overwrite_goes_on_with_an_unfinished_run_of_the_same_command(tmp_path):
    with open_output(tmp_path / "labels", RUN, overwrite=True):
        pass
    with open_output(tmp_path / "labels", RUN, overwrite=True) as resuming:
        assert resuming


def test_damaged_record_of_a_run_is_no_reason_to_resume(tmp_path):
    with open_output(tmp_path / "labels", RUN, overwrite=False):
        (tmp_path / "labels" / ".work" / "run.json").write_text("{")
    with pytest.raises(ConfigError, match="unfinished run"), open_output(tmp_path / "labels", RUN, overwrite=False):
        pass


def test_overwrite_never_removes_a_folder_of_other_files(tmp_path):
    (tmp_path / "thesis.doc").write_text("precious")
    for overwrite in (True, False):
        with pytest.raises(ConfigError, match="thesis.doc"), open_output(tmp_path, RUN, overwrite):
            pass
    assert (tmp_path / "thesis.doc").read_text() == "precious"


def test_second_run_on_the_same_folder_is_refused(tmp_path):
    out = tmp_path / "labels"
    with open_output(out, RUN, overwrite=False):
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match="another run is writing there"), open_output(out, RUN, overwrite):
                pass


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_that_comes_as_another_ends_holds_the_lock_that_others_see(overwrite, tmp_path, monkeypatch):
    out, flock = tmp_path / "labels", fcntl.flock
    first = open_output(out, RUN, overwrite=False)
    first.__enter__()

    def finish_before(descriptor, how):  # the second has opened the lock, and does not hold it yet
        monkeypatch.undo()
        close_output(out)
        first.__exit__(None, None, None)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", finish_before)
    with (
        open_output(out, RUN, overwrite),
        pytest.raises(ConfigError, match="another run is writing there"),
        open_output(out, RUN, overwrite=False),
    ):
        pass


def test_nobody_else_s_files_are_replaced_by_a_copy(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(ConfigError, match="--overwrite only replaces a label set, and this holds thesis.doc"):
        refuse_occupied(tmp_path, overwrite=True)


def test_file_in_the_place_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "labels").write_text("")
    with pytest.raises(ConfigError, match="is a file"), open_output(tmp_path / "labels", RUN, overwrite=True):
        pass
    with pytest.raises(ConfigError, match="cannot write there"), open_output(tmp_path / "labels" / "x", RUN, False):
        pass
