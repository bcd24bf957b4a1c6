"""The options of `balto label` about NLI models: their names and help. Only typer is imported; `--help` stays quick."""

from __future__ import annotations

from typing import Annotated

import typer

PANEL = "NLI model (--verifier nli:MODEL)"

Device = Annotated[
    str,
    typer.Option("--device", help="cpu, cuda, cuda:1, mps; default: a GPU if there is one.", rich_help_panel=PANEL),
]
BatchTokens = Annotated[
    int,
    typer.Option(
        "--batch-tokens",
        help="Of one forward pass; 0: by the device; halved where memory is short.",
        rich_help_panel=PANEL,
    ),
]
Precision = Annotated[
    str,
    typer.Option("--precision", help="float32, bfloat16, auto: bfloat16 on a CUDA GPU.", rich_help_panel=PANEL),
]
EvidenceWindows = Annotated[
    int,
    typer.Option(
        "--evidence-windows",
        help="Texts of the model's length that are read per claim; a longer context is searched for evidence first.",
        rich_help_panel=PANEL,
    ),
]
Retriever = Annotated[
    str,
    typer.Option(
        "--retriever",
        help="sentence-transformers model that helps to find evidence; default: shared words alone.",
        rich_help_panel=PANEL,
    ),
]
NliOutputs = Annotated[
    str,
    typer.Option(
        "--nli-outputs",
        help="What the model's outputs mean, in order, such as unsupported,supported; default: as it says itself.",
        rich_help_panel=PANEL,
    ),
]
RefineSpans = Annotated[
    bool,
    typer.Option(
        "--refine-spans/--whole-claims",
        help="Label only the words that carry the error, found by leaving words out.",
        rich_help_panel=PANEL,
    ),
]
