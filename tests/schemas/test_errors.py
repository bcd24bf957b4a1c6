"""What the exceptions of others say, as one line."""

import pytest

from schemas.errors import first_line, one_line


@pytest.mark.parametrize(
    ("said", "first", "whole"),
    [
        ("no such column\n\nin the plan:\n ...", "no such column", "no such column in the plan: ..."),
        ("\n  CUDA is gone \n", "CUDA is gone", "CUDA is gone"),
        ("", "OSError", ""),
        ("x" * 300, "x" * 200, "x" * 200),
    ],
)
def test_one_bounded_line_of_an_exception(said: str, first: str, whole: str):
    err = OSError(said)
    assert first_line(err) == first
    assert one_line(err) == whole
