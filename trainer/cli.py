"""The command train: options -> config -> run -> a summary. Its options are the fields of TrainConfig.

Only typer is imported here: torch and transformers are loaded when the command runs.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import signal
import sys
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from schemas.errors import ConfigError
from trainer.config import TrainConfig, flag, make_config


def train(config: Path | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Train a model on label sets: probability moves from unsupported tokens to supported ones.

    The same command resumes a run that was interrupted. Options can stand in a YAML file (--config); those given on the
    command line win. On several GPUs: torchrun --nproc-per-node N -m balto train ...
    """
    if dry_run and as_json:
        raise ConfigError("--json with --dry-run: what a dry run shows is for people; leave one of them out")
    resolved = make_config(options, config)
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    if dry_run:
        from trainer.dry_run import dry_run as show

        show(resolved)
        return
    from trainer.summary import print_summary
    from trainer.train import train as run

    summary = run(resolved)
    if int(os.environ.get("RANK", "0")) == 0:
        print_summary(summary, as_json)
    if summary["stopped"]:
        number = signal.SIGINT if summary["stopped"] == signal.SIGINT.name else signal.SIGTERM
        raise typer.Exit(128 + number)  # as shells report a process that the signal ended


def mount(app: typer.Typer) -> None:
    """Add this package's commands to the `balto` command."""
    app.command(epilog="Example: balto train labels --model MODEL --out run --lora-rank 16 --held-out 0.05")(
        _with_options_of(TrainConfig, train)
    )


def end_process(code: int) -> NoReturn:
    """Exit with `code`; one of several ranks without the interpreter's own end.

    torch's caches of sharded tensors keep a process group for ever, and with it gloo's threads. One that lets go of a
    tensor while the interpreter is taken down ends the process with SIGABRT (pytorch/pytorch#190489), and torchrun
    calls a run failed that has finished.
    """
    if "trainer.distributed" in sys.modules and os.environ.get("WORLD_SIZE", "1") != "1":
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    sys.exit(code)


def _with_options_of(config: type, command: Any) -> Any:
    """The command with a signature in which every field of a config dataclass is an option of the same name.

    Not given is None, so that a value from --config is told from one on the command line.
    """
    hints = typing.get_type_hints(config)
    parameters = [
        _parameter(field, hints[field.name])
        for field in sorted(dataclasses.fields(config), key=lambda field: field.name != "labels")
    ]
    parameters += [
        inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_CONFIG),
        inspect.Parameter("dry_run", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_DRY_RUN),
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_AS_JSON),
    ]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


_CONFIG: Final = Annotated[Path | None, typer.Option("--config", help="YAML file of options.", show_default=False)]
_DRY_RUN: Final = Annotated[
    bool, typer.Option("--dry-run", help="Show the first groups, what a run would cost, and what looks wrong.")
]
_AS_JSON: Final = Annotated[bool, typer.Option("--json", help="Print the summary as JSON for programs.")]


def _parameter(field: Any, hint: Any) -> inspect.Parameter:
    text = field.metadata["help"]
    if field.name == "labels":
        annotation: Any = Annotated[list[str] | None, typer.Argument(help=text, show_default=False)]
        return inspect.Parameter("labels", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    kind = hint
    if isinstance(hint, types.UnionType):
        kind = next(one for one in typing.get_args(hint) if one is not types.NoneType)
    if field.default not in (None, "") and kind is not bool:
        text = f"{text} Default: {field.default}."
    names = (f"{flag(field.name)}/--no-{flag(field.name)[2:]}",) if kind is bool else (flag(field.name),)
    annotated: Any = Annotated[kind | None, typer.Option(*names, help=text, show_default=False)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotated)
