"""What a verifier's probabilities are made into: verdicts at a threshold of one's own, and labels only without doubt.

Each claim of a verifier that gives one has a score, P(supported). `--threshold` replaces the verifier's own border
between supported and not. The neutral band says which scores are too doubtful for a label: such a claim keeps its
verdict, but its characters stay neutral, because a wrong label costs a policy more than a missing one. Verdicts without
a score (of a language model, or of people) are never doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from schemas.errors import ConfigError, ShardError
from schemas.manifest import Manifest
from schemas.records import SUPPORTED, UNSUPPORTED, Claim

AUTO: Final = "auto"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class NeutralBand:
    """An unsupported claim is sure up to P(supported) = `low`, a supported one from `high` on; else it is doubtful.

    So a claim between the two is doubtful whatever its verdict, and one beyond them if its verdict is the other one:
    a verifier whose border lies above `high` calls claims unsupported that it believes.
    """

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}"

    def is_doubtful(self, claim: Claim) -> bool:
        """Whether the claim has a verdict that is too uncertain to label tokens with."""
        if claim.score is None or claim.verdict is None:
            return False
        return claim.score < self.high if claim.verdict == SUPPORTED else claim.score > self.low


def read_band(text: str, of_verifier: tuple[float, float] | None) -> NeutralBand | None:
    """`auto` (the verifier's own), `none`, or LOW:HIGH, two probabilities. Raises ConfigError for anything else."""
    if text == NONE or (text == AUTO and of_verifier is None):
        return None
    if text == AUTO and of_verifier is not None:
        return NeutralBand(*of_verifier)
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise ConfigError(
            f"--neutral-band {text}: must be auto, none, or LOW:HIGH with two probabilities of support, such as 0.5:0.7"
        )
    return NeutralBand(low, high)


def band_of(manifest: Manifest) -> NeutralBand | None:
    """The neutral band under which a label set was labelled; None where there was none. Raises ShardError for junk."""
    try:
        return read_band(str(manifest.config.get("neutral_band", NONE)), None)
    except ConfigError as err:
        raise ShardError(f"the manifest's neutral band cannot be read ({err})") from err


def labels_nothing(claim: Claim, band: NeutralBand | None) -> bool:
    """Whether the claim stands in the response with a verdict, and labels no token because its score is doubtful."""
    return band is not None and bool(claim.spans) and band.is_doubtful(claim)


def apply_threshold(claims: Sequence[Claim], threshold: float | None) -> tuple[Claim, ...]:
    """Claims whose verdict is what their score says at `threshold`; None leaves them as they are."""
    return tuple(claims) if threshold is None else tuple(_at_threshold(claim, threshold) for claim in claims)


def _at_threshold(claim: Claim, threshold: float) -> Claim:
    if claim.score is None or claim.verdict is None:
        return claim
    supported = claim.score >= threshold
    if supported == (claim.verdict == SUPPORTED):
        return claim
    reason = f"{'not ' * (not supported)}supported at a threshold of {threshold:g}; {claim.reason}"
    return replace(claim, verdict=SUPPORTED if supported else UNSUPPORTED, error_spans=(), reason=reason)
