"""Records of a bundle handed on together: nothing lost, one poisonous record costs itself alone."""

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline
from apache_beam.testing.util import assert_that, equal_to

from pipeline.batched_stages import BatchedStage
from pipeline.stages import ACCEPTED, DEAD_AFTER, REJECTED
from schemas.errors import ConfigError, RecordError
from schemas.records import Sample


class Together:
    """Gives (id, size of the batch); fails on ids that start with `bad`."""

    def __init__(self, error=ValueError):
        self.error = error

    def setup(self):
        pass

    def teardown(self):
        pass

    def many(self, elements):
        for sample in elements:
            if sample.id.startswith("bad"):
                raise self.error("cannot")
            if sample.id.startswith("refused"):
                raise RecordError("verify_claims", "no")
        return [(sample.id, len(elements)) for sample in elements]


def check(step, ids, batch_records, accepted, rejected):
    samples = [Sample(one, "g", "q", (), "r") for one in ids]
    with test_pipeline.TestPipeline(runner="FnApiRunner") as pipeline:
        out = pipeline | beam.Create(samples, reshuffle=False) | BatchedStage("verify_claims", step, batch_records)
        assert_that(out[ACCEPTED], equal_to(accepted), label="accepted")
        reasons = out[REJECTED] | beam.Map(lambda one: (one.id, one.reason))
        assert_that(reasons, equal_to(rejected), label="rejected")


def test_records_come_in_batches_and_the_rest_at_the_end_of_the_bundle():
    check(Together(), ["a", "b", "c"], 2, [("a", 2), ("b", 2), ("c", 1)], [])


def test_one_poisonous_record_is_rejected_alone():
    rejected = [("bad", "internal error: ValueError: cannot"), ("refused", "no")]
    check(Together(), ["a", "bad", "c", "refused"], 8, [("a", 1), ("c", 1)], rejected)


def test_a_stage_that_fails_on_every_prompt_ends_the_run():
    samples = [Sample(f"bad{number}", f"g{number}", "q", (), "r") for number in range(DEAD_AFTER)]
    told = f"stage verify_claims failed on {DEAD_AFTER} prompts in a row"
    with pytest.raises(Exception, match=told), test_pipeline.TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(samples) | BatchedStage("verify_claims", Together(), 8)


def test_wrong_configuration_ends_the_run():
    with pytest.raises(Exception, match="cannot"):
        check(Together(ConfigError), ["bad"], 2, [], [])
