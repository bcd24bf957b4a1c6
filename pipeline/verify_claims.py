"""Stage: a verdict for every claim, from the chosen verifier."""

from __future__ import annotations

from pipeline.engines import Verifier
from pipeline.stages import Draft
from schemas.records import Claim


class VerifyClaims:
    """Step: Draft -> Draft whose claims have a verdict, or a status that says why not."""

    def __init__(self, verifier: Verifier):
        self.verifier = verifier

    def setup(self) -> None:
        self.verifier.setup()

    def teardown(self) -> None:
        self.verifier.teardown()

    def __call__(self, draft: Draft) -> Draft:
        sample, claims = draft
        verified = self.verifier.verify(sample, claims)
        check_answered(self.verifier.name, claims, verified)
        return Draft(sample, verified)


def check_answered(verifier: str, claims: tuple[Claim, ...], verified: tuple[Claim, ...]) -> None:
    """Raise RuntimeError when a verifier lost, added or reordered claims."""
    if [claim.claim_id for claim in verified] != [claim.claim_id for claim in claims]:
        raise RuntimeError(f"verifier {verifier} did not answer every claim once, in order")
