"""The options of `balto train`: one flat, frozen record, filled from flags and a YAML file. No torch here.

Every field is an option of the same name (`clip_low` is --clip-low). Its help text stands beside it and is what
`balto train --help` shows. Only the command and trainer.train see the record; everything else takes plain arguments.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.errors import ConfigError, one_line

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "credit": ("balanced", "token", "supported", "response"),
    "mass": ("unit", "sqrt", "harmonic"),
    "block": ("group", "response"),
    "anchor": ("all", "labelled", "neutral"),
    "pull": ("log", "ratio"),
    "ratio": ("behaviour", "reference"),
    "reference": ("auto", "adapter_off", "copy", "cached"),
    "layout": ("packed", "padded"),
    "attention": ("calls", "flex"),
    "precision": ("auto", "float32", "bfloat16"),
    "schedule": ("constant", "linear", "cosine"),
    "too_long": ("drop", "error"),
}


def option(default: Any, help: str) -> Any:
    """A field with its help text."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """What a run needs to know. Units: tokens are the model's own, lengths in tokens, sizes in MiB."""

    labels: tuple[str, ...] = option((), "Label sets, each FOLDER or FOLDER:WEIGHT (passes per epoch).")
    model: str = option("", "Model folder or hub id (safetensors only).")
    out: str = option("", "Folder of the run to write, or to resume.")
    tokenizer: str | None = option(None, "Tokenizer folder or hub id; default: the model's own.")

    credit: str = option("balanced", "Credit of tokens: balanced, token, supported, response.")
    mass: str = option("unit", "Mass of a balance block: unit, sqrt, harmonic.")
    block: str = option("group", "What credit is balanced over: group, response.")
    cap: float | None = option(None, "Largest credit of a token, in units of 1/n (balanced only).")
    clip_low: float = option(0.95, "Ratios below 1 minus this get no further push down; 1: no limit.")
    clip_high: float = option(0.4, "Ratios above 1 plus this get no further push up.")
    pull: str = option("log", "How supported tokens that have sunk are raised: log (undiminished), ratio (fading).")
    beta: float = option(0.2, "Strength of the squared anchor to the reference.")
    stop_beta: float = option(0.3, "Strength of the anchor on the choice to stop or go on; 0: none.")
    anchor: str = option("neutral", "Tokens that the anchor holds: all, labelled, neutral (those without a label).")
    ratio: str = option("reference", "Denominator of the ratio: reference, or behaviour (where stored).")
    reference: str = option("auto", "Where reference log-probabilities come from: auto, adapter_off, copy, cached.")

    epochs: int = option(1, "Passes over the label sets.")
    max_steps: int | None = option(None, "Stop after so many steps.")
    groups_per_step: int = option(16, "Prompt groups of one optimizer step, over all ranks.")
    micro_tokens: int = option(8192, "Packed tokens that go through the model at once, per rank.")
    lr: float | None = option(None, "Peak learning rate; default 1e-4 with LoRA, 1e-5 without.")
    schedule: str = option("cosine", "Learning rate after warm-up: constant, linear, cosine (down to a tenth).")
    warmup_steps: int = option(10, "Steps over which the learning rate rises.")
    weight_decay: float = option(0.0, "AdamW's weight decay.")
    max_grad_norm: float = option(1.0, "Gradients are scaled down to this norm.")
    seed: int = option(0, "Order of groups, held-out groups, initial adapters.")

    lora_rank: int = option(0, "LoRA through peft on all linear layers; 0: train all weights.")
    lora_alpha: float | None = option(None, "LoRA's alpha; default: twice the rank.")
    precision: str = option("auto", "auto (bfloat16 autocast on a GPU), float32, bfloat16.")
    layout: str = option("packed", "packed: responses share their prompt's row; padded: one row each.")
    attention: str = option("calls", "Of packed rows: calls (two per group), flex (one masked call; GPU).")
    checkpoint_activations: bool = option(False, "Compute activations again in the backward pass: less memory.")
    compile: bool = option(False, "Compile the model's blocks (torch.compile).")
    head_chunk_mib: int = option(64, "Size of one chunk of logits in float32.")

    max_positions: int | None = option(None, "Longest prompt + response; default: the model's window.")
    too_long: str = option("drop", "Prompt groups beyond that: drop (and count) them, or error.")
    held_out: float = option(0.0, "Share of prompt groups kept for evaluation.")
    eval_every: int = option(50, "Steps between evaluations; 0: only at the end.")
    eval_groups: int = option(64, "Held-out groups evaluated at most.")
    workers: int = option(1, "Reader processes per rank; 0: read in this process.")
    verify: bool = option(True, "Compare every shard with its checksum before training.")

    save_every: int = option(50, "Steps between checkpoints; 0: only at the end and when told to stop.")
    keep: int = option(2, "Checkpoints kept.")
    max_skipped: int = option(5, "Steps in a row with a non-finite gradient before the run stops.")

    def __post_init__(self) -> None:
        self._check_values()
        if self.cap is not None and self.credit != "balanced":
            raise ConfigError(f"--cap with --credit {self.credit}: only balanced credit has a cap")
        if self.mass != "unit" and self.credit != "balanced":
            raise ConfigError(f"--mass {self.mass} with --credit {self.credit}: only balanced credit has a mass")
        if self.clip_low > 1:
            raise ConfigError(f"--clip-low {self.clip_low}: must be at most 1, which is no limit")
        if self.lora_alpha is not None and not self.lora_rank:
            raise ConfigError("--lora-alpha needs --lora-rank: without adapters there is nothing to scale")
        if self.credit == "response" and self.block == "response":
            raise ConfigError("--credit response compares the responses of a group: it needs --block group")
        if self.attention == "flex" and self.layout == "padded":
            raise ConfigError("--attention flex is for packed rows: it needs --layout packed")
        if self.reference == "adapter_off" and not self.lora_rank:
            raise ConfigError(
                "--reference adapter_off needs --lora-rank: without adapters there is nothing to turn off"
            )

    def _check_values(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{flag(name)} {getattr(self, name)}: must be one of {', '.join(allowed)}")
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{flag(name)} {value}: must be a finite number")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{flag(name)} {value}: must be at least {least}")
        for name in ("cap", "lr", "max_grad_norm", "lora_alpha"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{flag(name)} {value}: must be above 0")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"--held-out {self.held_out}: must be at least 0 and below 1")

    @property
    def learning_rate(self) -> float:
        """Peak learning rate: LoRA's small matrices take larger steps than whole weights."""
        return self.lr if self.lr is not None else (1e-4 if self.lora_rank else 1e-5)

    @property
    def adapter_alpha(self) -> float:
        """LoRA's alpha; the adapters' product is multiplied by alpha over rank."""
        return self.lora_alpha if self.lora_alpha is not None else 2.0 * self.lora_rank


_LEAST: Final[Mapping[str, float]] = {
    **dict.fromkeys(("epochs", "groups_per_step", "micro_tokens", "head_chunk_mib", "keep", "max_skipped"), 1),
    **dict.fromkeys(("max_steps", "max_positions", "eval_groups"), 1),
    **dict.fromkeys(
        ("clip_low", "clip_high", "beta", "stop_beta", "weight_decay", "warmup_steps", "seed", "lora_rank"), 0
    ),
    **dict.fromkeys(("eval_every", "workers", "save_every"), 0),
}

# What may differ when a run is resumed: it says how the work is done, not what is learnt.
MAY_CHANGE: Final = frozenset(
    {
        "out",
        "epochs",
        "max_steps",
        "micro_tokens",
        "layout",
        "attention",
        "checkpoint_activations",
        "compile",
        "head_chunk_mib",
        "workers",
    }
    | {"verify", "eval_every", "eval_groups", "save_every", "keep", "max_skipped", "labels", "model", "tokenizer"}
)  # label sets, model and tokenizer are compared by content instead


def flag(name: str) -> str:
    """The option of a field."""
    return f"--{name.replace('_', '-')}"


def make_config(given: Mapping[str, Any], file: Path | None = None) -> TrainConfig:
    """A config from a YAML file and from given options, which win. Raises ConfigError, naming file and field."""
    values = dict(_read_yaml(file)) if file else {}
    given = {name: value for name, value in given.items() if value is not None and value != ()}
    values |= given
    hints = typing.get_type_hints(TrainConfig)
    for name in values:
        if name not in hints:
            raise ConfigError(f"{file}: there is no option {name} (see `balto train --help`)")
        values[name] = _as_type(flag(name) if name in given else f"{file}: {name}", values[name], hints[name])
    for name in ("labels", "model", "out"):
        if not values.get(name):
            raise ConfigError(
                f"{'LABELS' if name == 'labels' else flag(name)}: missing; give it as an option or in --config"
            )
    return TrainConfig(**values)


def _as_type(place: str, value: Any, hint: Any) -> Any:
    """The value in the field's type; YAML's 1e-5 is a string, and its 1 is an integer where a number is meant.

    place: of the value, for errors.
    """
    kind: Any = hint
    if isinstance(hint, types.UnionType):  # of a type and None
        if value is None:
            return None
        kind = next(one for one in typing.get_args(hint) if one is not types.NoneType)
    if typing.get_origin(kind) is tuple:
        return _texts(place, value)
    if value is None:
        raise ConfigError(f"{place}: has no value; give one, or leave the line out")
    try:
        if isinstance(value, bool) != (kind is bool) or isinstance(value, list | dict):
            raise ValueError
        if kind is int and int(value) != float(value):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError) as err:
        raise ConfigError(f"{place} {value!r}: must be of type {kind.__name__}") from err


