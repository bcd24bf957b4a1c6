"""What the launcher of the flex template starts: parameters of the template -> the command `balto label`.

The launcher hands over `--name=value` for each parameter and for the options of the job. Ours become the words of the
command line; everything else is Beam's and is passed on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

OURS = (
    "format",
    "labels",
    "extractor",
    "verifier",
    "tokenizer",
    "conflicts",
    "num_shards",
    "model",
    "base_url",
    "api_key_env",
    "claims_per_call",
    "context_window",
    "canaries",
    "concurrency",
    "requests_per_minute",
    "tokens_per_minute",
    "cache",
    "cache_password_env",
    "request_timeout_s",
    "answer_form",
    "out",
)
FLAGS = ("overwrite", "cache_required")
LABEL_SOURCES = ("claims", "gold")


def words_of(parameters: Sequence[str]) -> list[str]:
    """The words of `balto label` for the launcher's `--name=value`. Corpora are separated by commas."""
    corpora: list[str] = []
    words: list[str] = []
    for parameter in parameters:
        name, _, value = parameter.removeprefix("--").partition("=")
        if name == "corpus":
            corpora += [one.strip() for one in value.split(",") if one.strip()]
        elif name == "labels" and value not in LABEL_SOURCES:
            words.append(f"--label={value}")  # the labels of the job in the cloud: Beam takes them by this name too
        elif name in OURS:
            words.append(f"--{name.replace('_', '-')}={value}")
        elif name in FLAGS:
            words += [f"--{name.replace('_', '-')}"] if value.lower() == "true" else []
        else:
            words.append(parameter)
    return ["label", *corpora, *words]


def main() -> None:
    """Run the command."""
    from balto import main as balto_main

    sys.argv = ["balto", *words_of(sys.argv[1:])]
    balto_main()


if __name__ == "__main__":
    main()
