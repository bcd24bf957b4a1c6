"""Stage: the checkable claims of a response, from the chosen extractor."""

from __future__ import annotations

from pipeline.engines import AskingExtractor, Extractor
from pipeline.llm.chat import Ask
from pipeline.stages import Draft, Step
from schemas.records import Sample


class ExtractClaims(Step):
    """Step: Sample -> Draft with the extractor's claims, none of them verified."""

    def __init__(self, extractor: Extractor):
        self.extractor = extractor

    def setup(self) -> None:
        self.extractor.setup()

    def teardown(self) -> None:
        self.extractor.teardown()

    def __call__(self, sample: Sample) -> Draft:
        return Draft(sample, self.extractor.extract(sample))


class AskForClaims:
    """The same with an extractor that asks a language model: many records are under way at once."""

    def __init__(self, extractor: AskingExtractor):
        self.extractor = extractor
        self.tally = extractor.tally

    async def ask(self, sample: Sample, ask: Ask) -> Draft:
        return Draft(sample, await self.extractor.extract(sample, ask))
