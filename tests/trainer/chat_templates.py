"""Chat templates in the four common styles, each with a small tokenizer of the matching kind, trained on the spot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors

from tests.tokenizers_made_here import byte_level_bpe, sentence_piece_bpe

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message.role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}"
    "<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n"
    "{% if loop.first and message.role == 'system' %}Today: {{ strftime_now('%d %b %Y') }}\n\n{% endif %}"
    "{{ message.content | trim }}<|eot_id|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% set role = 'model' if message.role == 'assistant' else message.role %}"
    "<start_of_turn>{{ role }}\n{{ message.content | trim }}<end_of_turn>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]"
    "{% elif message.role == 'assistant' %} {{ message.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
    "{% endfor %}"
)


def wrap(backend: Tokenizer, special: list[str], added: list[str | AddedToken], **options: Any) -> Any:
    """A transformers tokenizer with these special and added tokens."""
    from transformers import PreTrainedTokenizerFast

    backend.add_special_tokens(special)
    backend.add_tokens(added)
    return PreTrainedTokenizerFast(tokenizer_object=backend, **options)


def chatml() -> Any:
    """Qwen style: no BOS, turns end with <|im_end|>, the vocabulary's own end token is another."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    options = {"eos_token": "<|endoftext|>", "chat_template": CHATML}
    return wrap(byte_level_bpe(), special, ["<tool_call>"], **options)


def llama3() -> Any:
    """Llama-3 style: BOS in the template and in the post-processor, turns end with <|eot_id|>."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    backend = byte_level_bpe()
    backend.add_special_tokens(special)
    bos = [("<|begin_of_text|>", backend.token_to_id("<|begin_of_text|>"))]
    backend.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=bos)
    options = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "chat_template": LLAMA3}
    return wrap(backend, special, [], **options)


def gemma() -> Any:
    """Gemma style: no system role, the assistant is called model, white space among the added tokens."""
    special = ["<bos>", "<start_of_turn>", "<end_of_turn>"]
    options = {"bos_token": "<bos>", "eos_token": "<eos>", "chat_template": GEMMA}
    return wrap(byte_level_bpe(), special, [AddedToken("\n\n", normalized=False)], **options)


def mistral() -> Any:
    """Mistral style on SentencePiece: a space before the answer's first word, no opening, </s> at the end."""
    backend = sentence_piece_bpe()
    backend.normalizer = normalizers.Sequence([])
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    special = ["<s>", "</s>", "[INST]", "[/INST]"]
    options = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": MISTRAL}
    return wrap(backend, special, [], **options)


STYLES: dict[str, Callable[[], Any]] = {"ChatML": chatml, "Llama-3": llama3, "Gemma": gemma, "Mistral": mistral}
STOPS = {"ChatML": "<|im_end|>", "Llama-3": "<|eot_id|>", "Gemma": "<end_of_turn>", "Mistral": "</s>"}
