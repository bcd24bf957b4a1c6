"""Fine-tune an encoder: a claim classifier by sentence-transformers' trainer, a token classifier by transformers'.

Both see the very inputs that the engine will make. Losses: binary cross-entropy with a weight on unsupported claims;
cross-entropy over the response's tokens with a weight on unsupported ones, unknown characters left out.
"""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.engines.nli.gather import Gatherer
from pipeline.engines.nli.loading import OpenModel, choose_device, loading_errors, model_window, token_counter
from pipeline.engines.nli.settings import AUTO
from pipeline.engines.nli.tokens import TOKEN_LABELS, encode_inputs, token_inputs
from pipeline.engines.nli.training.corruptions import corrupt, corrupted_response, names_in
from pipeline.engines.nli.training.examples import UNKNOWN, Example
from pipeline.engines.nli.training.options import TrainOptions
from schemas.errors import ConfigError
from schemas.records import SUPPORTED

IGNORED: Final = -100  # label of a token that does not count in the loss
PROGRESS: Final = 0.1  # of the steps between two lines that say how far training is
HEAD_RATE: Final = 5.0  # learning rate of a new head against that of the encoder, which is trained already
log = logging.getLogger(__name__)


def fit_claims(examples: Sequence[Example], base: Path, out: Path, options: TrainOptions) -> int:
    """Train a CrossEncoder of one logit of support and save it in `out`. Returns the number of pairs."""
    import torch
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer
    from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
    from sentence_transformers.cross_encoder.training_args import CrossEncoderTrainingArguments

    with loading_errors(options.base):
        model = CrossEncoder(
            str(base),
            num_labels=1,
            device=choose_device(options.device),
            trust_remote_code=False,
            local_files_only=True,
            # a base with another head, such as a three-way NLI model, gives its encoder and gets a new head: one that
            # started from the old one did worse (benchmarks/RESULTS.md)
            model_kwargs={"use_safetensors": True, "ignore_mismatched_sizes": True},
        )
    inner: Any = model.model
    freeze_layers(inner, options.frozen_layers)
    inner.config.id2label, inner.config.label2id = {0: SUPPORTED}, {SUPPORTED: 0}
    window = min(options.window, model_window(inner.config, model.tokenizer))
    model.max_seq_length = window
    pairs = claim_pairs(examples, opened_for(model.tokenizer, window), options)
    weight = torch.tensor(1 / options.unsupported_weight, device=model.device)  # of the positive class: support
    columns = {name: [pair[at] for pair in pairs] for at, name in enumerate(("evidence", "claim", "label"))}
    with tempfile.TemporaryDirectory() as scratch:
        trainer = CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(**_arguments(options, scratch)),
            train_dataset=Dataset.from_dict(columns),
            loss=BinaryCrossEntropyLoss(model, pos_weight=weight),
        )
        report_steps(trainer, "claim classifier")
        trainer.train()
    model.save_pretrained(str(out), create_model_card=False)
    return len(pairs)


def claim_pairs(examples: Sequence[Example], opened: OpenModel, options: TrainOptions) -> list[tuple[str, str, float]]:
    """(evidence, claim, 1.0 for support): judged claims, and corruptions of supported ones."""
    rng = random.Random(options.seed)  # noqa: S311
    names = names_in([passage.text for one in examples for passage in one.context])
    gatherer = Gatherer(opened, most=1)
    asked: list[tuple[Any, str, float]] = []
    for example in examples:
        for one in example.claims:
            asked.append((example.context, one.claim.text, float(one.supported)))
            made = corrupt(one.claim.text, names, rng) if one.supported and rng.random() < options.corruptions else None
            if made is not None:
                asked.append((example.context, made.text, 0.0))
    lengths = opened.count([text for _, text, _ in asked])
    kept = [(*one, tokens) for one, tokens in zip(asked, lengths, strict=True) if 0 < tokens <= opened.pair_room // 2]
    found = gatherer.gather([(context, text, tokens) for context, text, _, tokens in kept])
    return [
        (evidence.windows[0].text, text, label)
        for (_, text, label, _), evidence in zip(kept, found, strict=True)
        if evidence.windows
    ]


def fit_tokens(examples: Sequence[Example], base: Path, out: Path, options: TrainOptions) -> int:
    """Train a token classifier of TOKEN_LABELS and save it in `out`. Returns the number of sequences."""
    import torch
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    names = dict(enumerate(TOKEN_LABELS))
    files: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    torch.manual_seed(options.seed)  # of the new head
    with loading_errors(options.base):
        tokenizer: Any = AutoTokenizer.from_pretrained(base, **files)
        load: Any = AutoModelForTokenClassification.from_pretrained
        model = load(
            base,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            id2label=names,
            label2id={v: k for k, v in names.items()},
            **files,
        )
    freeze_layers(model, options.frozen_layers)
    window = min(options.window, model_window(model.config, tokenizer))
    rows = token_rows(examples, tokenizer, window, options)
    weights = torch.tensor([1.0, options.unsupported_weight])

    def loss_of(outputs: Any, labels: Any, **_: Any) -> Any:
        logits = outputs["logits"].float().flatten(0, 1)
        return torch.nn.functional.cross_entropy(
            logits, labels.flatten(), weights.to(logits.device), ignore_index=IGNORED
        )

    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(**_arguments(options, scratch), train_sampling_strategy="group_by_length")
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,  # type: ignore[arg-type]  # a list has what a map-style dataset needs
            data_collator=DataCollatorForTokenClassification(tokenizer),
            compute_loss_func=loss_of,
            optimizers=(_optimizer(model, options), None),
        )
        report_steps(trainer, "token classifier")
        trainer.train()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return len(rows)


