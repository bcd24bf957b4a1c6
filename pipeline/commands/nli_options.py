"""The options of `balto label` about NLI models: one table of names, defaults and help.

Only typer is imported here; `--help` must stay quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

PANEL = "NLI model (--verifier nli:MODEL)"


def _option(name: str, says: str) -> Any:
    return typer.Option(name, help=says, rich_help_panel=PANEL)


@dataclass(frozen=True)
class NliOptions:
    """What was given. Those that shape the rows have the same names in `LabelConfig`."""

    device: Annotated[str, _option("--device", "cpu, cuda, cuda:1, mps; default: a GPU if there is one.")] = ""
    batch_tokens: Annotated[
        int, _option("--batch-tokens", "Of one forward pass; 0: by the device; halved where memory is short.")
    ] = 0
    precision: Annotated[str, _option("--precision", "float32, bfloat16, auto: bfloat16 on a CUDA GPU.")] = "auto"
    evidence_windows: Annotated[
        int,
        _option(
            "--evidence-windows",
            "Texts of the model's length that are read per claim; a longer context is searched for evidence first.",
        ),
    ] = 2
    retriever: Annotated[
        str,
        _option("--retriever", "sentence-transformers model that helps to find evidence; default: shared words alone."),
    ] = ""
    nli_outputs: Annotated[
        str,
        _option(
            "--nli-outputs",
            "What the model's outputs mean, in order, such as unsupported,supported; default: as it says itself.",
        ),
    ] = ""
    refine_spans: Annotated[
        bool,
        _option(
            "--refine-spans/--whole-claims",
            "Label only the words that carry the error, found by leaving words out.",
        ),
    ] = True
