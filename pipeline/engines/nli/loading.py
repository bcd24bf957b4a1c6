"""Models in memory: one of each per process, shared by its threads. Everything that can fail does so in one line.

`prepare_nli` is for the machine that starts a run: it looks at the files, tries the model on one pair and puts the
fingerprint into the settings. `open_model` is for the processes that score: they refuse files that changed since.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.engines.lexical import LexicalVerifier
from pipeline.engines.nli.batches import LengthBatches
from pipeline.engines.nli.heads import head_of
from pipeline.engines.nli.model_files import VERIFIER_FILE, check_model, find_folder, fingerprint
from pipeline.engines.nli.pair_tokens import pair_tokens
from pipeline.engines.nli.scoring import Pair, PairScorer
from pipeline.engines.nli.settings import AUTO, Compute, NliSettings
from pipeline.engines.nli.tokens import TOKEN_LABELS, TokenScorer
from pipeline.engines.nli.trained import CLAIMS, TOKENS, Calibration, TrainedVerifier, read_trained
from pipeline.engines.nli.units import CountTokens
from schemas.errors import BaltoError, ConfigError, ModelError, first_line, one_line

_PROBE: Final = Pair("The bridge was opened in 1932.", "The bridge was opened in 1932.", 20)
LEAST_WINDOW: Final = 64  # tokens; with less there is no room for evidence beside a claim
_LARGEST_WINDOW: Final = 8192  # tokens; beyond, attention costs more than several windows
_lock = threading.RLock()
_opened: dict[tuple[NliSettings, Compute], OpenModel] = {}


@dataclass(frozen=True, slots=True, eq=False)
class OpenModel:
    """A model ready to score. window: tokens of a pair, special tokens included.   special: how many those are.

    scorer: of claims; None in a trained verifier that reads tokens alone.   tokens, trained: of a trained verifier.
    embedder: the retriever's model.   lock: held while it computes; Beam may run several threads in a process.
    """

    scorer: PairScorer | None
    count: CountTokens
    window: int
    special: int
    embedder: Any = None
    tokens: TokenScorer | None = None
    trained: TrainedVerifier | None = None
    lock: Any = dataclasses.field(default_factory=threading.RLock)

    @property
    def pair_room(self) -> int:
        """Tokens of evidence and claim together."""
        return self.window - self.special

    @property
    def calibrations(self) -> tuple[Calibration, ...]:
        """Of a trained verifier, those that hold with the lexical verifier of today."""
        return self.trained.usable(LexicalVerifier.name) if self.trained else ()


def prepare_nli(settings: NliSettings, compute: Compute) -> NliSettings:
    """The settings with what is only known once the model was seen. Raises ConfigError for whatever cannot work."""
    import sentence_transformers  # noqa: F401  # of all that the engine needs, the one whose extra is named when missing

    device = choose_device(compute.device)
    precision = settings.precision
    if precision == AUTO:
        precision = "bfloat16" if device.startswith("cuda") else "float32"
    folder = find_folder(settings.model)
    check_parts(settings, folder)
    retriever = fingerprint(_retriever_folder(settings.retriever)) if settings.retriever else ""
    settings = dataclasses.replace(
        settings,
        fingerprint=fingerprint(folder),
        calibrated=(folder / VERIFIER_FILE).is_file(),
        retriever_fingerprint=retriever,
        precision=precision,
    )
    opened = open_model(settings, compute)
    if opened.scorer is not None and not np.isfinite(opened.scorer.score([_PROBE])).all():
        raise ConfigError(f"model {settings.model}: it gives no number for a plain pair of sentences on {device}")
    return settings


def choose_device(device: str) -> str:
    """The device to compute on, checked. Raises ConfigError when there is no such device."""
    import torch

    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as err:
        raise ConfigError(f"--device {name}: cannot be used here ({first_line(err)})") from err
    return name


def check_parts(settings: NliSettings, folder: Path) -> None:
    """Raise ConfigError for files, a head or weights that cannot be used; of a trained verifier, of every part."""
    from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

    name = settings.model
    if not (folder / VERIFIER_FILE).is_file():
        head_of(name, check_model(name, folder).config, settings.outputs)
        return refuse_untrained(name, folder, AutoModelForSequenceClassification.from_pretrained)
    trained = read_trained(name, folder)
    if not trained.usable(LexicalVerifier.name):
        raise ConfigError(
            f"model {name}: calibrated with {trained.lexical}, and this is {LexicalVerifier.name}; train again"
        )
    loaders = {CLAIMS: AutoModelForSequenceClassification, TOKENS: AutoModelForTokenClassification}
    for part in trained.parts:
        check_model(name, folder / part)
        refuse_untrained(name, folder / part, loaders[part].from_pretrained)
    return None


def check_encoder(name: str, folder: Path) -> None:
    """Raise ConfigError for files that are no encoder to be fine-tuned."""
    config = check_model(name, folder).config
    architecture = str((config.get("architectures") or [""])[0])
    if architecture.endswith(("ForCausalLM", "ForConditionalGeneration")):
        raise ConfigError(f"--base {name}: a {architecture} generates text; take an encoder, such as a BERT or DeBERTa")


def refuse_untrained(name: str, folder: Path, load: Callable[..., Any]) -> None:
    """Raise ConfigError when weights of the model are missing: transformers would fill them in at random."""
    import torch

    quiet_transformers()
    with loading_errors(name):
        _, info = load(
            folder, output_loading_info=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )
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
    embedder = _load_retriever(settings, compute) if settings.retriever else None
    if (folder / VERIFIER_FILE).is_file():
        return open_trained(settings, compute, folder, embedder, read_trained(settings.model, folder))
    scorer, tokenizer, window = _open_pairs(settings, compute, folder)
    special = tokenizer.num_special_tokens_to_add(pair=True)
    return OpenModel(scorer, token_counter(tokenizer), window, special, embedder)


def open_trained(
    settings: NliSettings, compute: Compute, folder: Path, embedder: Any, trained: TrainedVerifier
) -> OpenModel:
    """The parts of a verifier of `balto train-verifier`; both have the tokenizer of their base."""
    scorer = tokens = tokenizer = None
    window = trained.window
    if CLAIMS in trained.parts:
        scorer, tokenizer, window = _open_pairs(settings, compute, folder / CLAIMS, trained.window)
    if TOKENS in trained.parts:
        tokens = load_token_scorer(settings.model, folder / TOKENS, compute, settings.precision, trained.window)
        tokenizer = tokens.tokenizer
    if tokenizer is None:
        raise ConfigError(f"model {settings.model}: its {VERIFIER_FILE} names no part")
    special = tokenizer.num_special_tokens_to_add(pair=True)
    return OpenModel(scorer, token_counter(tokenizer), window, special, embedder, tokens, trained)


def _open_pairs(
    settings: NliSettings, compute: Compute, folder: Path, most: int = _LARGEST_WINDOW
) -> tuple[PairScorer, Any, int]:
    """A sequence classifier: its scorer, its tokenizer, and the tokens of a pair."""
    head = head_of(settings.model, check_model(settings.model, folder).config, settings.outputs)
    model = load_cross_encoder(settings.model, folder, compute.device, settings.precision)
    window = min(head.window or model_window(model.model.config, model.tokenizer), most)
    if window < LEAST_WINDOW:
        raise ConfigError(f"model {settings.model}: it takes {window} tokens; at least {LEAST_WINDOW} are needed")
    model.max_seq_length = window
    return (
        PairScorer(
            model,
            head,
            LengthBatches(compute.batch_tokens_on(choose_device(compute.device))),
            pair_tokens(model, window),
        ),
        model.tokenizer,
        window,
    )


def load_token_scorer(name: str, folder: Path, compute: Compute, precision: str, window: int) -> TokenScorer:
    """A token classifier in evaluation mode. Raises ConfigError."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    with loading_errors(name):
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, **options)
        load: Callable[..., Any] = AutoModelForTokenClassification.from_pretrained
        model = load(folder, use_safetensors=True, dtype=dtype, **options).to(choose_device(compute.device)).eval()
    if model.config.num_labels != len(TOKEN_LABELS):
        raise ConfigError(f"model {name}: its token classifier has {model.config.num_labels} outputs, not 2")
    return TokenScorer(model, tokenizer, LengthBatches(compute.batch_tokens_on(choose_device(compute.device))), window)


