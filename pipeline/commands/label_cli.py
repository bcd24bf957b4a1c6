"""The commands label, project and copy: options -> config -> run -> a summary that adds up.

Only typer is imported here: Beam is loaded by the command that needs it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.llm_options import PANEL as LLM_PANEL
from pipeline.commands.llm_options import LlmOptions
from pipeline.commands.nli_options import PANEL as NLI_PANEL
from pipeline.commands.nli_options import NliOptions
from pipeline.commands.option_tables import filled, idle_options, own_options, shared_with, with_options_of
from pipeline.show.show_tables import counted, print_estimate, print_job, print_json, print_summary
from schemas.errors import BaltoError, ConfigError

Out = Annotated[Path, typer.Option("--out", help="Folder of the label set to write.", show_default=False)]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a label set that is already there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Workers = Annotated[
    int, typer.Option("--workers", min=0, max=256, help="Worker processes; 0: one per core, fewer for a small corpus.")
]
Tokenizer = Annotated[
    str,
    typer.Option("--tokenizer", help="tokenizer.json, a folder with one, a hub id, or `bytes` (one token per byte)."),
]
Fields = Annotated[
    str,
    typer.Option(
        "--fields",
        help="Which field is which: prompt=inputs.question,context=docs,response=reply.",
        show_default=False,
    ),
]

log = logging.getLogger(__name__)

PASS_THROUGH = {"ignore_unknown_options": True, "allow_extra_args": True}


@with_options_of(LlmOptions, NliOptions)
def label(
    context: typer.Context,
    corpus: Annotated[
        list[str], typer.Argument(metavar="CORPUS", help="Corpus files or patterns. Unknown options go to Beam.")
    ],
    out: Annotated[
        str, typer.Option("--out", help="Folder of the label set, here or in a bucket.", show_default=False)
    ],
    format: Annotated[
        str | None, typer.Option("--format", help="balto, ragtruth, factscore, confiqa, plain; default: detected.")
    ] = None,
    fields: Fields = "",
    labels: Annotated[
        str, typer.Option("--labels", help="claims: ask the engines; gold: take human spans.")
    ] = "claims",
    extractor: Annotated[str, typer.Option("--extractor", help="Who finds claims: rules, llm.")] = "rules",
    verifier: Annotated[str, typer.Option("--verifier", help="Who judges them: lexical, llm, nli:MODEL.")] = "lexical",
    tokenizer: Tokenizer = "bytes",
    conflicts: Annotated[
        str,
        typer.Option("--conflicts", help="Characters with both verdicts: neutral, unsupported_wins, supported_wins."),
    ] = "neutral",
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="P(supported) from which a claim is supported; default: the verifier's own."),
    ] = None,
    neutral_band: Annotated[
        str,
        typer.Option(
            "--neutral-band", help="P(supported) that labels no token: LOW:HIGH, none, auto: the verifier's own."
        ),
    ] = "auto",
    wording: Annotated[
        float,
        typer.Option(
            "--wording",
            help="A supported claim labels tokens if this share of its runs of three words stands in the context; "
            "0: all do. For answers of small models: 0.25.",
        ),
    ] = 0.0,
    certainty: Annotated[
        float | None,
        typer.Option(
            "--certainty",
            help="A supported claim labels tokens if the mean log-probability of its three least likely ones is as "
            "great; default: all do. For generated answers of small models: -2.5.",
        ),
    ] = None,
    num_shards: Annotated[
        int,
        typer.Option("--num-shards", min=0, help="Shards; 0: by the size of the corpus.", show_default=False),
    ] = 0,
    workers: Workers = 0,
    shards_per_run: Annotated[
        int, typer.Option("--shards-per-run", min=1, help="Shards per Beam run; more needs more memory.")
    ] = 1,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build and check the job of a --runner; read, ask and send nothing.")
    ] = False,
    as_json: AsJson = False,
    **given: Any,
) -> None:
    """Label a corpus: claims, verdicts and token labels, written as Parquet shards.

    An interrupted run is resumed by the same command. With --runner (a Beam option) the whole graph runs there.
    """
    from pipeline.config import LabelConfig
    from pipeline.corpora import corpus_size_bytes, fields_left_out, format_with_fields, open_corpus, printed_objects
    from pipeline.engines import Compute
    from pipeline.runs.beam_options import LOCAL_RUNNER, runner_of, split_beam_args
    from pipeline.runs.label import Resources, default_shards
    from pipeline.runs.start import beam_args_for, describe_job, start_label
    from pipeline.runs.summary import summary
    from pipeline.storage.whole_files import use_beam_options
    from schemas.tokens import BYTES

    if certainty is not None and tokenizer == BYTES:
        raise ConfigError("--certainty: log-probabilities belong to the policy's tokens; name its --tokenizer")
    llm, nli = filled(LlmOptions, given), filled(NliOptions, given)
    known_format = format_with_fields(format, fields)
    patterns, of_beam = split_beam_args(corpus, own_options(label))
    runner = runner_of(of_beam) or LOCAL_RUNNER
    beam_args = beam_args_for(runner, of_beam, patterns, out)
    use_beam_options(beam_args)
    files = [] if dry_run else open_corpus(patterns, known_format)
    config = LabelConfig(
        num_shards=num_shards or default_shards(corpus_size_bytes(files)),
        labels=labels,
        extractor=extractor,
        verifier=verifier,
        tokenizer=tokenizer,
        conflicts=conflicts,
        threshold=threshold,
        neutral_band=neutral_band,
        wording=wording,
        certainty=certainty,
        compute=Compute(nli.device, nli.batch_tokens),
        **shared_with(LabelConfig, given),
    )
    idle = () if config.uses_llm else idle_options(context, LLM_PANEL)
    idle = (*idle, *(() if config.nli else idle_options(context, NLI_PANEL)))
    if idle:
        log.warning("%s: without effect here; see `balto label --help` for the engine that takes it", ", ".join(idle))
    if llm.estimate:
        return _estimate(files, config, llm.prices, as_json)
    transport = llm.transport() if config.uses_llm else None
    if config.nli:
        config = config.prepared()
    if dry_run:
        job = describe_job(patterns, known_format, out, config, runner, beam_args, transport)
        return print_json(job) if as_json else print_job(job)
    resources = Resources(workers or (1 if config.on_gpu else _cores()), shards_per_run, beam_args)
    lost, printed = fields_left_out(files), printed_objects(files)
    manifest = start_label(files, out, config, resources, runner, overwrite, transport, llm.batch_api)
    if manifest is None:
        return typer.echo("the job is described; whoever starts it writes the label set", err=True)
    result = summary(manifest, out)
    result["warnings"] += [f"fields that are not kept: {lost}"] if lost else []
    result["warnings"] += [printed] if printed else []
    _finish(result, out, as_json)


def _estimate(files: list[Any], config: Any, prices: str, as_json: bool) -> None:
    """Print what labelling will ask for."""
    from pipeline.llm.prices import price_of
    from pipeline.runs.estimate import run_estimate

    price = price_of(config.model, prices)
    result = run_estimate(files, config, price.cost if price else None)
    print_json(result) if as_json else print_estimate(result)


def project(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Label set to project.")],
    tokenizer: Tokenizer,
    out: Out,
    workers: Workers = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Project a label set's spans onto another tokenizer. No engine is asked again.

    An interrupted run is resumed by the same command.
    """
    from pipeline.runs.project import run_project
    from pipeline.runs.summary import summary

    result = summary(run_project(labels, out, tokenizer, workers or _cores(), overwrite), out)
    _finish(result, out, as_json)


