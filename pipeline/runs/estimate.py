"""`balto label --estimate`: what labelling a corpus with a language model will ask for and cost. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile, read_corpus_file
from pipeline.engines import AskingVerifier
from pipeline.llm.chat import Usage
from pipeline.runs import progress
from pipeline.runs.show_progress import show_progress
from pipeline.validate import validate_sample
from schemas.errors import ConfigError, RecordError
from schemas.records import Sample


def run_estimate(
    files: Sequence[CorpusFile], config: LabelConfig, cost_of: Callable[[Usage], float] | None
) -> dict[str, Any]:
    """Requests, tokens and cost, by stage and in all.   cost_of: None when the model's price is not known.

    Raises ConfigError when no language model is asked.
    """
    if not config.uses_llm:
        raise ConfigError("--estimate: nothing is asked of a model; add --extractor llm, --verifier llm or both")
    from pipeline.engines.llm.estimate import estimate

    extractor, verifier = config.chosen.make_extractor(), config.chosen.make_verifier()
    with show_progress("estimating", None):
        found = estimate(samples_to_label(files), extractor, verifier if isinstance(verifier, AskingVerifier) else None)
    return found.summary(config.model, cost_of)


def samples_to_label(files: Sequence[CorpusFile]) -> Iterator[Sample | None]:
    """Samples that will be labelled; None for each record that will be rejected before anybody is asked."""
    for file in files:
        for record in read_corpus_file(file):
            progress.advance(1)
            try:
                yield validate_sample(record) if isinstance(record, Sample) else None
            except RecordError:
                yield None
