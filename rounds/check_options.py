"""Whether a round's commands take their options: asked before the first of them runs, the last hours later."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from rounds.run_stage import Stage
from schemas.errors import ConfigError

UsageError: Any = typer.BadParameter.__mro__[1]  # of the click that typer brings


def check_options(stages: Iterable[Stage]) -> None:
    """Raise ConfigError for an option that a command does not have, or for a value that it cannot work with.

    What only shows in work (a server that is not there, labels that do not train) the command itself tells.
    """
    from balto import app

    commands: Any = typer.main.get_command(app)
    first = {stage.arguments[0]: stage.arguments[1:] for stage in stages}
    for name, arguments in first.items():
        command = commands.commands[name]
        try:
            with command.make_context(name, list(arguments), parent=typer.Context(commands)) as context:
                _check_values(name, context.params)
        except UsageError as err:
            raise ConfigError(f"--{name}: {err.format_message()}") from err
        except ConfigError as err:
            raise ConfigError(f"--{name}: {err}") from err


def _check_values(name: str, values: Mapping[str, Any]) -> None:
    """Raise ConfigError where a command's own configuration does."""
    if name == "generate":
        from pipeline.commands.option_tables import shared_with
        from rounds.ablate_context import Ablation
        from trainer.generation.sampling import SamplingParams

        SamplingParams(values["samples"], **shared_with(SamplingParams, values))
        Ablation(values["drop_passages"], values["swap_passages"])
    if name == "train":
        from trainer.config import TrainConfig, make_config

        fields = {field.name for field in dataclasses.fields(TrainConfig)}
        make_config({key: value for key, value in values.items() if key in fields}, values["config"])
    if name == "label":
        from pipeline.commands.label_cli import label
        from pipeline.commands.option_tables import own_options
        from pipeline.config import LabelConfig
        from pipeline.runs.beam_options import split_beam_args

        split_beam_args(values["corpus"], own_options(label))
        # the tokenizer is that of a model which may not be there yet
        fields = {field.name for field in dataclasses.fields(LabelConfig)} - {"tokenizer", "compute"}
        given = {key: value for key, value in values.items() if key in fields}
        LabelConfig(**{**given, "num_shards": values["num_shards"] or 1}).prepared()
