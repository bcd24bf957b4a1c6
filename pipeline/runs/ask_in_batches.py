"""`balto label --batch-api`: everything that the run will ask goes through the Batch API first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile
from pipeline.engines import NO_KEY
from pipeline.extract_claims import AskForClaims
from pipeline.graph import label_steps
from pipeline.llm.batch import fill_cache
from pipeline.llm.chat import Ask
from pipeline.runs.asking import Asking
from pipeline.runs.estimate import samples_to_label
from pipeline.verify_claims import AskForVerdicts
from schemas.manifest import WORK_FOLDER
from schemas.records import Sample

BATCH_FOLDER: Final = "batches"  # in the run's work folder: a killed run goes on with its own batches


def ask_in_batches(files: Sequence[CorpusFile], config: LabelConfig, asking: Asking, out: Path) -> None:
    """Fill the reply cache with all that labelling `files` will ask; returns when nothing is missing."""
    asked = [step for name, step in label_steps(config, asking.delimiter_key or NO_KEY) if name in _ASKING_STAGES]
    for step in asked:
        if not isinstance(step, AskForClaims | AskForVerdicts):
            step.setup()

    async def ask_about(sample: Sample, ask: Ask) -> Any:
        record: Any = sample
        for step in asked:
            is_asking = isinstance(step, AskForClaims | AskForVerdicts)
            record = await step.ask(record, ask) if is_asking else step(record)
        return record

    def records() -> Iterator[Sample]:
        return (sample for sample in samples_to_label(files) if sample is not None)

    asyncio.run(fill_cache(asking.transport, out / WORK_FOLDER / BATCH_FOLDER, records, ask_about))


_ASKING_STAGES: Final = ("extract_claims", "locate_spans", "verify_claims")
