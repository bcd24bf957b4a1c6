"""Splitting loses nothing, keeps to the limit, and overlaps where a context is cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.llm.windows import (
    PIECE_TOKENS,
    chars_within,
    context_chunks,
    data_tokens,
    fill_windows,
    token_bound,
    units_of,
)
from pipeline.sentences import split_sentences
from schemas.records import Passage

SENTENCES = [f"Sentence number {n} speaks of bridge {n * 7} at length." for n in range(60)]


@given(st.text(max_size=300))
def test_chars_within_never_exceeds_the_tokens(text):
    kept = text[: chars_within(text, 20)]
    assert token_bound(kept) <= 20 or len(kept) == 1


@pytest.mark.parametrize("text", ["word " * 3_000, "x" * 9_000, "\u6771" * 3_000, "a\n" * 5_000, " ".join(SENTENCES)])
def test_units_hold_all_of_a_response(text):
    units = units_of(text, split_sentences(text))
    covered = "".join(text[unit.span.start : unit.span.end] for unit in units)
    assert "".join(covered.split()) == "".join(text.split())
    assert all(token_bound(text[unit.span.start : unit.span.end]) <= PIECE_TOKENS for unit in units)
    assert [unit.span.start for unit in units] == sorted(unit.span.start for unit in units)


def test_windows_partition_the_units_and_keep_to_the_limit():
    text = " ".join(SENTENCES)
    units = units_of(text, split_sentences(text))
    windows = fill_windows(units, 200)
    assert [first for first, _ in windows] == [0, *(last for _, last in windows[:-1])]
    assert windows[-1][1] == len(units) == 60
    assert all(sum(unit.tokens for unit in units[first:last]) <= 200 for first, last in windows)
    assert fill_windows([], 200) == []


def test_a_small_context_is_one_chunk_of_whole_passages():
    passages = [Passage("a", "First passage."), Passage("b", "Second passage.")]
    (chunk,) = context_chunks(passages, 1_000)
    assert [(piece.number, piece.text) for piece in chunk] == [(1, "First passage."), (2, "Second passage.")]


def test_a_long_passage_is_cut_at_sentences_that_overlap():
    passages = [Passage("a", "Short."), Passage("b", " ".join(SENTENCES)), Passage("c", "Also short.")]
    chunks = context_chunks(passages, 300)
    texts = [piece.text for chunk in chunks for piece in chunk]
    assert all(sum(data_tokens(piece.text) for piece in chunk) <= 300 for chunk in chunks)
    assert all(any(sentence in text for text in texts) for sentence in SENTENCES)
    pieces = [piece.text for chunk in chunks for piece in chunk if piece.number == 2]
    assert len(pieces) > 2
    for left, right in itertools.pairwise(pieces):
        shared = [sentence for sentence in SENTENCES if sentence in left and sentence in right]
        assert len(shared) == 2  # "it" in the second sentence of the right one still has its antecedent
    # two neighbouring sentences always stand together in some chunk
    assert all(any(f"{a} {b}" in text for text in texts) for a, b in itertools.pairwise(SENTENCES))


def test_a_passage_without_sentences_is_cut_too():
    chunks = context_chunks([Passage("a", "word " * 5_000)], 300)
    assert all(sum(data_tokens(piece.text) for piece in chunk) <= 300 for chunk in chunks)
    assert len(chunks) >= 5_000 * 5 / 3 / 300
