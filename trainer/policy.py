"""Load the model that is trained: safetensors only, no code of the model's, LoRA through peft where asked for."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from schemas.errors import ConfigError, ModelError, first_line
from schemas.hub import has_tokenizer, refuse_unreachable
from trainer.logprobs import TokenLogprobs

_ADAPTERS: Final = "adapter_config.json"
_SAMPLED_VALUES: Final = 64  # of every weight, for the fingerprint


@dataclass(frozen=True)
class Policy:
    """The trained model. scorer: rows -> log-probabilities.   fingerprint: of the weights that it started from.
    end_ids: where its generation stops.
    """

    scorer: TokenLogprobs
    fingerprint: str
    window: int
    end_ids: frozenset[int] = frozenset()

    @property
    def model(self) -> nn.Module:
        """The transformers model, or peft's model around it."""
        return self.scorer.model

    @property
    def embeddings(self) -> int:
        """Rows of the table of token embeddings: ids must be below."""
        table: Any = self.scorer.causal_lm.get_input_embeddings()
        return int(table.weight.shape[0])


def load_policy(
    model: str,
    *,
    lora_rank: int = 0,
    lora_alpha: float = 1.0,
    frozen_dtype: torch.dtype = torch.float32,
    checkpoint_activations: bool = False,
    head_chunk_mib: int = 64,
    seed: int = 0,
) -> Policy:
    """Load a model folder or hub id. frozen_dtype: of the weights that LoRA leaves alone; trained ones are float32.

    Raises ConfigError when it cannot be loaded without running code of the model's or unpickling.
    """
    loaded = load_causal_lm(model, dtype=frozen_dtype if lora_rank else torch.float32)
    if getattr(loaded, "_hf_peft_config_loaded", False):  # from a hub, transformers puts them in without merging
        raise ModelError(f"--model {model}: adapters on a hub; download them (`hf download`) and name the folder")
    fingerprint = weights_fingerprint(loaded)
    turn_off_dropout(loaded)
    if checkpoint_activations:
        # non-reentrant checkpointing is what FSDP2 and frozen inputs need; it is the default of transformers 5
        getattr(loaded, "activation_checkpointing_enable", loaded.gradient_checkpointing_enable)()
    trained: nn.Module = loaded
    if lora_rank:
        torch.manual_seed(seed)
        trained = add_adapters(loaded, lora_rank, lora_alpha)
    trained.train()
    return Policy(TokenLogprobs(trained, head_chunk_mib), fingerprint, window(loaded), end_ids(loaded))


def check_folder(model: str) -> None:
    """Raise ConfigError for what reads as a path and is none, before a library takes it for a hub id."""
    if model.startswith(("/", ".", "~")) and not Path(model).is_dir():
        raise ConfigError(f"--model {model}: no such folder")
    if Path(model).is_dir() and not ((Path(model) / "config.json").is_file() or holds_adapters(model)):
        raise ModelError(f"--model {model}: the folder has no config.json; name the folder of a transformers model")


def holds_adapters(model: str) -> bool:
    """Whether a folder is LoRA adapters on a model that they name, as `train --lora-rank` writes."""
    return (Path(model) / _ADAPTERS).is_file() and not (Path(model) / "config.json").is_file()