def _texts(place: str, value: Any) -> tuple[str, ...]:
    """One text or several; an empty line of YAML is none."""
    several = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(several, list | tuple) or not all(isinstance(one, str) for one in several):
        raise ConfigError(f'{place} {value!r}: give a list of texts, such as ["first", "second:2"], each in quotes')
    return tuple(several)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except OSError as err:
        raise ConfigError(f"--config {path}: {err.strerror or err}") from err
    except (ValueError, yaml.YAMLError) as err:
        raise ConfigError(f"{path}: not a readable YAML file ({one_line(err)})") from err
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a line `option: value` for each option, and no list")
    _refuse_twice(path, yaml.compose(text, yaml.SafeLoader).value)
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def _refuse_twice(path: Path, nodes: Iterable[tuple[Any, Any]]) -> None:
    """Refuse an option on two lines: of these YAML takes the later one without a word."""
    lines: dict[str, int] = {}
    for name, _ in nodes:
        option, line = str(name.value).replace("-", "_"), name.start_mark.line + 1
        if option in lines:
            raise ConfigError(f"{path}: {option} stands in line {lines[option]} and in line {line}; leave one out")
        lines[option] = line


def to_yaml(config: TrainConfig) -> str:
    """The resolved config as YAML; `balto train --config` reads it back."""
    import yaml

    values = dataclasses.asdict(config)
    values["labels"] = list(config.labels)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
