"""Tokenizer identity, and the projection of character spans onto tokens.

A label set names its tokenizer and carries a fingerprint of what turns text into ids (normaliser, pre-tokeniser,
model and added tokens), so that labels are never read with another tokenizer. Only the `tokenizers` library is needed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.decoders import DecodeStream

from schemas.errors import ConfigError, ModelError, RecordError, first_line
from schemas.hub import refuse_unreachable
from schemas.records import NEGATIVE, POSITIVE, LabelSpan, TokenLabels

BYTES: Final = "bytes"  # the built-in tokenizer: one token per UTF-8 byte, lossless on any text
STAGE: Final = "label_tokens"
log = logging.getLogger(__name__)
_PROBE: Final = "Balto ran 674 miles."
_FINGERPRINTED: Final = ("normalizer", "pre_tokenizer", "model", "added_tokens")


class ResponseTokenizer:
    """A tokenizer that gives character offsets. Made by `load_tokenizer`; holds no state between calls."""

    def __init__(self, name: str, tokenizer: Tokenizer):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.name = name
        self.tokenizer = tokenizer
        self.fingerprint = fingerprint(tokenizer)
        self._special = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(ids, starts, ends), each (T,) int32, without special tokens; offsets in characters of `text`."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        return np.array(encoding.ids, np.int32), offsets[:, 0].copy(), offsets[:, 1].copy()

    def locate_ids(self, ids: Sequence[int], text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `encode`, but for ids that were sampled: another split of the same text is followed, not replaced.

        A special token (a stop token, say) gets the empty interval where it stands.
        Raises RecordError when the ids are not this tokenizer's or do not decode to `text`.
        """
        given = np.array(ids, np.int64)
        encoded, starts, ends = self.encode(text)
        if np.array_equal(given, encoded):
            return encoded, starts, ends
        starts, ends = self._decode_offsets(ids, text)
        return given.astype(np.int32), starts, ends

    def _decode_offsets(self, ids: Sequence[int], text: str) -> tuple[np.ndarray, np.ndarray]:
        """Character intervals by decoding one id after the other; bytes of one character share its interval."""
        starts, ends = np.zeros(len(ids), np.int32), np.zeros(len(ids), np.int32)
        stream = DecodeStream(skip_special_tokens=True)
        position, pending = 0, list[int]()
        for index, token_id in enumerate(ids):
            if token_id < 0 or self.tokenizer.id_to_token(token_id) is None:
                raise RecordError(STAGE, f"response_token_ids[{index}] = {token_id} is not an id of {self.name}")
            if token_id in self._special:
                starts[index] = ends[index] = position
                continue
            pending.append(index)
            piece = stream.step(self.tokenizer, token_id)
            if piece is None:
                continue
            if not text.startswith(piece, position):
                raise self._not_the_response(index)
            starts[pending], ends[pending] = position, position + len(piece)
            position, pending = position + len(piece), []
        # A response cut inside a character decodes to replacement characters, perhaps behind whole ones of that token.
        rest = text[position:]
        is_cut = bool(pending) and rest.endswith("\ufffd")
        if rest and not (is_cut and self.tokenizer.decode(list(ids), skip_special_tokens=True) == text):
            raise self._not_the_response(len(ids))
        starts[pending], ends[pending] = position, len(text)
        return starts, ends

    def _not_the_response(self, index: int) -> RecordError:
        return RecordError(
            STAGE,
            f"response_token_ids do not decode to the response with {self.name} (first difference: token {index})",
        )


