"""`balto generate`: the prompts of any corpus, a model, a corpus of its responses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.corpora import open_corpus
from pipeline.runs.label import file_identity
from rounds.ablate_context import Ablation, ablate_contexts
from rounds.read_prompts import read_prompts
from schemas.errors import BaltoError, ConfigError, one_line
from schemas.records import Rejected, Sample
from schemas.tokens import load_tokenizer as load_response_tokenizer
from trainer.generation.generate import GenerationSummary, Policy, generate_corpus
from trainer.generation.local_policy import LocalPolicy
from trainer.generation.sampling import SamplingParams

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class GenerationConfig:
    """What `balto generate` was asked to do; the options' help says what each field means."""

    prompts: tuple[str, ...]
    model: str
    sampling: SamplingParams
    format: str | None = None
    tokenizer: str | None = None
    policy: str | None = None
    stop: tuple[str, ...] = ()
    limit: int | None = None
    drop_passages: float = 0.0
    swap_passages: float = 0.0
    max_cached_tokens: int = 200_000
    device: str = "auto"
    precision: str = "auto"
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 16

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"--precision {self.precision}: must be one of {', '.join(PRECISIONS)}")
        Ablation(self.drop_passages, self.swap_passages)


def run_generate(config: GenerationConfig, out: Path, overwrite: bool = False) -> GenerationSummary:
    """Write the corpus `out`. Resumes an interrupted run of the same command. Raises ConfigError before it samples,
    and BaltoError when no prompt could be answered.
    """
    files = open_corpus(config.prompts, config.format)  # wrong paths are told before a model is loaded
    if any(Path(file.path).resolve() == out.resolve() for file in files):
        raise ConfigError(f"--out {out}: the prompts are read from there; name another file")
    run = {
        "model": config.model,
        "policy": config.policy,
        "inputs": [file_identity(file) for file in files],
        "limit": config.limit,
        "drop_passages": config.drop_passages,
        "swap_passages": config.swap_passages,
    }
    if config.format:
        run["format"] = config.format
    policy, weights = _remote_policy(config) if config.base_url else _local_policy(config)
    refused: list[Rejected] = []
    run |= {"weights": weights}
    summary = generate_corpus(_prompts(config, refused), policy, out, run, refused, overwrite)
    if refused and not summary.generated:
        out.unlink()  # an empty corpus would only fail later, further from its cause
        raise BaltoError(
            f"{out}: none of {summary.prompts} prompts could be answered; the first: {refused[0].reason} "
            f"(all reasons: {out}.rejected.jsonl)"
        )
    return summary


def _local_policy(config: GenerationConfig) -> tuple[Policy, str]:
    """(the model on this machine, fingerprint of its weights)."""
    from trainer.policy import load_causal_lm, load_tokenizer, weights_fingerprint

    device = choose_device(config.device)
    wants_bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda")
    model: Any = load_causal_lm(config.model, dtype=torch.bfloat16 if wants_bfloat16 else torch.float32)
    fingerprint = weights_fingerprint(model)
    tokenizer = load_tokenizer(config.tokenizer or config.model)
    name = config.policy or Path(config.model).name
    model = model.to(device)
    policy = LocalPolicy(model, tokenizer, name, config.sampling, config.stop, config.max_cached_tokens)
    return policy, fingerprint


def _remote_policy(config: GenerationConfig) -> tuple[Policy, str]:
    """(the endpoint, nothing: what weights it serves is not known)."""
    from pipeline.llm.endpoint import Endpoint
    from rounds.endpoint_policy import EndpointPolicy

    endpoint = Endpoint(config.base_url or "", config.model, config.api_key_env)
    tokenizer = load_response_tokenizer(config.tokenizer) if config.tokenizer else None
    name = config.policy or config.model
    return EndpointPolicy(endpoint, name, config.sampling, tokenizer, config.stop, config.concurrency), ""


def _prompts(config: GenerationConfig, refused: list[Rejected]) -> Iterator[Sample]:
    prompts = itertools.islice(read_prompts(config.prompts, config.format, refused), config.limit)
    ablation = Ablation(config.drop_passages, config.swap_passages, config.sampling.seed)
    return ablate_contexts(prompts, ablation)


def choose_device(name: str) -> torch.device:
    """`auto` takes a GPU when there is one. Raises ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as err:  # a build without CUDA asserts
        raise ConfigError(f"--device {name}: {one_line(err)}") from err
    return device
