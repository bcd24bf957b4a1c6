"""Stage: claims and their verdicts from engines that ask a language model.

With both engines asking, a record is extracted, located and verified in one coroutine: no record waits until all
others are extracted, and the slots of the endpoint stay filled to the last record of a bundle.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from pipeline.engines import AskingExtractor, AskingVerifier, Extractor, Verifier
from pipeline.llm.chat import Ask
from pipeline.stages import Draft
from pipeline.verify_claims import check_answered
from schemas.records import Sample


class AskClaims:
    """Asking step: Sample -> Draft whose claims are located and verified.

    An engine that asks nothing (`rules`, `lexical`) may stand on either side.   locate: Draft -> Draft with spans.
    """

    def __init__(
        self,
        extractor: Extractor | AskingExtractor,
        locate: Callable[[Draft], Draft],
        verifier: Verifier | AskingVerifier,
    ):
        self.extractor: Any = extractor
        self.locate = locate
        self.verifier: Any = verifier

    def setup(self) -> None:
        for engine in (self.extractor, self.verifier):
            if hasattr(engine, "setup"):  # of an asking engine there is nothing to open
                engine.setup()

    def teardown(self) -> None:
        for engine in (self.extractor, self.verifier):
            if hasattr(engine, "teardown"):
                engine.teardown()

    async def ask(self, sample: Sample, ask: Ask) -> Draft:
        if asks(self.extractor):
            claims = await self.extractor.extract(sample, ask)
        else:
            claims = self.extractor.extract(sample)
        draft = self.locate(Draft(sample, claims))
        if asks(self.verifier):
            verified = await self.verifier.verify(sample, draft.claims, ask)
        else:
            verified = self.verifier.verify(sample, draft.claims)
        check_answered(self.verifier.name, draft.claims, verified)
        return Draft(sample, verified)


def asks(engine: Any) -> bool:
    """Whether an engine asks a language model."""
    return iscoroutinefunction(getattr(engine, "extract", None)) or iscoroutinefunction(getattr(engine, "verify", None))
