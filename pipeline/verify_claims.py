"""Stage: a verdict for every claim, from the chosen verifier."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engines import AskingVerifier, BatchVerifier, Verifier
from pipeline.llm.chat import Ask
from pipeline.stages import Draft, Step
from schemas.records import Claim


class VerifyClaims(Step):
    """Step: Draft -> Draft whose claims have a verdict, or a status that says why not."""

    def __init__(self, verifier: Verifier):
        self.verifier = verifier

    def setup(self) -> None:
        self.verifier.setup()

    def teardown(self) -> None:
        self.verifier.teardown()

    def __call__(self, draft: Draft) -> Draft:
        sample, claims = draft
        return Draft(sample, _checked(self.verifier.name, claims, self.verifier.verify(sample, claims)))


class VerifyTogether(VerifyClaims):
    """The same with a verifier that answers for many records at once."""

    def __init__(self, verifier: BatchVerifier):
        super().__init__(verifier)
        self.together = verifier

    def many(self, drafts: Sequence[Draft]) -> list[Draft]:
        answers = self.together.verify_many([(draft.sample, draft.claims) for draft in drafts])
        return [
            Draft(draft.sample, _checked(self.verifier.name, draft.claims, verified))
            for draft, verified in zip(drafts, answers, strict=True)
        ]


class AskForVerdicts:
    """The same with a verifier that asks a language model: many records are under way at once."""

    def __init__(self, verifier: AskingVerifier):
        self.verifier = verifier
        self.tally = verifier.tally

    async def ask(self, draft: Draft, ask: Ask) -> Draft:
        sample, claims = draft
        return Draft(sample, _checked(self.verifier.name, claims, await self.verifier.verify(sample, claims, ask)))


def _checked(verifier: str, claims: Sequence[Claim], verified: tuple[Claim, ...]) -> tuple[Claim, ...]:
    if [claim.claim_id for claim in verified] != [claim.claim_id for claim in claims]:
        raise RuntimeError(f"verifier {verifier} did not answer every claim once, in order")
    return verified
