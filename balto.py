"""The `balto` command: label, look, retrain. Sub-commands load what they need when they are called."""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pipeline.commands import label_cli, look_cli, read_cli, verifier_cli
from pipeline.runs.logs import configure_logging
from rounds import cli as rounds_cli
from schemas.errors import BaltoError
from schemas.interruption import Heard, Output, end_with, listening
from trainer import cli as trainer_cli

# Which extra brings a package that a command needs.
EXTRAS = {
    "apache_beam": "pipeline",
    "polars": "pipeline",
    "orjson": "pipeline",
    "aiohttp": "llm",
    "httpx2": "llm",
    "openai": "llm",
    "redis": "llm",
    "regex": "pipeline",
    "jinja2": "pipeline",
    "matplotlib": "pipeline",
    "peft": "trainer",
    "safetensors": "trainer",
    "sentence_transformers": "nli",
    "datasets": "nli",
    "torch": "trainer",
    "transformers": "trainer",
    "yaml": "trainer",
}

# Typer brings its own copy of click; these are its classes, reached through the one that typer exports.
UsageError: Any = typer.BadParameter.__mro__[1]
ClickError: Any = typer.BadParameter.__mro__[2]

# These begin from the start when they are called again; all others go on where they stopped.
BEGIN_ANEW = frozenset(("stats", "score", "show", "report", "train-verifier"))
INTERRUPTED = 128 + signal.SIGINT  # as shells expect; typer returns it too
READER_GONE = 128 + signal.SIGPIPE  # `balto show | head`: as of any program that writes into a pipe

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"balto {version('balto')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)]


@app.callback()
def balto(version: Version = False) -> None:
    """Stop language models from inventing, token by token: label responses claim by claim, look, retrain."""


for room in (label_cli, read_cli, look_cli, verifier_cli, trainer_cli, rounds_cli):  # in the order of the help
    room.mount(app)


def main() -> None:
    """Run the command. Exit status: 0 done, 1 failed, 2 usage; errors are one line on standard error."""
    _open_closed_streams()
    configure_logging()
    with listening() as heard:
        code = _run_for_a_reader()
        code = _say_interrupted(heard) if code == INTERRUPTED else code
        end_with(code)
    trainer_cli.end_process(code)


def _say_interrupted(heard: Heard) -> int:
    """SIGTERM ends a run as Ctrl-C does, with its workers and its line; for a stage of a round the round says it."""
    terminated = signal.SIGTERM in heard.numbers
    code = 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    if multiprocessing.parent_process() is not None:
        return code
    again = "begins anew" if BEGIN_ANEW.intersection(sys.argv[1:2]) else "resumes"
    then = "the output is complete" if heard.output is Output.COMPLETE else f"the same command {again}"
    return _fail(f"{'terminated' if terminated else 'interrupted'}; {then}", code)


def _run_for_a_reader() -> int:
    """The command, which nothing complains of when nobody reads its output any more."""
    code, output = READER_GONE, [os.dup(number) for number in (1, 2)]  # rich lets go of a pipe that broke
    try:
        code = _run()
        sys.stdout.flush()
    except SystemExit as err:
        if not isinstance(err.__context__, BrokenPipeError):  # so typer and rich end at a broken pipe
            raise
        return READER_GONE if _is_reader_gone(output) else _fail_by(err.__context__)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's end would say so
        return code or READER_GONE
    return code


def _is_reader_gone(output: Sequence[int]) -> bool:
    """Whether a pipe that broke is that of the output: those of workers and servers break, too."""
    watch = select.poll()
    for number in output:
        watch.register(number, 0)  # a broken pipe is told unasked
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))


def _open_closed_streams() -> None:
    """What the caller closed (`>&-`) leads nowhere, instead of to the next file that is opened."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115  # it takes the lowest free number, the stream's


def _run() -> int:
    try:
        return int(typer.main.get_command(app).main(prog_name="balto", standalone_mode=False) or 0)
    except ClickError as err:
        if not err.format_message():  # no arguments at all: the help was printed
            return err.exit_code
        context = getattr(err, "ctx", None)
        where = f" (see `{context.command_path} --help`)" if isinstance(err, UsageError) and context else ""
        return _fail(f"{err.format_message()}{where}", err.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BaltoError as err:
        return _fail(str(err), err.exit_code)
    except ModuleNotFoundError as err:
        package = (err.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        return _fail(f"this command needs {package}: pip install '.[{EXTRAS[package]}]' in the checkout of balto", 1)
    except OSError as err:
        return _fail_by(err)
    except Exception as err:
        logging.getLogger("pipeline").debug("unexpected error", exc_info=True)
        return _fail(f"unexpected {type(err).__name__}: {err} (BALTO_LOG=debug shows where; please report it)", 1)


def _fail_by(err: OSError) -> int:
    what = f"{err.filename}: {err.strerror}" if err.filename else str(err)
    again = "begins anew" if BEGIN_ANEW.intersection(sys.argv[1:2]) else "goes on where it stopped"
    return _fail(f"{what}; once that is mended, the same command {again}", 1)


def _fail(message: str, code: int) -> int:
    shown = "".join(char if char.isprintable() else " " for char in message)
    sys.stderr.write(f"balto: {shown}\n")
    return code


if __name__ == "__main__":
    main()
