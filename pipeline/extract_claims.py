"""Stage: the checkable claims of a response, from the chosen extractor."""

from __future__ import annotations

from pipeline.engines import Extractor
from pipeline.stages import Draft
from schemas.records import Sample


class ExtractClaims:
    """Step: Sample -> Draft with the extractor's claims, none of them verified."""

    def __init__(self, extractor: Extractor):
        self.extractor = extractor

    def setup(self) -> None:
        self.extractor.setup()

    def teardown(self) -> None:
        self.extractor.teardown()

    def __call__(self, sample: Sample) -> Draft:
        return Draft(sample, self.extractor.extract(sample))
