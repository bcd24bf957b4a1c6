"""Whether a folder or the Hugging Face hub can have what a name means, found out in seconds.

The hub's own clients try again for half a minute where there is no network, and then speak of one file of many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.errors import ConfigError, first_line

TIMEOUT_S: Final = 10.0
_TOKENIZERS: Final = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model",
    "tokenizer.model",
)  # fmt: skip
_CACHED: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")  # any of them: it was fetched before


def has_tokenizer(folder: Path) -> bool:
    """Whether a model's folder has a file that a tokenizer can be made from."""
    return any((folder / file).is_file() for file in _TOKENIZERS)


def refuse_unreachable(name: str, what: str) -> None:
    """Raise ConfigError for a name that is no path here, was never fetched, and cannot be fetched now.

    what: how the message begins, such as `--model nope`.
    """
    if Path(name).exists():
        return
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        if any(try_to_load_from_cache(name, file) for file in _CACHED):
            return
        HfApi().model_info(name, timeout=TIMEOUT_S)
    except HFValidationError as err:
        raise ConfigError(f"{what}: no such file or folder, nor a name that the Hugging Face hub could have") from err
    except RepositoryNotFoundError as err:
        raise ConfigError(
            f"{what}: no such file or folder, and the Hugging Face hub has none of that name, or shows it only with a "
            "token in HF_TOKEN"
        ) from err
    except HfHubHTTPError:  # it answers, if not this question: a mirror may still have the files
        return
    except OfflineModeIsEnabled as err:
        raise ConfigError(
            f"{what}: no such file or folder, nothing of that name was fetched before, and HF_HUB_OFFLINE is set"
        ) from err
    except Exception as err:  # of the HTTP client beneath, which has changed its name before
        raise ConfigError(
            f"{what}: no such file or folder, nothing of that name was fetched before, and the Hugging Face hub cannot "
            f"be asked ({first_line(err)})"
        ) from err