def token_rows(examples: Sequence[Example], tokenizer: Any, window: int, options: TrainOptions) -> list[dict[str, Any]]:
    """Encoded runs of responses with a label per token: judged ones, and ones with a corrupted claim."""
    rng = random.Random(options.seed)  # noqa: S311
    names = names_in([passage.text for one in examples for passage in one.context])
    opened = opened_for(tokenizer, window)
    gatherer = Gatherer(opened, most=1)
    rows: list[dict[str, Any]] = []
    for example in examples:
        texts = [(example.response, example.marks)]
        if rng.random() < options.corruptions:
            made = corrupted_response(example, names, rng)
            texts += [made] if made is not None else []
        units = gatherer.units_of(example.context)
        for text, marks in texts:
            for one in token_inputs(example.context, text, units, opened.count, opened.pair_room):
                row = _encoded(tokenizer, one.evidence, one.run, marks[one.start :], window)
                if any(label >= 0 for label in row["labels"]):
                    rows.append(row)
    return rows


def _encoded(tokenizer: Any, evidence: str, run: str, marks: np.ndarray, window: int) -> dict[str, Any]:
    """One pair as lists, with a label for each token of the run: the worst mark of its characters."""
    encoded = encode_inputs(tokenizer, [(evidence, run)], window)
    labels = []
    for which, (start, end) in zip(encoded.sequence_ids(0), encoded["offset_mapping"][0].tolist(), strict=True):
        worst = int(marks[start:end].max()) if which == 1 and end > start else UNKNOWN
        labels.append(worst if worst != UNKNOWN else IGNORED)
    names = [name for name in encoded if name != "offset_mapping"]
    return {**{name: encoded[name][0].tolist() for name in names}, "labels": labels}


def opened_for(tokenizer: Any, window: int) -> OpenModel:
    """A tokenizer as the engine sees a model: enough to make its inputs."""
    return OpenModel(None, token_counter(tokenizer), window, tokenizer.num_special_tokens_to_add(pair=True))


def freeze_layers(model: Any, count: int) -> None:
    """Keep the embeddings and the first `count` layers of a transformers encoder as they are.

    Raises ConfigError when the model does not have so many, or no layers where encoders have them.
    """
    if not count:
        return
    encoder = model.base_model
    layers = getattr(getattr(encoder, "encoder", encoder), "layer", None) or getattr(encoder, "layers", None)
    if layers is None or count > len(layers):
        has = "no layers that are known" if layers is None else f"{len(layers)} layers"
        raise ConfigError(f"--frozen-layers {count}: the encoder has {has}")
    for module in (encoder.embeddings, *layers[:count]):
        module.requires_grad_(False)


def report_steps(trainer: Any, what: str) -> None:
    """Let a trainer of transformers say in our log how far it is, and nothing of its own on standard output."""
    from transformers import PrinterCallback, TrainerCallback

    class Report(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
            if "loss" in (logs or {}):
                loss = float(logs["loss"])
                log.info("%s | step %d of %d | loss %.3f", what, state.global_step, state.max_steps, loss)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Report())


def _optimizer(model: Any, options: TrainOptions) -> Any:
    """AdamW with a faster rate for what is new."""
    import torch

    head = [value for name, value in model.named_parameters() if name.startswith("classifier")]
    fresh = {id(value) for value in head}
    body = [value for value in model.parameters() if id(value) not in fresh]
    rates = [{"params": body, "lr": options.learning_rate}, {"params": head, "lr": HEAD_RATE * options.learning_rate}]
    return torch.optim.AdamW(rates, lr=options.learning_rate, weight_decay=0.01)


def _arguments(options: TrainOptions, scratch: str) -> dict[str, Any]:
    """What both trainers are told."""
    device = choose_device(options.device)
    half = options.precision == "bfloat16" or (options.precision == AUTO and device.startswith("cuda"))
    return {
        "output_dir": scratch,
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "warmup_steps": 0.1,  # a share of all steps
        "weight_decay": 0.01,
        "bf16": half,
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": device.startswith("cuda"),
        "save_strategy": "no",
        "report_to": "none",
        "logging_strategy": "steps",
        "logging_steps": PROGRESS,
        "disable_tqdm": True,  # of its bars and its dictionaries on standard output
        "seed": options.seed,
        "data_seed": options.seed,
    }
