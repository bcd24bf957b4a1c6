"""What the engine `nli` was asked to do. `NliSettings` shapes the rows, `Compute` only says where and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.errors import ConfigError

NLI: Final = "nli:"  # of the names of these verifiers: nli:MODEL
PRECISIONS: Final = ("auto", "float32", "bfloat16")
AUTO: Final = "auto"
CPU_BATCH_TOKENS: Final = 4_096  # larger batches leave the caches: 16,384 took 10 % longer per pair
GPU_BATCH_TOKENS: Final = 16_384


@dataclass(frozen=True, slots=True)
class NliSettings:
    """What decides the scores.

    model: folder or hub id.   fingerprint: of the model's files; empty until `prepare_nli` has looked at them.
    calibrated: `balto train-verifier` wrote the model, so its numbers are probabilities; known when it was looked at.
    outputs: what the model's outputs mean, in order, such as `unsupported,supported`; empty: as the model itself says.
    evidence_windows: at most so many texts of the model's length are read per claim.
    retriever, retriever_fingerprint: a sentence-transformers model that helps to find evidence; empty: words alone.
    precision: of the numbers computed with.   refine: name the words that carry the error, by leaving each out.
    """

    model: str
    fingerprint: str = ""
    calibrated: bool = False
    outputs: str = ""
    evidence_windows: int = 2
    retriever: str = ""
    retriever_fingerprint: str = ""
    precision: str = AUTO
    refine: bool = True

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("--verifier nli: names no model; say nli:FOLDER or nli:HUB_ID")
        if not 1 <= self.evidence_windows <= 64:
            raise ConfigError(f"--evidence-windows {self.evidence_windows}: must be between 1 and 64")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"--precision {self.precision}: must be one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True, slots=True)
class Compute:
    """How it is computed; changes no row but in the last bits of a float.

    device: `cpu`, `cuda`, `cuda:1`, `mps`; empty: a GPU if there is one.   batch_tokens: of one forward pass, padding
    included; 0: CPU_BATCH_TOKENS or GPU_BATCH_TOKENS; halved where the device's memory is too small.
    threads: of a worker process on the CPU; 0: all cores.
    """

    device: str = ""
    batch_tokens: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if self.batch_tokens and not 64 <= self.batch_tokens <= 1 << 24:
            raise ConfigError(f"--batch-tokens {self.batch_tokens}: must be between 64 and {1 << 24}, or 0")

    def batch_tokens_on(self, device: str) -> int:
        """The tokens of a forward pass on a device."""
        return self.batch_tokens or (CPU_BATCH_TOKENS if device == "cpu" else GPU_BATCH_TOKENS)
