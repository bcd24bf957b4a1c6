"""The whole Beam graph of `balto label` on one screen.

    samples -> validate -> extract claims -> locate spans -> verify claims -> label tokens -> write shards
                   \\________________ rejected, with stage and reason ______________/

Evidence is gathered inside the verifiers: what they want of a context, and in which form, differs by engine. Before the
first stage every sample gets to know the other responses to its prompt (sibling_responses.py): some verifiers look.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from pipeline.batched_stages import BatchedStage
from pipeline.close_label_set import CloseLabelSet, Closing
from pipeline.config import LabelConfig
from pipeline.corpora import CorpusFile, read_corpus_file
from pipeline.engines import NO_KEY, AskingExtractor, AskingVerifier, BatchVerifier
from pipeline.extract_claims import AskForClaims, ExtractClaims
from pipeline.gold_labels import gold_claims
from pipeline.join_prompt_groups import JoinPromptGroups
from pipeline.label_tokens import LabelTokens
from pipeline.locate_spans import locate_claims
from pipeline.reject_duplicates import Placed, RejectDuplicates, duplicate_reason
from pipeline.runs.split_corpus import read_bucket
from pipeline.sentences import split_sentences
from pipeline.sibling_responses import know_each_other
from pipeline.stages import ACCEPTED, REJECTED, Draft, PureStep, Stage, Step, reject
from pipeline.validate import validate_sample
from pipeline.verify_claims import AskForVerdicts, VerifyClaims, VerifyTogether
from pipeline.write_shards import WriteShards
from schemas.records import Sample

if TYPE_CHECKING:  # it loads the client of a language model
    from pipeline.runs.asking import Asking


def locate_draft(draft: Draft) -> Draft:
    """Draft with spans for every claim that can be found in the response."""
    sample, claims = draft
    if all(claim.spans for claim in claims):
        return draft  # the extractor knew the places
    response = sample.response or ""
    return Draft(sample, locate_claims(response, claims, split_sentences(response)))


def label_steps(
    config: LabelConfig, delimiter_key: bytes = NO_KEY, tokenizer_file: str = ""
) -> list[tuple[str, Step | AskForClaims | AskForVerdicts]]:
    """The stages from a Sample to a LabelledResponse, named, in order. Run without Beam by `benchmarks/`.

    tokenizer_file: a copy of the tokenizer's tokenizer.json that every worker can read; empty: load it by its name.
    """
    claimed: list[tuple[str, Step | AskForClaims | AskForVerdicts]]
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
        (
            "label_tokens",
            LabelTokens(
                config.tokenizer, config.conflicts, config.threshold, config.band, tokenizer_file, config.doubt
            ),
        ),
    ]


def _extract_step(config: LabelConfig, delimiter_key: bytes) -> Step | AskForClaims:
    extractor = config.chosen.make_extractor(delimiter_key)
    return AskForClaims(extractor) if isinstance(extractor, AskingExtractor) else ExtractClaims(extractor)


def _verify_step(config: LabelConfig, delimiter_key: bytes) -> Step | AskForVerdicts:
    verifier = config.chosen.make_verifier(delimiter_key)
    if isinstance(verifier, BatchVerifier):
        return VerifyTogether(verifier)
    return AskForVerdicts(verifier) if isinstance(verifier, AskingVerifier) else VerifyClaims(verifier)


class LabelSamples(beam.PTransform):
    """In: Sample.   Out: (LabelledResponse, Rejected, usage): every sample leaves by exactly one of the first two.

    asking: how a language model is asked; None when the config asks none.   tokenizer_file: as in `label_steps`.
    """

    def __init__(self, config: LabelConfig, asking: Asking | None = None, tokenizer_file: str = ""):
        super().__init__()
        self.config = config
        self.asking = asking
        self.tokenizer_file = tokenizer_file

    def expand(self, input_or_inputs: Any) -> Any:
        records, rejected, usage = input_or_inputs, [], []
        key = (self.asking.delimiter_key if self.asking else None) or NO_KEY
        for name, step in label_steps(self.config, key, self.tokenizer_file):
            if isinstance(step, AskForClaims | AskForVerdicts):
                outputs = records | name >> self._asking_stage(name, step)
                usage.append(outputs["usage"])
            elif isinstance(step, VerifyTogether):
                outputs = records | name >> BatchedStage(name, step)
            else:
                outputs = records | name >> Stage(name, step)
            records = outputs[ACCEPTED]
            rejected.append(outputs[REJECTED])
        return records, rejected | "Rejected" >> beam.Flatten(), usage

    def _asking_stage(self, name: str, step: AskForClaims | AskForVerdicts) -> beam.PTransform:
        from pipeline.asking_stages import AskingStage

        assert self.asking is not None, "the config asks a language model, and nobody said how"
        if self.asking.delimiter_key is not None:
            return AskingStage(name, step, self.asking.transport)
        make = _extract_step if isinstance(step, AskForClaims) else _verify_step
        return AskingStage(name, functools.partial(make, self.config), self.asking.transport)  # type: ignore[arg-type]


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
    pipeline: beam.Pipeline, files: list[CorpusFile], config: LabelConfig, closing: Closing, tokenizer_file: str = ""
) -> Any:
    """The graph over whole corpus files, for a runner that shuffles by itself; it ends with the manifest.

    closing: where the label set goes, and what its manifest says.   tokenizer_file: as in `label_steps`.
    """
    read = (
        pipeline
        | "Files" >> beam.Create(list(enumerate(files)))
        | "Read file" >> beam.ParDo(_ReadFile()).with_outputs(REJECTED, main=ACCEPTED)
    )
    samples = read[ACCEPTED] | "Reject duplicates" >> RejectDuplicates()
    accepted = samples[ACCEPTED]
    if config.reads_groups:
        accepted = accepted | "Prompt groups" >> JoinPromptGroups()
    labelled, refused, usage = accepted | "Label" >> LabelSamples(config, closing.asking, tokenizer_file)
    rejected = [read[REJECTED], samples[REJECTED], refused] | "All rejected" >> beam.Flatten()
    reports = (labelled, rejected) | "Write shards" >> WriteShards(closing.out, config.num_shards, closing.token)
    return (reports, read[ACCEPTED], read[REJECTED], *usage) | "Close" >> CloseLabelSet(closing)


def _label_and_write(samples: Any, rejected: list[Any], config: LabelConfig, out: str, asking: Asking | None) -> Any:
    labelled, refused, _ = samples | "Label" >> LabelSamples(config, asking)
    all_rejected = [*rejected, refused] | "All rejected" >> beam.Flatten()
    return (labelled, all_rejected) | "Write shards" >> WriteShards(out, config.num_shards)


class _ReadBucket(beam.DoFn):
    def __init__(self, folder: str, duplicates: dict[int, str]):
        self.folder = folder
        self.duplicates = duplicates

    def process(self, element: int) -> Iterator[Any]:
        for _, group in groupby(read_bucket(self.folder, element), key=lambda numbered: numbered[1].group_id):
            accepted = []
            for ordinal, sample in group:
                if ordinal in self.duplicates:
                    reason = duplicate_reason(self.duplicates[ordinal])
                    yield TaggedOutput(REJECTED, reject(sample, "validate", reason))
                else:
                    accepted.append(sample)
            yield from know_each_other(accepted)


class _ReadFile(beam.DoFn):
    def process(self, element: tuple[int, CorpusFile]) -> Iterator[Any]:
        index, file = element
        for number, record in enumerate(read_corpus_file(file)):
            if isinstance(record, Sample):
                yield Placed((index, number), record)
            else:
                yield TaggedOutput(REJECTED, record)
