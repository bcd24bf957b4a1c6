"""Options of a command that stand in a dataclass."""

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.testing import CliRunner

from pipeline.commands.label_cli import label
from pipeline.commands.option_tables import filled, own_options, shared_with, with_options_of
from pipeline.config import LabelConfig


@dataclass(frozen=True)
class Colours:
    ink: Annotated[str, typer.Option("--ink", help="Of the text.")] = "black"
    shade: Annotated[int, typer.Option("--shade", min=0)] = 3


@with_options_of(Colours)
def draw(name: Annotated[str, typer.Argument()], big: Annotated[bool, typer.Option("--big")] = False, **given: Any):
    typer.echo((name, big, filled(Colours, given)))


def test_the_fields_of_a_table_are_options_of_the_command():
    app = typer.Typer()
    app.command()(draw)
    done = CliRunner().invoke(app, ["cat", "--shade", "5"])
    assert done.output == f"{('cat', False, Colours(shade=5))}\n"
    assert CliRunner().invoke(app, ["cat", "--shade", "-1"]).exit_code == 2
    assert {"--big", "--ink", "--shade"} <= set(own_options(draw))


def test_what_a_dataclass_shares_with_the_options_is_told_by_name():
    assert shared_with(Colours, {"ink": "red", "paper": "blue"}) == {"ink": "red"}


def test_every_option_that_the_config_and_the_command_share_has_one_default():
    of_command = {name: one.default for name, one in inspect.signature(label).parameters.items()}
    of_config = {field.name: field.default for field in dataclasses.fields(LabelConfig)}
    for name in of_config.keys() & of_command.keys() - {"num_shards"}:
        assert of_command[name] == of_config[name], name
