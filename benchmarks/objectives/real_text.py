"""A small check on real text: people's labels, other models' responses, the objectives through `balto train` itself.

    python -m benchmarks.objectives.real_text --datasets ../shared/datasets --out /tmp/real-text

A small language model is trained from scratch on FActScore's responses and RAGTruth's passages (no response of
RAGTruth is among them); RAGTruth's responses with their human spans become a label set (`--labels gold`, projected onto
the model's tokenizer); every objective trains on the same 70 % of the questions. Figures are of the other 30 %: by how
much, on average, the log-probability of tokens changed that people left standing, marked as wrong, and of the stop
token. What this is not: generation. A model of this size writes nothing that could be scored.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from pipeline.config import LabelConfig
from pipeline.corpora import open_corpus, read_corpus_file
from pipeline.runs.label import Resources, run_label
from pipeline.show.show_tables import print_tables
from schemas.records import Sample
from trainer.config import TrainConfig
from trainer.train import train

VOCABULARY, WINDOW, ROW = 2000, 2048, 256
_AS_USUAL: Final = {"pull": "ratio", "anchor": "all", "beta": 0.02, "stop_beta": 0.0}
OBJECTIVES: Final[dict[str, dict[str, Any]]] = {
    "balanced (the defaults)": {},
    "balanced, no stop anchor": {"stop_beta": 0.0},
    "balanced, ratio pull": {"pull": "ratio"},
    "token ±1": {"credit": "token", **_AS_USUAL},
    "supported only": {"credit": "supported", **_AS_USUAL},
    "response": {"credit": "response", **_AS_USUAL},
}


def read(*paths: Path) -> Iterator[Sample]:
    """The samples of corpora."""
    for file in open_corpus([str(path) for path in paths]):
        yield from (one for one in read_corpus_file(file) if isinstance(one, Sample))


def texts(datasets: Path) -> list[str]:
    """What the model is trained on: responses of FActScore, passages of RAGTruth."""
    passages = {
        passage.text for sample in read(datasets / "ragtruth_qa" / "response.jsonl") for passage in sample.context
    }
    written = [sample.response or "" for sample in read(datasets / "factscore" / "factscore.jsonl")]
    return [*sorted(passages), *written]


def make_tokenizer(corpus: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE of the corpus."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(corpus, bpe)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")


def write_model(datasets: Path, folder: Path, steps: int, hidden: int) -> float:
    """Train a language model from scratch and save it: its loss at the end, nats per token."""
    corpus = texts(datasets)
    tokenizer = make_tokenizer(corpus)
    ids = torch.tensor([i for text in corpus for i in [*tokenizer(text)["input_ids"], 0]])
    rows = ids[: len(ids) // ROW * ROW].view(-1, ROW)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=3 * hidden, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=WINDOW, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=0, pad_token_id=None,
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    losses = []
    for _ in range(steps):
        batch = rows[torch.randint(len(rows), (8,))]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(losses[-20:]) / len(losses[-20:])


def compare(labels: Path, model: Path, out: Path, epochs: int, rate: float) -> Iterator[dict[str, Any]]:
    """A row per objective: mean log-ratios to the start on the questions that were held out."""
    for number, (name, options) in enumerate(OBJECTIVES.items()):
        config = TrainConfig(
            labels=(str(labels),),
            model=str(model),
            out=str(out / f"run-{number}"),
            groups_per_step=8,
            epochs=epochs,
            lr=rate,
            warmup_steps=2,
            held_out=0.3,
            save_every=0,
            eval_every=0,
            workers=0,
            **options,
        )
        found = train(config)["metrics"]
        supported, unsupported = found["log_ratio_supported"], found["log_ratio_unsupported"]
        yield {
            "objective": name,
            "supported": supported,
            "unsupported": unsupported,
            "gap": supported - unsupported,
            "stop": found["log_ratio_stop"],
            "KL per token": found["kl"],
            "tokens": f"{found['supported_tokens']:.0f} / {found['unsupported_tokens']:.0f}",
        }


def main() -> None:
    """Train the model, label, train with every objective, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--steps", type=int, default=400, help="of training from scratch, 2,048 tokens each")
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=5e-4)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    model = asked.out / "model"
    loss = write_model(asked.datasets, model, asked.steps, asked.hidden)
    files = open_corpus([str(asked.datasets / "ragtruth_qa" / "response.jsonl")])
    config = LabelConfig(num_shards=1, labels="gold", tokenizer=str(model))
    run_label(files, asked.out / "labels", config, Resources(), overwrite=False)
    rows = list(compare(asked.out / "labels", model, asked.out, asked.epochs, asked.rate))
    print(json.dumps({"loss from scratch, nats per token": round(loss, 3), "arguments": vars(asked)}, default=str))
    print_tables({"held-out questions: mean change of log-probability": rows})


if __name__ == "__main__":
    main()
