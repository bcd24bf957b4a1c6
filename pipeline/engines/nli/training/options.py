"""What `balto train-verifier` was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.engines.nli.settings import AUTO, PRECISIONS
from schemas.errors import ConfigError

BOTH: Final = "both"
KINDS: Final = (BOTH, "claims", "tokens")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """base: folder or hub id of an encoder.   kind: which models.   window: tokens of a pair.

    held_out: share of the prompt groups that calibrate and are never trained on.   corruptions: made-up unsupported
    claims per supported one.   max_responses: of the label sets; whole prompt groups, chosen by a hash.
    unsupported_weight: of an unsupported claim or token in the loss, since they are the rarer.
    frozen_layers: of the encoder, from below, that stay as they are, with the embeddings; 0: all is trained.
    precision: of training; `auto` is bfloat16 autocast on a CUDA GPU, else float32.
    """

    base: str
    kind: str = BOTH
    epochs: float = 3.0
    learning_rate: float = 5e-5
    batch_size: int = 16
    window: int = 512
    held_out: float = 0.2
    corruptions: float = 0.3
    unsupported_weight: float = 2.0
    max_responses: int = 50_000
    frozen_layers: int = 0
    precision: str = AUTO
    seed: int = 0
    device: str = ""

    def __post_init__(self) -> None:
        checks = (
            (self.kind in KINDS, f"--kind {self.kind}: must be one of {', '.join(KINDS)}"),
            (self.epochs > 0, f"--epochs {self.epochs}: must be more than 0"),
            (0 < self.learning_rate < 1, f"--learning-rate {self.learning_rate}: must be between 0 and 1"),
            (self.batch_size >= 1, f"--batch-size {self.batch_size}: must be at least 1"),
            (self.window >= 64, f"--window {self.window}: must be at least 64 tokens"),
            (0 < self.held_out < 1, f"--held-out {self.held_out}: is a share between 0 and 1"),
            (0 <= self.corruptions <= 10, f"--corruptions {self.corruptions}: must be between 0 and 10"),
            (self.unsupported_weight > 0, f"--unsupported-weight {self.unsupported_weight}: must be more than 0"),
            (self.frozen_layers >= 0, f"--frozen-layers {self.frozen_layers}: must be at least 0"),
            (self.precision in PRECISIONS, f"--precision {self.precision}: must be one of {', '.join(PRECISIONS)}"),
            (self.max_responses >= 2, f"--max-responses {self.max_responses}: must be at least 2"),
        )
        for holds, message in checks:
            if not holds:
                raise ConfigError(message)

    @property
    def claims(self) -> bool:
        return self.kind in (BOTH, "claims")

    @property
    def tokens(self) -> bool:
        return self.kind in (BOTH, "tokens")
