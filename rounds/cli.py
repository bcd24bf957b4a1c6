"""The commands generate and round. Torch, Beam and Polars are loaded by the command that needs them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.option_tables import shared_with, with_options_of

Prompts = Annotated[
    list[str], typer.Argument(help="Corpus files or patterns in any known format; one prompt per prompt group.")
]
Model = Annotated[str, typer.Option("--model", help="Model folder or hub id (safetensors only).", show_default=False)]
Format = Annotated[str | None, typer.Option("--format", help="Format of the prompts; default: detected.")]
Fields = Annotated[
    str, typer.Option("--fields", help="Which field is which: prompt=question,context=docs.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", help="Of all random choices.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@dataclass(frozen=True)
class GenerateOptions:
    """How `balto generate` samples; what of it is not its own goes into SamplingParams and GenerationConfig by name."""

    samples: Annotated[int, typer.Option("--samples", min=1, help="Responses per prompt.")] = 8
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Per response.")] = 512
    temperature: Annotated[
        float, typer.Option("--temperature", help="0 takes the likeliest token; for --samples 1.")
    ] = 1.0
    top_p: Annotated[float, typer.Option("--top-p", help="Nucleus mass.")] = 1.0
    seed: Seed = 0
    first_sample: Annotated[int, typer.Option("--first-sample", min=0, help="Number of the first response.")] = 0
    stop: Annotated[list[str] | None, typer.Option("--stop", help="Further tokens that end a response.")] = None
    policy: Annotated[
        str | None, typer.Option("--policy", help="Name that the responses carry; default: the model's.")
    ] = None
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Tokenizer folder or hub id; default: the model's own.")
    ] = None
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Ask this OpenAI-compatible endpoint instead of loading the model.")
    ] = None
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", help="Environment variable (or gcp-secret:... reference) with its key.")
    ] = "OPENAI_API_KEY"
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Calls to the endpoint at once.")] = 16
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first prompts.")] = None
    drop_passages: Annotated[
        float, typer.Option("--drop-passages", help="Probability that a passage is left out of a context.")
    ] = 0.0
    swap_passages: Annotated[
        float, typer.Option("--swap-passages", help="Probability that a foreign passage takes its place.")
    ] = 0.0
    max_cached_tokens: Annotated[
        int, typer.Option("--max-cached-tokens", min=1, help="Tokens held in the key-value cache at once.")
    ] = 200_000
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto"
    precision: Annotated[str, typer.Option("--precision", help="auto (bfloat16 on a GPU), float32, bfloat16.")] = "auto"
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a corpus that is already there.")] = False
    as_json: AsJson = False


@with_options_of(GenerateOptions)
def generate(
    prompts: Prompts,
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Corpus file to write (JSONL).", show_default=False)],
    format: Format = None,
    fields: Fields = "",
    **options: Any,
) -> None:
    """Sample responses of a model to the prompts of a corpus, with token ids and log-probabilities.

    An interrupted run is resumed by the same command. Log-probabilities are those of temperature 1.
    """
    from transformers.utils import logging as transformers_logging

    from pipeline.corpora import format_with_fields
    from rounds.generate_corpus import GenerationConfig, run_generate
    from rounds.show import print_generated
    from trainer.generation.sampling import SamplingParams

    transformers_logging.disable_progress_bar()
    named = {**shared_with(GenerationConfig, options), "stop": tuple(options["stop"] or ())}
    config = GenerationConfig(
        prompts=tuple(prompts),
        model=model,
        format=format_with_fields(format, fields),
        sampling=SamplingParams(options["samples"], **shared_with(SamplingParams, options)),
        **named,
    )
    summary = run_generate(config, out, options["overwrite"])
    print_generated(dataclasses.asdict(summary), out, options["as_json"])


def round_(
    prompts: Prompts,
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Folder of the whole loop, new or to be resumed.")],
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds; each starts from the last one's model.")] = 1,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of prompt groups that are only scored, never trained on.")
    ] = 0.2,
    format: Format = None,
    fields: Fields = "",
    seed: Seed = 0,
    generate: Annotated[str, typer.Option("--generate", help="Options of `balto generate`, as one string.")] = "",
    label: Annotated[str, typer.Option("--label", help="Options of `balto label`, as one string.")] = "",
    train: Annotated[str, typer.Option("--train", help="Options of `balto train`, as one string.")] = "",
    as_json: AsJson = False,
) -> None:
    """Generate, label, train, generate again, label and score: the whole loop, every stage resumable.

    Stages are ordinary `balto` commands, printed as they start; what they write can be read by all the others.
    """
    from pipeline.corpora import format_with_fields
    from rounds.round import RoundConfig, run_round
    from rounds.show import print_round

    config = RoundConfig(
        prompts=tuple(prompts),
        model=model,
        rounds=rounds,
        held_out=held_out,
        format=format_with_fields(format, fields),
        seed=seed,
        generate=generate,
        label=label,
        train=train,
    )
    print_round(run_round(config, out), out, as_json)


def mount(app: Any) -> None:
    """Add these commands to the `balto` command."""
    example = "Example: balto generate prompts.jsonl --model MODEL --out corpus.jsonl --samples 8"
    app.command(epilog=example)(generate)
    example = "Example: balto round prompts.jsonl --model MODEL --out DIR --train '--lora-rank 16'"
    app.command(name="round", epilog=example)(round_)
