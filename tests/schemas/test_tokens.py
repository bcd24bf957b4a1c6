import functools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from schemas.errors import ConfigError, RecordError
from schemas.records import LabelSpan
from schemas.tokens import ByteTokenizer, ResponseTokenizer, label_text, load_tokenizer, project_spans
from tests.tokenizers_made_here import KINDS

PIECES = [
    "the bridge",
    " ",
    "\r\n",
    "\n\n",
    "1,149",
    "é",
    "e\u0301",
    "👍🏽",
    "🇩🇪",
    "東京",
    "ﬁ",
    "ß",
    "İ",
    "\u00a0",
    "z\u0323\u0307",
    ".",
]
TEXTS = (
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=12)
    .map("".join)
    .filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
)


@functools.cache
def tokenizer_of(kind: str) -> ResponseTokenizer:
    return ByteTokenizer() if kind == "bytes" else ResponseTokenizer(kind, KINDS[kind]())


ALL_KINDS = ["bytes", *KINDS]


@pytest.mark.parametrize("kind", ALL_KINDS)
@given(text=TEXTS, data=st.data())
def test_labelled_tokens_cover_the_span_and_nothing_that_does_not_touch_it(kind: str, text: str, data):
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
    tokens = label_text(tokenizer_of(kind), text, [LabelSpan(*edges, -1)])
    piece = text[edges[0] : edges[1]]
    start = edges[0] + len(piece) - len(piece.lstrip())
    wanted = set(range(start, start + len(piece.strip())))
    intervals = [set(range(a, b)) for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    assert [int(label) for label in tokens.labels] == [-1 if chars & wanted else 0 for chars in intervals]
    covered = set().union(*intervals)
    labelled = set().union(*(chars for chars, label in zip(intervals, tokens.labels, strict=True) if label))
    assert wanted & covered <= labelled


@pytest.mark.parametrize("kind", ["bytes", "byte-level BPE", "SentencePiece BPE"])
@given(text=TEXTS)
def test_lossless_tokenizers_cover_every_character(kind: str, text: str):
    _, starts, ends = tokenizer_of(kind).encode(text)
    assert set().union(*(range(a, b) for a, b in zip(starts, ends, strict=True))) == set(range(len(text)))


@given(text=TEXTS)
def test_fast_byte_encoder_equals_the_tokenizer_it_stands_for(text: str):
    fast, slow = ByteTokenizer().encode(text), ResponseTokenizer.encode(tokenizer_of("bytes"), text)
    assert all(map(np.array_equal, fast, slow))


@pytest.mark.parametrize("kind", ["bytes", "byte-level BPE", "SentencePiece BPE"])
@given(text=TEXTS)
def test_offsets_from_decoding_sampled_ids_equal_the_encoders(kind: str, text: str):
    tokenizer = tokenizer_of(kind)
    ids, _, _ = tokenizer.encode(text)
    if tokenizer.tokenizer.decode(ids.tolist()) != text:
        return  # this kind drops a leading space, say: such a text cannot have been sampled
    got_starts, got_ends = tokenizer._decode_offsets(ids.tolist(), text)
    union = set().union(*(range(a, b) for a, b in zip(got_starts, got_ends, strict=True)))
    assert union == set(range(len(text)))


def test_token_with_the_space_before_the_next_word_is_not_drawn_in():
    # "Hello" [0,5), " world" [5,11): the span ends with the space that belongs to the second token
    starts, ends = np.array([0, 5]), np.array([5, 11])
    assert project_spans("Hello world", starts, ends, [LabelSpan(0, 6, -1)]).tolist() == [-1, 0]


def test_token_that_overlaps_both_labels_is_unsupported():
    starts, ends = np.array([0]), np.array([5])
    spans = [LabelSpan(0, 3, 1), LabelSpan(3, 5, -1)]
    assert project_spans("19324", starts, ends, spans).tolist() == [-1]


def test_token_without_characters_is_neutral():
    starts, ends = np.array([0, 3, 3]), np.array([3, 3, 6])
    assert project_spans("abcdef", starts, ends, [LabelSpan(0, 6, 1)]).tolist() == [1, 0, 1]


def test_span_at_end_of_response_labels_last_token():
    tokens = label_text(ByteTokenizer(), "in 1932", [LabelSpan(3, 7, -1)])
    assert tokens.labels.tolist() == [0, 0, 0, -1, -1, -1, -1]


def test_another_split_of_the_same_text_is_followed():
    tokenizer = tokenizer_of("byte-level BPE")
    vocab = tokenizer.tokenizer.get_vocab()
    ids = [vocab[char] for char in "bridge"]  # sampled letter by letter, although one token exists
    tokens = label_text(tokenizer, "bridge", [LabelSpan(1, 3, -1)], ids)
    assert tokens.ids.tolist() == ids
    assert tokens.labels.tolist() == [0, -1, -1, 0, 0, 0]


def test_sampled_stop_token_gets_an_empty_interval_and_no_label():
    tokenizer = tokenizer_of("byte-level BPE")
    ids = [*tokenizer.encode("The bridge")[0].tolist(), tokenizer.tokenizer.token_to_id("<eos>")]
    tokens = label_text(tokenizer, "The bridge", [LabelSpan(0, 10, 1)], ids)
    assert (tokens.starts[-1], tokens.ends[-1], tokens.labels[-1]) == (10, 10, 0)
    assert tokens.labels[:-1].tolist() == [1] * (len(ids) - 1)


def test_response_cut_inside_a_character_keeps_its_last_tokens():
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode("a👍")[0].tolist()[:-1]  # three of the emoji's four bytes
    tokens = label_text(tokenizer, "a\ufffd", [LabelSpan(1, 2, -1)], ids)
    assert tokens.labels.tolist() == [0, -1, -1, -1]


@pytest.mark.parametrize("text", ["ab👍", "セット", "a b"])
def test_a_token_with_a_whole_character_before_the_one_that_was_cut_is_located(text: str):
    """Byte-level BPE merges across characters: "the last byte of one and the first of the next" is one token."""
    trained = Tokenizer(models.BPE(vocab={}, merges=[]))
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([text] * 20, trainer)
    tokenizer = ResponseTokenizer("made here", trained)
    whole = tokenizer.tokenizer.get_vocab()
    for token, number in whole.items():
        decoded = tokenizer.tokenizer.decode([number])
        ids = [*tokenizer.encode("x")[0].tolist(), number]
        said = tokenizer.tokenizer.decode(ids)
        _, starts, ends = tokenizer.locate_ids(ids, said)
        assert (starts[0], ends[-1]) == (0, len(said)), (token, decoded)


def test_ids_of_another_text_are_refused_with_the_place():
    tokenizer = ByteTokenizer()
    with pytest.raises(RecordError, match=r"do not decode to the response .*first difference: token 2"):
        tokenizer.locate_ids(tokenizer.encode("abX")[0].tolist(), "abc")


def test_id_outside_the_vocabulary_is_refused():
    with pytest.raises(RecordError, match=r"response_token_ids\[1\] = 999999 is not an id"):
        ByteTokenizer().locate_ids([int(ByteTokenizer().encode("a")[0][0]), 999999], "ab")


def test_fingerprint_ignores_truncation_and_sees_the_vocabulary():
    plain, truncated, other = (KINDS["byte-level BPE"]() for _ in range(3))
    truncated.enable_truncation(5)
    other.add_tokens(["newword"])
    names = [ResponseTokenizer("t", one).fingerprint for one in (plain, truncated, other)]
    assert names[0] == names[1] != names[2]


def test_truncation_stored_in_the_file_does_not_cut_labels(tmp_path):
    tokenizer = KINDS["byte-level BPE"]()
    tokenizer.enable_truncation(3)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ids, _, ends = load_tokenizer(str(tmp_path)).encode("The bridge was opened in 1932 and is long.")
    assert len(ids) > 3
    assert ends[-1] == 42


def test_folder_without_tokenizer_json_names_the_remedy(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\n")
    with pytest.raises(ConfigError, match=r"no tokenizer.json.*save_pretrained"):
        load_tokenizer(str(tmp_path))


def test_tokenizer_whose_tokens_have_no_characters_is_refused(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"x": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace("Balto ran 674 miles.", "")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ConfigError, match="gives no character offsets"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize(("name", "what"), [("missing.json", "no such file"), ("./nowhere", "no such file")])
def test_missing_tokenizer_is_one_line(name: str, what: str):
    with pytest.raises(ConfigError, match=what):
        load_tokenizer(name)


def test_file_that_is_no_tokenizer_is_one_line(tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps({"a": 1}))
    with pytest.raises(ConfigError, match="not a readable tokenizer.json"):
        load_tokenizer(str(file))


def test_ids_of_bytes_are_those_of_the_document():
    """docs/label_set.md, "Tokens of `bytes`": byte -> id by ranges."""
    shifts = {(33, 126): -33, (161, 172): -67, (174, 255): -68, (0, 32): 188, (127, 160): 94, (173, 173): 82}
    expected = {byte: byte + shift for (low, high), shift in shifts.items() for byte in range(low, high + 1)}
    assert sorted(expected.values()) == list(range(256))
    text = "".join(map(chr, range(128))) + "".join(map(chr, range(0x80, 0x800, 7))) + "\u20ac\U0001f600"
    ids = load_tokenizer("bytes").encode(text)[0]
    assert ids.tolist() == [expected[byte] for byte in text.encode()]
