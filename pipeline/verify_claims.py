"""Stage: a verdict for every claim, from the chosen verifier."""

from __future__ import annotations

from pipeline.engines import Verifier
from pipeline.stages import Draft


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
        if [claim.claim_id for claim in verified] != [claim.claim_id for claim in claims]:
            raise RuntimeError(f"verifier {self.verifier.name} did not answer every claim once, in order")
        return Draft(sample, verified)
