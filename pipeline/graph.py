"""The whole Beam graph of `balto label` on one screen.

    samples -> validate -> extract claims -> locate spans -> verify claims -> label tokens -> write shards
                   \\________________ rejected, with stage and reason ______________/

Evidence is gathered inside the verifiers: what they want of a context, and in which form, differs by engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile, read_corpus_file
from pipeline.engines import make_extractor, make_verifier
from pipeline.extract_claims import ExtractClaims
from pipeline.gold_labels import gold_claims
from pipeline.label_tokens import LabelTokens
from pipeline.locate_spans import locate_claims
from pipeline.reject_duplicates import RejectDuplicates, duplicate_reason
from pipeline.runs.split_corpus import read_bucket
from pipeline.sentences import split_sentences
from pipeline.stages import ACCEPTED, REJECTED, Draft, PureStep, Stage, Step, reject
from pipeline.validate import validate_sample
from pipeline.verify_claims import VerifyClaims
from pipeline.write_shards import WriteShards
from schemas.records import Sample


def locate_draft(draft: Draft) -> Draft:
    """Draft with spans for every claim that can be found in the response."""
    sample, claims = draft
    if all(claim.spans for claim in claims):
        return draft  # the extractor knew the places
    response = sample.response or ""
    return Draft(sample, locate_claims(response, claims, split_sentences(response)))


def label_steps(config: LabelConfig) -> list[tuple[str, Step]]:
    """The stages from a Sample to a LabelledResponse, named, in order. Run without Beam by `benchmarks/`."""
    claimed: list[tuple[str, Step]]
    if config.labels == "gold":
        claimed = [("gold_labels", PureStep(gold_claims))]
    else:
        claimed = [
            ("extract_claims", ExtractClaims(make_extractor(config.extractor))),
            ("locate_spans", PureStep(locate_draft)),
            ("verify_claims", VerifyClaims(make_verifier(config.verifier))),
        ]
    return [
        ("validate", PureStep(validate_sample)),
        *claimed,
        ("label_tokens", LabelTokens(config.tokenizer, config.conflicts)),
    ]


class LabelSamples(beam.PTransform):
    """In: Sample.   Out: (LabelledResponse, Rejected): every sample leaves by exactly one of the two."""

    def __init__(self, config: LabelConfig):
        super().__init__()
        self.config = config

    def expand(self, input_or_inputs: Any) -> Any:
        records, rejected = input_or_inputs, []
        for name, step in label_steps(self.config):
            outputs = records | name >> Stage(name, step)
            records = outputs[ACCEPTED]
            rejected.append(outputs[REJECTED])
        return records, rejected | "Rejected" >> beam.Flatten()


def label_buckets(
    pipeline: beam.Pipeline, folder: str, buckets: list[int], duplicates: dict[int, str], config: LabelConfig, out: str
) -> Any:
    """The graph over buckets that `split_corpus` wrote under `folder`; every bucket becomes one shard.

    duplicates: ordinal of a record whose id an earlier one has -> "file:row" of that one.   Out: shard reports.
    """
    samples = (
        pipeline
        | "Buckets" >> beam.Create(buckets, reshuffle=False)
        | "Read bucket" >> beam.ParDo(_ReadBucket(folder, duplicates)).with_outputs(REJECTED, main=ACCEPTED)
    )
    return _label_and_write(samples[ACCEPTED], [samples[REJECTED]], config, out)


def label_files(pipeline: beam.Pipeline, files: list[CorpusFile], config: LabelConfig, out: str) -> Any:
    """The graph over whole corpus files, for a runner that shuffles by itself.   Out: shard reports."""
    read = (
        pipeline
        | "Files" >> beam.Create(files)
        | "Read file" >> beam.ParDo(_ReadFile()).with_outputs(REJECTED, main=ACCEPTED)
    )
    samples = read[ACCEPTED] | "Reject duplicates" >> RejectDuplicates()
    return _label_and_write(samples[ACCEPTED], [read[REJECTED], samples[REJECTED]], config, out)


def _label_and_write(samples: Any, rejected: list[Any], config: LabelConfig, out: str) -> Any:
    labelled, refused = samples | "Label" >> LabelSamples(config)
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
