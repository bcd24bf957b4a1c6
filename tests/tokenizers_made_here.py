"""Small tokenizers of the kinds in use, trained on the spot: byte-level BPE, WordPiece, SentencePiece-style."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

TEXT = [
    "The bridge was opened in 1932 and is 1,149 metres long.",
    "Über café naïve façade, 東京タワーは333メートル。 Привет мир 👍🏽 🇩🇪 e\u0301",
    "She said: “It’s 50 % of 12.5 km” — and left. The bridge, the bridge, the bridge.",
] * 4


def byte_level_bpe() -> Tokenizer:
    """GPT-2 style: bytes, a token carries the space before its word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<eos>"], show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    """BERT style: lower case, accents stripped, unknown words as one [UNK]."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def sentence_piece_bpe() -> Tokenizer:
    """Llama-2 style: a prefix space, ▁ for spaces, unknown characters as bytes."""
    pieces = ["▁", "▁the", "▁bridge", "t", "h", "e", "a", "i", "n", "s", "r", "1", "2", "3", ".", "▁t", "he", "▁th"]
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    vocab = {piece: i for i, piece in enumerate(["<unk>", "</s>", *byte_pieces, *pieces])}
    merges = [("▁", "t"), ("h", "e"), ("▁t", "he")]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def sentence_piece_unigram() -> Tokenizer:
    """T5 style: NFKC, unigram pieces over ▁-marked words."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=200, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


KINDS = {
    "byte-level BPE": byte_level_bpe,
    "WordPiece": word_piece,
    "SentencePiece BPE": sentence_piece_bpe,
    "SentencePiece unigram": sentence_piece_unigram,
}
