"""Every parser of strangers' bytes on mutated inputs, and on the inputs that a fuzzer has found."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

FOUND = sorted((Path(__file__).parent / "found").glob("*/*"))
ROUNDS = int(os.environ.get("BALTO_FUZZ_EXAMPLES", "60"))  # per parser
EACH_S = 5.0  # of processor time, for an input of at most a few thousand bytes
# What breaks parsers more often than chance: numbers at limits, JSON's other values, halves of characters, nesting.
TOKENS = [
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"18446744073709551616", b'""', b"{}", b"[]", b"[[[[", b'{"a":' * 8),
    *(
        b"\\ud800",
        b"\xff",
        b"\x00",
        b"\xf0\x9f",
        b"\r\n",
        b"\xe2\x80\xa8",
        b"../../etc",
        b"\xef\xbb\xbf",
        b"PAR1",
        b"\x1f\x8b",
    ),
]


@st.composite
def mutated(draw: st.DrawFn, target: str) -> bytes:
    """A seed with up to six cuts, insertions, overwritten bytes or repetitions."""
    data = bytearray(draw(st.sampled_from(seeds(target))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "insert", "overwrite", "repeat", "truncate"]))
        if kind == "cut":
            del data[at:end]
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from(TOKENS))
        elif kind == "overwrite":
            data[at:end] = draw(st.binary(min_size=0, max_size=8))
        elif kind == "repeat":
            data[at:at] = bytes(data[at:end]) * draw(st.integers(1, 20))
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_mutated_input_ends_in_a_result_or_in_an_error_of_ours(target):
    @settings(max_examples=ROUNDS, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=mutated(target))
    def check(data: bytes) -> None:
        run(target, data)

    check()


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_read_to_their_end(target):
    for data in seeds(target):
        run(target, data)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_input_that_a_fuzzer_found(path):
    run(path.parent.name, path.read_bytes())


def run(target: str, data: bytes) -> None:
    started = time.process_time()
    TARGETS[target](data)
    assert time.process_time() - started < EACH_S
