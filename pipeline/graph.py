"""The whole Beam graph of `balto label` on one screen.

    samples -> validate -> extract claims -> locate spans -> verify claims -> label tokens -> write shards
                   \\________________ rejected, with stage and reason ______________/

Evidence is gathered inside the verifiers: what they want of a context, and in which form, differs by engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile, read_corpus_file
from pipeline.engines import NO_KEY, AskingExtractor, AskingVerifier, make_extractor, make_verifier
from pipeline.extract_claims import AskForClaims, ExtractClaims
from pipeline.gold_labels import gold_claims
from pipeline.label_tokens import LabelTokens
from pipeline.locate_spans import locate_claims
from pipeline.reject_duplicates import RejectDuplicates, duplicate_reason
from pipeline.runs.split_corpus import read_bucket
from pipeline.sentences import split_sentences
from pipeline.stages import ACCEPTED, REJECTED, Draft, PureStep, Stage, Step, reject
from pipeline.validate import validate_sample
from pipeline.verify_claims import AskForVerdicts, VerifyClaims
from pipeline.write_shards import WriteShards
from schemas.records import Sample

if TYPE_CHECKING:  # they load the client of a language model
    from pipeline.asking_stages import AskingStep
    from pipeline.runs.asking import Asking


def locate_draft(draft: Draft) -> Draft:
    """Draft with spans for every claim that can be found in the response."""
    sample, claims = draft
    if all(claim.spans for claim in claims):
        return draft  # the extractor knew the places
    response = sample.response or ""
    return Draft(sample, locate_claims(response, claims, split_sentences(response)))


def label_steps(config: LabelConfig, delimiter_key: bytes = NO_KEY) -> list[tuple[str, Step | AskingStep]]:
    """The stages from a Sample to a LabelledResponse, named, in order. Run without Beam by `benchmarks/`."""
    claimed: list[tuple[str, Step | AskingStep]]
    if config.labels == "gold":
        claimed = [("gold_labels", PureStep(gold_claims))]
    else:
        claimed = [
            ("extract_claims", _extract_step(config, delimiter_key)),
            ("locate_spans", PureStep(locate_draft)),
            ("verify_claims", _verify_step(config, delimiter_key)),
        ]
    return [
        ("validate", PureStep(validate_sample)),
        *claimed,
        ("label_tokens", LabelTokens(config.tokenizer, config.conflicts, config.threshold, config.band)),
    ]


def _extract_step(config: LabelConfig, delimiter_key: bytes) -> Step | AskingStep:
    extractor = make_extractor(config.extractor, config.llm, delimiter_key)
    return AskForClaims(extractor) if isinstance(extractor, AskingExtractor) else ExtractClaims(extractor)


def _verify_step(config: LabelConfig, delimiter_key: bytes) -> Step | AskingStep:
    verifier = make_verifier(config.verifier, config.llm, delimiter_key)
    return AskForVerdicts(verifier) if isinstance(verifier, AskingVerifier) else VerifyClaims(verifier)


class LabelSamples(beam.PTransform):
    """In: Sample.   Out: (LabelledResponse, Rejected): every sample leaves by exactly one of the two.

    asking: how a language model is asked; None when the config asks none.
    """

    def __init__(self, config: LabelConfig, asking: Asking | None = None):
        super().__init__()
        self.config = config
        self.asking = asking

    def expand(self, input_or_inputs: Any) -> Any:
        records, rejected = input_or_inputs, []
        for name, step in label_steps(self.config, self.asking.delimiter_key if self.asking else NO_KEY):
            outputs = records | name >> self._stage(name, step)
            records = outputs[ACCEPTED]
            rejected.append(outputs[REJECTED])
        return records, rejected | "Rejected" >> beam.Flatten()

    def _stage(self, name: str, step: Step | AskingStep) -> beam.PTransform:
        if isinstance(step, AskForClaims | AskForVerdicts):
            from pipeline.asking_stages import AskingStage

            assert self.asking is not None, "the config asks a language model, and nobody said how"
            return AskingStage(name, step, self.asking.transport)
        return Stage(name, step)  # type: ignore[arg-type]


def label_buckets(
    pipeline: beam.Pipeline,
    folder: str,
    buckets: list[int],
    duplicates: dict[int, str],
    config: LabelConfig,
    out: str,
    asking: Asking | None = None,
) -> Any:
    """The graph over buckets that `split_corpus` wrote under `folder`; every bucket becomes one shard.

    duplicates: ordinal of a record whose id an earlier one has -> "file:row" of that one.   Out: shard reports.
    """
    samples = (
        pipeline
        | "Buckets" >> beam.Create(buckets, reshuffle=False)
        | "Read bucket" >> beam.ParDo(_ReadBucket(folder, duplicates)).with_outputs(REJECTED, main=ACCEPTED)
    )
    return _label_and_write(samples[ACCEPTED], [samples[REJECTED]], config, out, asking)


def label_files(
    pipeline: beam.Pipeline, files: list[CorpusFile], config: LabelConfig, out: str, asking: Asking | None = None
) -> Any:
    """The graph over whole corpus files, for a runner that shuffles by itself.   Out: shard reports."""
    read = (
        pipeline
        | "Files" >> beam.Create(files)
        | "Read file" >> beam.ParDo(_ReadFile()).with_outputs(REJECTED, main=ACCEPTED)
    )
    samples = read[ACCEPTED] | "Reject duplicates" >> RejectDuplicates()
    return _label_and_write(samples[ACCEPTED], [read[REJECTED], samples[REJECTED]], config, out, asking)


def _label_and_write(samples: Any, rejected: list[Any], config: LabelConfig, out: str, asking: Asking | None) -> Any:
    labelled, refused = samples | "Label" >> LabelSamples(config, asking)
    all_rejected = [*rejected, refused] | "All rejected" >> beam.Flatten()
    return (labelled, all_rejected) | "Write shards" >> WriteShards(out, config.num_shards)


class _ReadBucket(beam.DoFn):
    def __init__(self, folder: str, duplicates: dict[int, str]):
        self.folder = folder
        self.duplicates = duplicates

    def process(self, element: int) -> Iterator[Any]:
        for ordinal, sample in read_bucket(self.folder, element):
            if ordinal in self.duplicates:
                reason = duplicate_reason(self.duplicates[ordinal])
                yield TaggedOutput(REJECTED, reject(sample, "validate", reason))
            else:
                yield sample


class _ReadFile(beam.DoFn):
    def process(self, element: CorpusFile) -> Iterator[Any]:
        for record in read_corpus_file(element):
            yield record if isinstance(record, Sample) else TaggedOutput(REJECTED, record)