def _with_adapters(model: str, dtype: torch.dtype) -> PreTrainedModel:
    """The model that adapters were trained on, with them merged into its weights."""
    try:
        base = json.loads((Path(model) / _ADAPTERS).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (ValueError, KeyError, TypeError) as err:
        raise ModelError(f"--model {model}: its {_ADAPTERS} does not name the model that they adapt") from err
    if not isinstance(base, str) or holds_adapters(base):
        raise ModelError(f"--model {model}: its {_ADAPTERS} does not name the model that they adapt")
    if not (Path(model) / "adapter_model.safetensors").is_file():
        raise ModelError(f"--model {model}: the folder has no adapter_model.safetensors")
    loaded = load_causal_lm(base, dtype)
    try:
        with warnings.catch_warnings():  # see add_adapters
            warnings.simplefilter("ignore", FutureWarning)
            adapted: Any = PeftModel.from_pretrained(loaded, model)
        merged: PreTrainedModel = adapted.merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as err:
        raise ModelError(f"--model {model}: its adapters do not fit {base} ({_reason(err)})") from err
    return merged.eval()


def load_causal_lm(model: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A causal language model in evaluation mode, from safetensors; of LoRA adapters, their model with them merged."""
    check_folder(model)
    if holds_adapters(model):
        return _with_adapters(model, dtype)
    refuse_unreachable(model, f"--model {model}")
    load: Any = AutoModelForCausalLM.from_pretrained
    try:
        loaded, report = load(
            model, dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except SafetensorError as err:
        raise ModelError(f"--model {model}: its weights are damaged or cut off ({_reason(err)})") from err
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as err:
        raise _loading_error(model)(f"--model {model}: {_reason(err)}") from err
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would go on with random numbers in their place
        raise ModelError(
            f"--model {model}: its weights lack {', '.join(missing[:3])}{' and others' * (len(missing) > 3)}; "
            "it is no causal language model, or damaged"
        )
    return loaded.eval()


def load_tokenizer(name: str) -> Any:
    """A fast transformers tokenizer."""
    refuse_unreachable(name, f"tokenizer {name}")
    if Path(name).is_dir() and not has_tokenizer(Path(name)):
        raise ModelError(f"tokenizer of {name}: the folder has no tokenizer.json; name another with --tokenizer")
    try:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as err:
        raise _loading_error(name)(f"tokenizer of {name}: {_reason(err)}; name another with --tokenizer") from err


def _loading_error(name: str) -> type[ConfigError]:
    """A folder that is there does not hold what it should; another name was no good."""
    return ModelError if Path(name).is_dir() else ConfigError


def add_adapters(model: PreTrainedModel, rank: int, alpha: float) -> PeftModel:
    """LoRA on every linear layer of the body, whatever the architecture calls them; the head stays as it is."""
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=0.0,  # the ratio to the reference must be exactly 1 at step 0
        target_modules="all-linear",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # GPT-2 stores weights transposed
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():  # peft asks transformers 5 by names that it has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        adapted = get_peft_model(model, config)  # pyright: ignore[reportArgumentType]
    assert isinstance(adapted, PeftModel)
    return adapted


def turn_off_dropout(model: nn.Module) -> None:
    """Dropout would make the ratio to the reference differ from 1 at step 0, and the gradient depend on the packing.

    Models keep its probability in nn.Dropout, or in a number of their own (`attention_dropout`, `layerdrop`) that they
    hand to a function.
    """
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


def end_ids(model: PreTrainedModel) -> frozenset[int]:
    """The ids at which the model's own generation stops: one, or a list of them."""
    stored: Any = model.generation_config and model.generation_config.eos_token_id
    return frozenset(stored if isinstance(stored, list | tuple) else () if stored is None else (stored,))


def window(model: PreTrainedModel) -> int:
    """Longest row that the model has positions for."""
    config: Any = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 1 << 30)


def weights_fingerprint(model: nn.Module) -> str:
    """sha256 over every weight's name, shape and evenly spaced values: other weights, another fingerprint.

    Sampled, so that a large model takes a moment; it tells models apart, it does not prove a file unaltered.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        flat = weight.detach().flatten()
        step = max(flat.numel() // _SAMPLED_VALUES, 1)
        values = flat[::step].float().cpu().numpy().tobytes()
        digest.update(json.dumps([name, list(weight.shape)]).encode() + values)
    return digest.hexdigest()


def _reason(err: Exception) -> str:
    """The first line of a library's message, bounded; the usual causes with their remedy."""
    text = first_line(err)
    if "safetensors" in text:
        return f"{text} (weights are read from safetensors only; convert them first)"
    if "trust_remote_code" in text or "custom code" in text:
        return "it needs code of its own, which is never run here"
    return text
