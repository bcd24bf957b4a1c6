"""The command train-verifier. Only typer is imported here; `--help` must stay quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.show.show_tables import counted, print_json


def train_verifier(
    labels: Annotated[
        list[Path], typer.Argument(metavar="LABELS", help="Label sets to learn from: of an engine, or of human spans.")
    ],
    base: Annotated[str, typer.Option("--base", help="Encoder: a folder or hub id.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Folder of the verifier to write.", show_default=False)],
    kind: Annotated[
        str, typer.Option("--kind", help="both, claims (evidence, claim), tokens (context, response).")
    ] = "both",
    epochs: Annotated[float, typer.Option("--epochs", help="Passes over the training groups.")] = 3.0,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", help="At its peak; linear warm-up and decay.")
    ] = 5e-5,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Pairs per step.")] = 16,
    window: Annotated[int, typer.Option("--window", help="Tokens of a pair, at most what the encoder takes.")] = 512,
    held_out: Annotated[float, typer.Option("--held-out", help="Share of prompt groups that calibrates.")] = 0.2,
    corruptions: Annotated[
        float, typer.Option("--corruptions", help="Made-up wrong claims per supported one: a fact changed.")
    ] = 0.3,
    unsupported_weight: Annotated[
        float, typer.Option("--unsupported-weight", help="Weight of an unsupported claim or token in the loss.")
    ] = 2.0,
    max_responses: Annotated[
        int, typer.Option("--max-responses", help="Responses to read at most, whole prompt groups.")
    ] = 50_000,
    frozen_layers: Annotated[
        int,
        typer.Option("--frozen-layers", help="Lowest layers of the encoder, with its embeddings, left as they are."),
    ] = 0,
    precision: Annotated[
        str, typer.Option("--precision", help="float32, bfloat16, auto: bfloat16 on a CUDA GPU.")
    ] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Of all random choices.")] = 0,
    device: Annotated[
        str, typer.Option("--device", help="cpu, cuda, cuda:1, mps; default: a GPU if there is one.")
    ] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a verifier that is already there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Train a verifier on stored labels; use it with `balto label --verifier nli:OUT`.

    A corpus labelled once by an expensive model, or by people, so gives a cheap verifier for the next.
    """
    from pipeline.engines.nli.training.options import TrainOptions
    from pipeline.engines.nli.training.train_verifier import train_verifier as train

    options = TrainOptions(
        base=base,
        kind=kind,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        window=window,
        held_out=held_out,
        corruptions=corruptions,
        unsupported_weight=unsupported_weight,
        max_responses=max_responses,
        frozen_layers=frozen_layers,
        precision=precision,
        seed=seed,
        device=device,
    )
    notes = train(labels, out, options, overwrite)
    print_json(notes) if as_json else _print(notes, out)


def _print(notes: dict[str, Any], out: Path) -> None:
    """What was trained, and what it is worth on groups that neither training nor calibration saw."""
    typer.echo(
        f"{out}: trained on {counted(notes['responses'], 'response')}, "
        f"calibrated on {notes['held_out_responses']:,} to other prompts"
    )
    measured = notes["held_out"]
    if measured and measured["unsupported"] in (0, measured["claims"]):
        kind = "unsupported" if measured["unsupported"] == 0 else "supported"
        typer.echo(
            f"held-out claims {measured['claims']}, none of them {kind}: what it is worth is not known; label more"
        )
    elif measured:
        typer.echo(f"held-out claims {measured['claims']}, of them unsupported {measured['unsupported']}:")
        typer.echo(f"  this verifier          {_figures(measured)}")
        alone = notes["held_out_lexical"]
        if alone:
            typer.echo(f"  `lexical` alone        {_figures(alone)}  (needs no model; calibrated on the same claims)")
        if alone and measured["f1"] <= alone["f1"]:
            typer.echo("it finds no more than `lexical` alone here: label more responses before you use it")
    typer.echo(f"use it: balto label CORPUS --verifier nli:{out}")


def _figures(measured: dict[str, Any]) -> str:
    return (
        f"F1 {measured['f1']:.2f}, precision {measured['precision']:.2f}, recall {measured['recall']:.2f}, "
        f"balanced accuracy {measured['balanced_accuracy']:.2f}, calibration error {measured['calibration_error']:.3f}"
    )


def mount(app: typer.Typer) -> None:
    """Add this command to the `balto` command."""
    app.command(epilog="Example: balto train-verifier labels --base microsoft/deberta-v3-base --out V")(train_verifier)