class ByteTokenizer(ResponseTokenizer):
    """The built-in `bytes` tokenizer with an encoder of its own: the same ids and offsets, 20 times as fast."""

    def __init__(self) -> None:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.decoder = decoders.ByteLevel()
        super().__init__(BYTES, tokenizer)
        byte_of = {char: byte for byte, char in _byte_alphabet().items()}
        self._id_of_byte = np.zeros(256, np.int32)
        for i, char in enumerate(alphabet):
            self._id_of_byte[byte_of[char]] = i

    def encode(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        raw = np.frombuffer(text.encode(), np.uint8)
        ids = self._id_of_byte[raw]
        if len(raw) == len(text):
            starts = np.arange(len(raw), dtype=np.int32)
        else:  # continuation bytes 10xxxxxx belong to the character before them
            starts = np.cumsum((raw & 0xC0) != 0x80, dtype=np.int32) - 1
        return ids, starts, starts + 1


def _byte_alphabet() -> dict[int, str]:
    """Byte -> the printable character that byte-level tokenizers write for it (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}


def fingerprint(tokenizer: Tokenizer) -> str:
    """sha256 over the canonical JSON of everything that decides which ids a text gets (not truncation, not padding)."""
    whole = json.loads(tokenizer.to_str())
    kept = {key: whole[key] for key in _FINGERPRINTED}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


@functools.lru_cache(maxsize=8)
def load_tokenizer(name: str) -> ResponseTokenizer:
    """`bytes`, a tokenizer.json, a folder that holds one, or a model id of the Hugging Face hub.

    Raises ConfigError when there is none, or when it gives no character offsets; ModelError when it is damaged.
    """
    if name == BYTES:
        return ByteTokenizer()
    return _checked(name, _read_tokenizer(name))


def tokenizer_from_json(name: str, data: bytes) -> ResponseTokenizer:
    """The tokenizer in the bytes of a tokenizer.json.   name: what the label set calls it."""
    try:
        loaded = Tokenizer.from_buffer(data)
    except Exception as err:  # tokenizers raises bare Exception
        raise ModelError(f"tokenizer {name}: not a readable tokenizer.json ({first_line(err)})") from err
    return _checked(name, loaded)


def _checked(name: str, loaded: Tokenizer) -> ResponseTokenizer:
    tokenizer = ResponseTokenizer(name, loaded)
    try:
        offsets = tokenizer.tokenizer.encode(_PROBE, add_special_tokens=False).offsets
    except Exception as err:  # tokenizers raises bare Exception
        raise ModelError(f"tokenizer {name}: it cannot read a plain sentence ({first_line(err)})") from err
    covered = sum(end - start for start, end in offsets)
    if covered < len(_PROBE.replace(" ", "")):
        raise ConfigError(f"tokenizer {name}: it gives no character offsets for its tokens; spans cannot be projected")
    return tokenizer


def _read_tokenizer(name: str) -> Tokenizer:
    path = Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise ConfigError(
            f"tokenizer {name}: the folder has no tokenizer.json, and only that form gives character offsets; "
            "save it once with AutoTokenizer.from_pretrained(...).save_pretrained(FOLDER)"
        )
    if file.is_file():
        try:
            return Tokenizer.from_file(str(file))
        except Exception as err:  # tokenizers raises bare Exception for an unreadable file
            raise ModelError(f"tokenizer {file}: not a readable tokenizer.json ({first_line(err)})") from err
    if path.is_absolute() or name.startswith((".", "~")) or path.suffix == ".json" or name.count("/") > 1:
        raise ConfigError(f"tokenizer {name}: no such file or folder")
    refuse_unreachable(name, f"tokenizer {name}")
    log.info("no file or folder %s here: asking the Hugging Face hub for a tokenizer of that name", name)
    try:
        return Tokenizer.from_pretrained(name)
    except Exception as err:  # the hub client and the parser raise many kinds
        raise ConfigError(
            f"tokenizer {name}: no such file or folder here, and the hub gave none ({first_line(err)}); "
            "give a path to a tokenizer.json, a folder that holds one, or `bytes`"
        ) from err


def project_spans(text: str, starts: np.ndarray, ends: np.ndarray, spans: Sequence[LabelSpan]) -> np.ndarray:
    """Token labels (T,) int8: a token takes the label of the span whose characters its interval overlaps.

    Whitespace at the edges of a span does not count, so a token that carries the space before the next word is not
    drawn in. A token that overlaps both labels is -1: a token with a wrong character is a wrong token.
    Time and memory are linear in the length of the text. Source: ours.
    """
    labels = np.zeros(len(starts), np.int8)
    for label in (POSITIVE, NEGATIVE):
        edges = [_trimmed(text, span) for span in spans if span.label == label]
        if not edges:
            continue
        painted = bytearray(len(text) + 1)  # painted[i + 1]: character i carries the label
        for start, end in edges:
            painted[start + 1 : end + 1] = b"\x01" * (end - start)
        painted_before = np.cumsum(np.frombuffer(painted, np.uint8), dtype=np.int32)  # characters of [0, i)
        labels[painted_before[ends] > painted_before[starts]] = label
    return labels


def _trimmed(text: str, span: LabelSpan) -> tuple[int, int]:
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    return start, max(start, span.start + len(piece.rstrip()))


def label_text(
    tokenizer: ResponseTokenizer, text: str, spans: Sequence[LabelSpan], ids: Sequence[int] | None = None
) -> TokenLabels:
    """The token labels of a response; on the sampled `ids` when given, else on the text's own tokenisation."""
    located = tokenizer.encode(text) if ids is None else tokenizer.locate_ids(ids, text)
    token_ids, starts, ends = located
    return TokenLabels(token_ids, starts, ends, project_spans(text, starts, ends, spans))