def load_cross_encoder(name: str, folder: Path, device: str, precision: str) -> Any:
    """A sentence-transformers CrossEncoder in evaluation mode, without anybody's code. Raises ConfigError."""
    import torch
    from sentence_transformers import CrossEncoder

    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    with loading_errors(name):
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


def model_window(config: Any, tokenizer: Any) -> int:
    """Tokens that a model takes: of its tokenizer and its position embeddings the fewer.

    RoBERTa's positions start behind the padding index, so two of its 514 are never used.
    """
    positions = getattr(config, "max_position_embeddings", None) or _LARGEST_WINDOW
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert"):
        positions -= config.pad_token_id + 1
    if getattr(config, "position_biased_input", True) is False:  # DeBERTa: relative positions alone, of any length
        positions = max(positions, tokenizer.model_max_length)
    return int(min(positions, tokenizer.model_max_length))


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
    with loading_errors(settings.retriever):
        return SentenceTransformer(
            str(folder),
            device=choose_device(compute.device),
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )


@contextlib.contextmanager
def loading_errors(name: str) -> Iterator[None]:
    """Turn whatever loading a model raises into a ModelError: the libraries have no class of their own for it."""
    try:
        yield
    except (BaltoError, ModuleNotFoundError):
        raise
    except Exception as err:
        raise ModelError(f"model {name}: cannot be loaded ({type(err).__name__}: {one_line(err)})") from err


def quiet_transformers() -> None:
    """Loading reports and bars are for people at a notebook; what matters comes as an error of ours."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
