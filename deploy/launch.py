"""What the launcher of the flex template starts: parameters of the template -> the command `balto label`.

The launcher hands over `--name=value` for each parameter and for the options of the job. Ours become the words of the
command line; everything else is Beam's and is passed on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer

from balto import app
from balto import main as balto_main

LABEL_SOURCES = ("claims", "gold")


@cache
def options() -> dict[str, Any]:
    """The options of `balto label` by the names that parameters have: with underscores."""
    command: Any = typer.main.get_command(app)
    words = {word: one for one in command.commands["label"].params for word in one.opts if word.startswith("--")}
    return {word.removeprefix("--").replace("-", "_"): one for word, one in words.items()}


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
        elif name not in options():
            words.append(parameter)
        elif options()[name].is_flag:
            words += [f"--{name.replace('_', '-')}"] if value.lower() == "true" else []
        else:
            words.append(f"--{name.replace('_', '-')}={value}")
    return ["label", *corpora, *words]


def main() -> None:
    """Run the command."""
    sys.argv = ["balto", *words_of(sys.argv[1:])]
    balto_main()


if __name__ == "__main__":
    main()
