"""Which words of the command line belong to Beam."""

from __future__ import annotations

import argparse
import difflib
import socket
from collections.abc import Sequence

from schemas.errors import ConfigError

SERVICE_TIMEOUT_S = 10.0
LOCAL_RUNNER = "FnApiRunner"  # DirectRunner would first look for a Go binary on the network


def split_beam_args(words: Sequence[str], own: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """(corpus patterns, Beam options) of the words that are no option of ours.

    own: our options, of which an unknown word may be a misspelling.
    Beam's own parsers decide which options exist and which take a value. Raises ConfigError for an unknown option.
    """
    if not any(word.startswith("-") for word in words):
        return list(words), []
    parser = _beam_parser()
    rest = parser.parse_known_args(list(words))[1]
    unknown = next((word for word in rest if word.startswith("-")), None)
    if unknown is not None:
        known = [*(option.replace("-", "_") for option in own), *_in_underscores(parser)]
        near = difflib.get_close_matches(unknown.partition("=")[0].replace("-", "_"), known, n=1)
        meant = next((option for option in own if near and option.replace("-", "_") == near[0]), None)
        what = f"did you mean {meant or near[0].replace('__', '--', 1)}?" if near else "see `balto label --help`"
        raise ConfigError(f"{unknown}: neither an option of `balto label` nor one of Beam's; {what}")
    beam_args, left = [], list(rest)
    for word in words:
        if left and word == left[0]:
            left.pop(0)
        else:
            beam_args.append(word)
    return rest, beam_args


def _in_underscores(parser: argparse.ArgumentParser) -> list[str]:
    return [name.replace("-", "_") for name in parser._option_string_actions]


def runner_of(beam_args: Sequence[str]) -> str | None:
    """The value of --runner among Beam options, or None."""
    return _value_of("--runner", beam_args)


def refuse_silent_service(beam_args: Sequence[str]) -> None:
    """Raise ConfigError when nobody listens at --job_endpoint: Beam would wait there for minutes."""
    endpoint = _value_of("--job_endpoint", beam_args)
    host, _, port = (endpoint or "").rpartition(":")
    if not endpoint or endpoint == "embed":
        return
    if not host or not port.isdigit():
        raise ConfigError(f"--job_endpoint {endpoint}: must be HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SERVICE_TIMEOUT_S).close()
    except (OSError, OverflowError) as err:
        raise ConfigError(f"--job_endpoint {endpoint}: no job service answers there ({err}); start it first") from err


def _value_of(option: str, beam_args: Sequence[str]) -> str | None:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(option, dest="value")
    return parser.parse_known_args(list(beam_args))[0].value


def _beam_parser() -> argparse.ArgumentParser:
    from apache_beam.options.pipeline_options import PipelineOptions

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> None:  # type: ignore[override]
            raise ConfigError(f"Beam option: {message}")

    parser = Parser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)  # type: ignore[arg-type]
    return parser
