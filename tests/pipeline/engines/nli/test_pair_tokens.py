"""Inputs of pairs from the tokens of each text: those that the library makes, for several kinds of tokenizer."""

import itertools
import json

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.heads import Head
from pipeline.engines.nli.loading import load_cross_encoder
from pipeline.engines.nli.pair_tokens import pair_tokens
from pipeline.engines.nli.scoring import Pair, PairScorer
from tests.pipeline.engines.nli.tiny_nli_models import edit_config, make_model

WINDOW = 128
TEXTS = [
    "The bridge was opened in 1932 .",
    "",
    " leading and trailing ",
    "it's 1,149 metres\nlong\t– “Zürich” 東京 😀 ffi",
    "a b c d e f",
    "not",
    "[SEP] </s> <s> [CLS]",
]
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def word_pieces(folder):
    return make_model(folder, positions=WINDOW)


def byte_pairs(folder):
    """RoBERTa's way: bytes, two separators between the texts, no token types that differ."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: at for at, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    config = RobertaConfig(vocab_size=len(vocabulary), max_position_embeddings=WINDOW + 2, type_vocab_size=1, **SIZES)
    save_random(RobertaForSequenceClassification(config), folder)
    return saved(backend, folder, "<s>", "</s>", "<pad>")


def pieces_with_a_mark(folder, **options):
    """SentencePiece's way: words begin with a mark, also the first word of each text."""
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "▁", *(chr(code) for code in range(33, 127)), "▁the", "▁bridge"]
    scores = [(piece, -float(at)) for at, piece in enumerate(pieces)]
    backend = Tokenizer(models.Unigram(scores, unk_id=3))
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = [("[CLS]", 1), ("[SEP]", 2)]
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special)
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=WINDOW, **SIZES)
    save_random(BertForSequenceClassification(config), folder)
    return saved(backend, folder, "[CLS]", "[SEP]", "[PAD]", **options)


def save_random(model, folder):
    """With weights so large that the texts matter."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    model.save_pretrained(folder)


def saved(backend, folder, first, separator, padding, **options):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        cls_token=first,
        sep_token=separator,
        pad_token=padding,
        model_max_length=WINDOW,
        **options,
    )
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


def padded_on_the_left(folder):
    return pieces_with_a_mark(folder, padding_side="left")


KINDS = [word_pieces, byte_pairs, pieces_with_a_mark, padded_on_the_left]


def opened(folder):
    model = load_cross_encoder("tiny", folder, "cpu", "float32")
    model.max_seq_length = WINDOW
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_those_of_the_library(kind, tmp_path):
    model = opened(kind(tmp_path))
    tokens = pair_tokens(model, WINDOW)
    assert tokens is not None
    ids = tokens.ids(TEXTS)
    pairs = list(itertools.product(TEXTS, TEXTS))
    assert max(tokens.length(ids[first], ids[second]) for first, second in pairs) <= WINDOW
    for batch in (pairs, pairs[:1], pairs[7:12]):
        expected = model.preprocess(batch)
        found = tokens.inputs([(ids[first], ids[second]) for first, second in batch], "cpu")
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(found[name], value) if isinstance(value, torch.Tensor) else found[name] == value, name


@pytest.mark.parametrize("kind", KINDS[:-1])  # with absolute positions, padding on the left changes scores by itself
@pytest.mark.parametrize("claim_first", [False, True])
def test_scores_are_those_of_predict_and_pairs_too_long_are_cut_as_it_cuts_them(kind, claim_first, tmp_path):
    model = opened(kind(tmp_path))
    outputs = model.num_labels
    head = Head(supported=outputs - 1, outputs=outputs, contradicted=0, claim_first=claim_first)
    asked = [Pair(evidence * times, claim, 9) for evidence in TEXTS for claim in TEXTS for times in (1, 40)]
    found = PairScorer(model, head, LengthBatches(300), pair_tokens(model, WINDOW)).score(asked)
    slow = PairScorer(model, head, LengthBatches(300)).score(asked)
    np.testing.assert_allclose(found, slow, atol=2e-6)
    assert np.ptp(found[:, 0]) > 1e-3


def test_every_text_is_read_once(tmp_path, monkeypatch):
    model = opened(word_pieces(tmp_path))
    tokens = pair_tokens(model, WINDOW)
    read = []
    original = type(tokens.tokenizer.backend_tokenizer).encode_batch_fast

    class Listening:
        def __init__(self, backend):
            self.backend = backend

        def __getattr__(self, name):
            return getattr(self.backend, name)

        def encode_batch_fast(self, texts, **options):
            read.extend(texts)
            return original(self.backend, texts, **options)

    monkeypatch.setattr(
        type(tokens.tokenizer), "backend_tokenizer", property(lambda self: Listening(self._tokenizer)), raising=True
    )
    asked = [Pair("the bridge was opened in 1932", claim, 9) for claim in ("it is long", "a bridge", "it is long")]
    PairScorer(model, Head(1, 3, 0), LengthBatches(300), tokens).score(asked)
    assert sorted(read) == ["a bridge", "it is long", "the bridge was opened in 1932"]


def test_single_logit_is_a_probability(tmp_path):
    model = opened(make_model(tmp_path, labels=("supported",), positions=WINDOW))
    [(supported, refuted)] = PairScorer(model, Head(0, 1), LengthBatches(300), pair_tokens(model, WINDOW)).score(
        [Pair("the bridge", "a tower", 8)]
    )
    assert supported == pytest.approx(model.predict([("the bridge", "a tower")])[0], abs=1e-6)
    assert refuted == 0


def test_library_makes_the_inputs_where_a_pair_is_more_than_its_texts(tmp_path):
    class Prompting(CrossEncoder):
        """Puts words before the first text, as a model with a prompt does."""

        def preprocess(self, inputs, **options):
            return super().preprocess([("query : " + first, second) for first, second in inputs], **options)

    folder = word_pieces(tmp_path)
    model = Prompting(str(folder), device="cpu", local_files_only=True)
    assert pair_tokens(model, WINDOW) is None
    model = opened(folder)
    model.prompts, model.default_prompt_name = {"query": "query : "}, "query"
    assert pair_tokens(model, WINDOW) is None


def test_library_makes_the_inputs_of_a_tokenizer_without_padding(tmp_path):
    folder = word_pieces(tmp_path)
    edit_config(folder, pad_token_id=None)
    model = opened(folder)
    model.tokenizer.pad_token = None
    assert pair_tokens(model, WINDOW) is None