def _finish(result: dict[str, Any], out: str | Path, as_json: bool) -> None:
    """Print the summary; exit status 1 when not one record was labelled."""
    print_json(result) if as_json else print_summary(result, out)
    if not result["labelled"]:
        raise BaltoError(f"no record was labelled; {out}/rejected says why; then run it again with --overwrite")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def copy(
    labels: Annotated[
        str, typer.Argument(metavar="LABELS", help="Label set, here or in a bucket.", show_default=False)
    ],
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="Folder to copy it to, here or in a bucket.", show_default=False)
    ],
    overwrite: Overwrite = False,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", "--no_auth", help="Read a gs:// bucket that is open to everyone.")
    ] = False,
) -> None:
    """Copy a label set from or to a bucket; every file is compared with the manifest on the way.

    An interrupted copy goes on with the same command. A folder here is held against a second writer; a bucket is not.
    """
    from pipeline.runs.copy_labels import copy_labels
    from pipeline.runs.show_progress import show_progress
    from pipeline.storage.whole_files import use_beam_options

    use_beam_options(["--no_auth"] if no_auth else [])
    with show_progress("copying", None):
        manifest = copy_labels(labels, out, overwrite)
    held = f"{counted(len(manifest.shards), 'shard')}, {counted(manifest.counts['labelled'], 'response')}"
    typer.echo(f"label set: {out} ({held})")


def mount(app: typer.Typer) -> None:
    """Add these commands to the `balto` command."""
    app.command(context_settings=PASS_THROUGH, epilog="Example: balto label corpus.jsonl --out labels")(label)
    app.command(epilog="Example: balto project labels --tokenizer data/sample/tokenizer.json --out labels-bpe")(project)
    app.command(epilog="Example: balto copy gs://bucket/labels labels")(copy)
