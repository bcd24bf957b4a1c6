"""Models in memory: one of each per process, shared by its threads. Everything that can fail does so in one line.

`prepare_nli` is for the machine that starts a run: it looks at the files, tries the model on one pair and puts the
fingerprint into the settings. `open_model` is for the processes that score: they refuse files that changed since.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.engines.nli.heads import head_of
from pipeline.engines.nli.model_files import check_model, find_folder, fingerprint
from pipeline.engines.nli.scoring import Pair, PairScorer
from pipeline.engines.nli.settings import AUTO, Compute, NliSettings
from pipeline.engines.nli.units import CountTokens
from schemas.errors import ConfigError

_PROBE: Final = Pair("The bridge was opened in 1932.", "The bridge was opened in 1932.", 20)
LEAST_WINDOW: Final = 64  # tokens; with less there is no room for evidence beside a claim
_LARGEST_WINDOW: Final = 8192  # tokens; beyond, attention costs more than several windows
_lock = threading.RLock()
_opened: dict[tuple[NliSettings, Compute], OpenModel] = {}


@dataclass(frozen=True, slots=True, eq=False)
class OpenModel:
    """A model ready to score. window: tokens of a pair, special tokens included.   special: how many those are.

    lock: held while it computes; Beam may run several threads in a process.
    """

    scorer: PairScorer
    count: CountTokens
    window: int
    special: int
    embedder: Any
    lock: Any = dataclasses.field(default_factory=threading.RLock)


def prepare_nli(settings: NliSettings, compute: Compute) -> NliSettings:
    """The settings with what is only known once the model was seen. Raises ConfigError for whatever cannot work."""
    import sentence_transformers  # noqa: F401  # of all that the engine needs, the one whose extra is named when missing

    device = choose_device(compute.device)
    precision = settings.precision
    if precision == AUTO:
        precision = "bfloat16" if device.startswith("cuda") else "float32"
    folder = find_folder(settings.model)
    head_of(settings.model, check_model(settings.model, folder).config, settings.outputs)
    retriever = fingerprint(_retriever_folder(settings.retriever)) if settings.retriever else ""
    settings = dataclasses.replace(
        settings, fingerprint=fingerprint(folder), retriever_fingerprint=retriever, precision=precision
    )
    refuse_untrained(settings.model, folder)
    opened = open_model(settings, compute)
    if not np.isfinite(opened.scorer.score([_PROBE])).all():
        raise ConfigError(f"model {settings.model}: it gives no number for a plain pair of sentences on {device}")
    return settings


def choose_device(device: str) -> str:
    """The device to compute on, checked. Raises ConfigError when there is no such device."""
    import torch

    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as err:
        reason = str(err).strip().splitlines()[0]
        raise ConfigError(f"--device {name}: cannot be used here ({reason})") from err
    return name


def refuse_untrained(name: str, folder: Path) -> None:
    """Raise ConfigError when weights of the model are missing: transformers would fill them in at random."""
    import torch
    from transformers import AutoModelForSequenceClassification

    quiet_transformers()
    load: Callable[..., Any] = AutoModelForSequenceClassification.from_pretrained
    with _one_line(name):
        _, info = load(folder, output_loading_info=True, use_safetensors=True, dtype=torch.float32)
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(
            f"model {name}: its file lacks weights ({', '.join(missing[:3])}); it was never trained whole"
        )


def open_model(settings: NliSettings, compute: Compute) -> OpenModel:
    """The model of this process, loaded on first use. Raises ConfigError when it is not the one that was prepared."""
    with _lock:
        if (settings, compute) not in _opened:
            _opened[settings, compute] = _open(settings, compute)
        return _opened[settings, compute]


def _open(settings: NliSettings, compute: Compute) -> OpenModel:
    import torch

    quiet_transformers()
    if compute.threads:
        torch.set_num_threads(compute.threads)
    folder = find_folder(settings.model)
    if settings.fingerprint and fingerprint(folder) != settings.fingerprint:
        raise ConfigError(f"model {settings.model}: its files have changed since this run began")
    head = head_of(settings.model, check_model(settings.model, folder).config, settings.outputs)
    model = load_cross_encoder(settings.model, folder, compute.device, settings.precision)
    tokenizer = model.tokenizer
    window = head.window or min(model_window(model), _LARGEST_WINDOW)
    if window < LEAST_WINDOW:
        raise ConfigError(f"model {settings.model}: it takes {window} tokens; at least {LEAST_WINDOW} are needed")
    model.max_seq_length = window
    special = tokenizer.num_special_tokens_to_add(pair=True)
    scorer = PairScorer(model, head, compute.batch_tokens)
    embedder = _load_retriever(settings, compute) if settings.retriever else None
    return OpenModel(scorer, token_counter(tokenizer), window, special, embedder)


def load_cross_encoder(name: str, folder: Path, device: str, precision: str) -> Any:
    """A sentence-transformers CrossEncoder in evaluation mode, without anybody's code. Raises ConfigError."""
    import torch
    from sentence_transformers import CrossEncoder

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    with _one_line(name):
        model = CrossEncoder(
            str(folder),
            device=choose_device(device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": dtype},
        )
    if model.tokenizer is None or not model.tokenizer.is_fast:
        raise ConfigError(f"model {name}: {folder} has no fast tokenizer (tokenizer.json)")
    return model.eval()


def model_window(model: Any) -> int:
    """Tokens that a model takes: of its tokenizer and its position embeddings the fewer.

    RoBERTa's positions start behind the padding index, so two of its 514 are never used.
    """
    config = model.model.config
    positions = getattr(config, "max_position_embeddings", None) or _LARGEST_WINDOW
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
        positions -= config.pad_token_id + 1
    if getattr(config, "position_biased_input", True) is False:  # DeBERTa: relative positions alone, of any length
        positions = max(positions, model.tokenizer.model_max_length)
    return int(min(positions, model.tokenizer.model_max_length))


def token_counter(tokenizer: Any) -> CountTokens:
    """Lengths of texts in a tokenizer's tokens, without special ones."""

    def count(texts: Any) -> list[int]:
        if not texts:
            return []
        encoded = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    return count


def _retriever_folder(name: str) -> Path:
    folder = find_folder(name)
    check_model(name, folder)
    return folder


def _load_retriever(settings: NliSettings, compute: Compute) -> Any:
    from sentence_transformers import SentenceTransformer

    folder = _retriever_folder(settings.retriever)
    if settings.retriever_fingerprint and fingerprint(folder) != settings.retriever_fingerprint:
        raise ConfigError(f"model {settings.retriever}: its files have changed since this run began")
    with _one_line(settings.retriever):
        return SentenceTransformer(
            str(folder),
            device=choose_device(compute.device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )


class _one_line:  # noqa: N801  # reads as the statement it is
    """Turn whatever loading a model raises into a ConfigError: the libraries have no class of their own for it."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, err: BaseException | None, trace: Any) -> None:
        if isinstance(err, Exception) and not isinstance(err, ConfigError | ModuleNotFoundError):
            reason = " ".join(str(err).split())[:200]
            raise ConfigError(f"model {self.name}: cannot be loaded ({type(err).__name__}: {reason})") from err


def quiet_transformers() -> None:
    """Loading reports and bars are for people at a notebook; what matters comes as an error of ours."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
