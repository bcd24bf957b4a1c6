"""The commands label and project: options -> config -> run -> a summary that adds up.

Only typer is imported here: Beam is loaded by the command that needs it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from pipeline import llm_options as llm
from pipeline import nli_options as nli
from pipeline.show_tables import counted, print_estimate, print_job, print_json, print_summary
from schemas.errors import BaltoError

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

log = logging.getLogger(__name__)

PASS_THROUGH = {"ignore_unknown_options": True, "allow_extra_args": True}


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
    model: llm.Model = "",
    base_url: llm.BaseUrl = llm.OPENAI,
    api_key_env: llm.ApiKeyEnv = "OPENAI_API_KEY",
    claims_per_call: llm.ClaimsPerCall = 8,
    context_window: llm.ContextWindow = 32_768,
    canaries: llm.Canaries = 0.02,
    concurrency: llm.Concurrency = 64,
    requests_per_minute: llm.RequestsPerMinute = 0,
    tokens_per_minute: llm.TokensPerMinute = 0,
    max_requests: llm.MaxRequests = 0,
    max_cost: llm.MaxCost = 0,
    cache: llm.Cache = "",
    cache_required: llm.CacheRequired = False,
    cache_password_env: llm.CachePasswordEnv = "BALTO_REDIS_PASSWORD",  # noqa: S107  # the name of a variable
    request_timeout_s: llm.RequestTimeout = 120,
    answer_form: llm.AnswerForm = "",
    request_options: llm.RequestOptions = "",
    thinking_tokens: llm.ThinkingTokens = None,
    prices: llm.Prices = "",
    batch_api: llm.BatchApi = False,
    estimate: llm.Estimate = False,
    device: nli.Device = "",
    batch_tokens: nli.BatchTokens = 0,
    precision: nli.Precision = "auto",
    evidence_windows: nli.EvidenceWindows = 2,
    retriever: nli.Retriever = "",
    nli_outputs: nli.NliOutputs = "",
    refine_spans: nli.RefineSpans = True,
) -> None:
    """Label a corpus: claims, verdicts and token labels, written as Parquet shards.

    An interrupted run is resumed by the same command. With --runner (a Beam option) the whole graph runs there.
    """
    from pipeline.config import LabelConfig
    from pipeline.corpora import corpus_size_bytes, open_corpus
    from pipeline.engines import Compute
    from pipeline.runs.beam_options import LOCAL_RUNNER, runner_of, split_beam_args
    from pipeline.runs.label import Resources, default_shards
    from pipeline.runs.start import beam_args_for, describe_job, start_label
    from pipeline.runs.summary import summary
    from pipeline.storage import use_beam_options

    patterns, given = split_beam_args(corpus, own_options(label))
    runner = runner_of(given) or LOCAL_RUNNER
    beam_args = beam_args_for(runner, given, patterns, out)
    use_beam_options(beam_args)
    files = [] if dry_run else open_corpus(patterns, format)
    config = LabelConfig(
        num_shards=num_shards or default_shards(corpus_size_bytes(files)),
        labels=labels,
        extractor=extractor,
        verifier=verifier,
        tokenizer=tokenizer,
        conflicts=conflicts,
        threshold=threshold,
        neutral_band=neutral_band,
        model=model,
        claims_per_call=claims_per_call,
        context_window=context_window,
        canaries=canaries,
        request_options=request_options,
        nli_outputs=nli_outputs,
        evidence_windows=evidence_windows,
        retriever=retriever,
        precision=precision,
        refine_spans=refine_spans,
        compute=Compute(device, batch_tokens),
    )
    idle = () if config.uses_llm else idle_options(context, llm.PANEL)
    idle = (*idle, *(() if config.nli else idle_options(context, nli.PANEL)))
    if idle:
        log.warning("%s: without effect here; see `balto label --help` for the engine that takes it", ", ".join(idle))
    if estimate:
        return _estimate(files, config, prices, as_json)
    transport = None
    if config.uses_llm:
        transport = llm.transport_of(
            model=model,
            base_url=base_url,
            api_key_env=api_key_env,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            max_requests=max_requests,
            max_cost=max_cost,
            cache=cache,
            cache_required=cache_required,
            cache_password_env=cache_password_env,
            request_timeout_s=request_timeout_s,
            answer_form=answer_form,
            request_options=request_options,
            thinking_tokens=thinking_tokens,
            prices=prices,
        )
    if config.nli:
        config = config.prepared()
    if dry_run:
        job = describe_job(patterns, format, out, config, runner, beam_args, transport)
        return print_json(job) if as_json else print_job(job)
    resources = Resources(workers or (1 if config.on_gpu else _cores()), shards_per_run, beam_args)
    manifest = start_label(files, out, config, resources, runner, overwrite, transport, batch_api)
    if manifest is None:
        return typer.echo("the job is described; whoever starts it writes the label set", err=True)
    _finish(summary(manifest, out), out, as_json)


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
) -> None:
    """Copy a label set from or to a bucket; every file is compared with the manifest on the way.

    An interrupted copy goes on with the same command. A folder here is held against a second writer; a bucket is not.
    """
    from pipeline.copy_labels import copy_labels
    from pipeline.runs.show_progress import show_progress

    with show_progress("copying", None):
        manifest = copy_labels(labels, out, overwrite)
    held = f"{counted(len(manifest.shards), 'shard')}, {counted(manifest.counts['labelled'], 'response')}"
    typer.echo(f"label set: {out} ({held})")


def mount(app: typer.Typer) -> None:
    """Add this package's commands to the `balto` command."""
    app.command(context_settings=PASS_THROUGH, epilog="Example: balto label corpus.jsonl --out labels")(label)
    app.command(epilog="Example: balto project labels --tokenizer data/sample/tokenizer.json --out labels-bpe")(project)
    app.command(epilog="Example: balto copy gs://bucket/labels labels")(copy)
