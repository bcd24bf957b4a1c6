"""Tiny sequence classifiers and fakes for the engine `nli`; made from configs with fixed seeds, no hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.heads import Head
from pipeline.engines.nli.loading import OpenModel
from pipeline.engines.nli.scoring import PairScorer
from pipeline.engines.nli.settings import NliSettings
from pipeline.engines.nli.verifier import NliVerifier
from schemas.records import Claim, Passage, Sample

THREE_WAY = ("contradiction", "entailment", "neutral")
TWO_WAY = ("not_entailment", "entailment")
WORDS = ["the", "bridge", "was", "opened", "in", "1932", "and", "is", "1149", "metres", "long", "not", "of", "a", "."]


def make_model(folder: Path, labels: Sequence[str] = THREE_WAY, seed: int = 0, positions: int = 128) -> Path:
    """A BERT of two small layers with a random head of these labels, saved as safetensors."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=positions,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
    )
    model = BertForSequenceClassification(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    make_tokenizer(folder, positions)
    return folder


def make_tokenizer(folder: Path, positions: int = 128, words: Sequence[str] = WORDS) -> None:
    """A WordPiece tokenizer with single letters and a few words."""
    from transformers import BertTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: at for at, piece in enumerate(dict.fromkeys(pieces))}
    BertTokenizer(vocab=vocabulary, model_max_length=positions).save_pretrained(folder)


def edit_config(folder: Path, **changes: Any) -> None:
    """Change fields of a model's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


class KnowingModel:
    """Entails a claim when the evidence contains it word for word, contradicts it when it contains `not ` + claim.

    largest: pairs that fit into its memory at once.
    """

    def __init__(self, largest: int = 1_000_000):
        self.largest = largest
        self.batches: list[list[tuple[str, str]]] = []

    def predict(self, inputs: list[tuple[str, str]], **options: Any) -> np.ndarray:
        if len(inputs) > self.largest:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        self.batches.append(list(inputs))
        return np.array([self._row(evidence, claim) for evidence, claim in inputs])

    @staticmethod
    def _row(evidence: str, claim: str) -> tuple[float, float, float]:
        if f"not {claim}" in evidence:
            return 0.8, 0.1, 0.1
        return (0.05, 0.9, 0.05) if claim in evidence else (0.1, 0.2, 0.7)


def words_of(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


HEAD = Head(supported=1, outputs=3, contradicted=0)


def open_fake(model: Any, window: int = 64, batch_tokens: int = 4096, embedder: Any = None) -> OpenModel:
    """A fake model as the engine sees it; a token is a word."""
    return OpenModel(PairScorer(model, HEAD, LengthBatches(batch_tokens)), words_of, window, 3, embedder)


def verifier_with(opened: OpenModel, **settings: Any) -> NliVerifier:
    """The verifier over an opened model, without files."""
    verifier = NliVerifier(NliSettings(model="fake", fingerprint="0" * 64, **settings))
    verifier.use(opened)
    return verifier


def sample_of(context: Sequence[str], *claims: str, record: str = "r1") -> tuple[Sample, tuple[Claim, ...]]:
    passages = tuple(Passage(f"p{number}", text) for number, text in enumerate(context, start=1))
    made = tuple(Claim(claim_id=f"c{number}", text=text) for number, text in enumerate(claims, start=1))
    return Sample(record, "g", "question", passages, " ".join(claims)), made


def make_encoder(folder: Path, positions: int = 128, words: Sequence[str] = WORDS) -> Path:
    """A BERT of two small layers without a head, as one fine-tunes it."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100 + len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=positions,
    )
    BertModel(config).save_pretrained(folder)
    make_tokenizer(folder, positions, words)
    return folder
