"""Options of a command that stand in a table: a dataclass whose fields have a default and a `typer.Option`.

A command takes the fields of its tables as options of its own, in its `**` parameter, and gets the tables back filled.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

import typer

Command = TypeVar("Command", bound=Callable[..., Any])
Table = TypeVar("Table")


def with_options_of(*tables: type) -> Callable[[Command], Command]:
    """Decorate a command with a signature that has the fields of these tables in the place of its `**` parameter."""

    def extended(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        parameters = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        for table in tables:
            hints = get_type_hints(table, include_extras=True)
            parameters += [
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
                )
                for field in dataclasses.fields(table)
            ]
        vars(command)["__signature__"] = inspect.Signature(parameters)
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return extended


def filled(table: type[Table], given: Mapping[str, Any]) -> Table:
    """The table with what was given for its fields."""
    return table(**shared_with(table, given))


def shared_with(table: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options given that are fields of a dataclass."""
    return {field.name: given[field.name] for field in dataclasses.fields(table) if field.name in given}


def own_options(command: Callable[..., None]) -> list[str]:
    """The long options of a command."""
    hints = get_type_hints(command, include_extras=True)
    given = {name: info for name, hint in hints.items() for info in getattr(hint, "__metadata__", ())}
    names = [info.param_decls or (f"--{name.replace('_', '-')}",) for name, info in given.items()]
    return [part for one in names for option in one for part in option.split("/") if part.startswith("--")]


def idle_options(context: typer.Context, panel: str) -> tuple[str, ...]:
    """The options of a panel of the help that were given on the command line."""
    sources = {one: context.get_parameter_source(one.name or "") for one in context.command.params}
    given = [one for one, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return tuple(max(one.opts, key=len) for one in given if getattr(one, "rich_help_panel", None) == panel)
