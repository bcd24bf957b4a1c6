"""What `balto label` was asked to do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pipeline.engines import make_extractor, make_verifier
from pipeline.resolve import POLICIES
from schemas.errors import ConfigError
from schemas.tokens import BYTES, load_tokenizer

LABEL_SOURCES = ("claims", "gold")


@dataclass(frozen=True)
class LabelConfig:
    """The options that decide what is in a label set's rows. The same config and corpus give the same rows.

    labels: `claims` asks the engines, `gold` takes the corpus's human spans.   extractor, verifier: engine names.
    tokenizer: as `schemas.tokens.load_tokenizer` takes it.   conflicts: how characters that opposite verdicts
    claim are resolved.   num_shards: at least 1; fixed before the first record is read.
    """

    num_shards: int
    labels: str = "claims"
    extractor: str = "rules"
    verifier: str = "lexical"
    tokenizer: str = BYTES
    conflicts: str = "neutral"

    def __post_init__(self) -> None:
        if self.labels not in LABEL_SOURCES:
            raise ConfigError(f"--labels {self.labels}: must be one of {', '.join(LABEL_SOURCES)}")
        if self.conflicts not in POLICIES:
            raise ConfigError(f"--conflicts {self.conflicts}: must be one of {', '.join(POLICIES)}")
        if not 1 <= self.num_shards <= 99_999:
            raise ConfigError(f"--num-shards {self.num_shards}: must be between 1 and 99999")
        make_extractor(self.extractor)
        make_verifier(self.verifier)
        load_tokenizer(self.tokenizer)

    def as_dict(self) -> dict[str, Any]:
        """For the manifest; the tokenizer stands there with its fingerprint."""
        return dataclasses.asdict(self)

    def engines(self) -> dict[str, str]:
        """Names and versions of who answered, for the manifest."""
        if self.labels == "gold":
            from pipeline.gold_labels import ENGINE

            return {"extractor": ENGINE, "verifier": ENGINE, "prompt_version": ""}
        extractor, verifier = make_extractor(self.extractor), make_verifier(self.verifier)
        versions = sorted({extractor.prompt_version, verifier.prompt_version} - {""})
        return {"extractor": extractor.name, "verifier": verifier.name, "prompt_version": ",".join(versions)}
