"""Whether a round's commands take their options: asked before the first of them runs, the last hours later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from rounds.run_stage import Stage
from schemas.errors import ConfigError

UsageError: Any = typer.BadParameter.__mro__[1]  # of the click that typer brings


def check_options(stages: Iterable[Stage]) -> None:
    """Raise ConfigError for an option that a command does not have, or for a value that it cannot read.

    Whether a command can work with what it is told only the command knows: this reads its words.
    """
    from balto import app

    commands: Any = typer.main.get_command(app)
    first = {stage.arguments[0]: stage.arguments[1:] for stage in stages}
    for name, arguments in first.items():
        command = commands.commands[name]
        try:
            with command.make_context(name, list(arguments), parent=typer.Context(commands)):
                pass
        except UsageError as err:
            raise ConfigError(f"--{name}: {err.format_message()}") from err
