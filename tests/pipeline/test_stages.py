"""The stage wrapper inside a real (tiny) Beam run."""

import errno

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to

from pipeline.reject_duplicates import Placed, RejectDuplicates, later_places
from pipeline.stages import ACCEPTED, DEAD_AFTER, REJECTED, Failures, PureStep, Stage
from pipeline.validate import validate_sample
from schemas.errors import BaltoError, ConfigError, RecordError
from tests.rows import make_sample


def local_pipeline() -> beam.Pipeline:
    return beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([]))


def refuses_some(sample):
    if sample.id == "refused":
        raise RecordError("refuse", "it asked for it")
    if sample.id == "poison":
        raise ZeroDivisionError("oops")
    return sample.id


def test_every_record_leaves_by_exactly_one_output():
    with local_pipeline() as pipeline:
        samples = pipeline | beam.Create([make_sample(name) for name in ("a", "refused", "b", "poison")])
        outputs = samples | Stage("refuse", PureStep(refuses_some))
        assert_that(outputs[ACCEPTED], equal_to(["a", "b"]), label="accepted")
        refused = outputs[REJECTED] | beam.Map(lambda one: (one.id, one.stage, one.reason))
        wanted = [
            ("refused", "refuse", "it asked for it"),
            ("poison", "refuse", "internal error: ZeroDivisionError: oops"),
        ]
        assert_that(refused, equal_to(wanted), label="rejected")


def test_rejections_are_counted_per_stage():
    pipeline = local_pipeline()
    _ = pipeline | beam.Create([make_sample("refused"), make_sample("a")]) | Stage("refuse", PureStep(refuses_some))
    result = pipeline.run()
    result.wait_until_finish()
    (counter,) = result.metrics().query(beam.metrics.MetricsFilter().with_name("rejected_refuse"))["counters"]
    assert counter.committed == 1


def run_alone(step, samples) -> list[str]:
    """Ids that a stage rejects, without Beam around it. Raises what ends the run."""
    failures, rejected = Failures("any"), []
    for sample in samples:
        try:
            step(sample)
        except Exception as err:
            rejected.append(failures.reject(sample, err).id)
        else:
            failures.passed()
    return rejected


def broken(sample):
    raise RuntimeError("the GPU is gone")


def test_a_stage_that_fails_on_every_prompt_ends_the_run_in_one_line():
    samples = [make_sample(f"r{number}", group_id=f"g{number}") for number in range(DEAD_AFTER)]
    told = rf"stage any failed on {DEAD_AFTER} prompts in a row.*the GPU is gone.*resumes"
    with pytest.raises(BaltoError, match=told), local_pipeline() as pipeline:
        _ = pipeline | beam.Create(samples) | Stage("any", PureStep(broken))


def test_the_responses_to_one_odd_prompt_are_rejected_and_no_others():
    samples = [make_sample(f"r{number}", group_id="odd") for number in range(2 * DEAD_AFTER)]
    assert len(run_alone(broken, samples)) == 2 * DEAD_AFTER


def test_failures_with_successes_between_them_end_nothing():
    names = ["poison", "poison", "a"] * DEAD_AFTER
    samples = [make_sample(name, group_id=f"g{number}") for number, name in enumerate(names)]
    assert len(run_alone(refuses_some, samples)) == 2 * DEAD_AFTER


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device", "/tmp/x")])
def test_want_of_memory_or_disk_is_about_no_record_and_ends_the_run(error):
    def wanting(_):
        raise error

    with pytest.raises(BaltoError, match=f"stage any: {type(error).__name__}.*the same command resumes"):
        run_alone(wanting, [make_sample("a")])


def test_wrong_configuration_stops_the_run():
    def misconfigured(_):
        raise ConfigError("no such engine")

    with pytest.raises(Exception, match="no such engine"), local_pipeline() as pipeline:
        _ = pipeline | beam.Create([make_sample("a")]) | Stage("any", PureStep(misconfigured))


def test_rejected_record_keeps_its_place_and_a_bounded_text():
    sample = make_sample("long", response=None, prompt="x" * 10_000, source="c.jsonl", source_row=9)
    with local_pipeline() as pipeline:
        outputs = pipeline | beam.Create([sample]) | Stage("validate", PureStep(validate_sample))
        place = outputs[REJECTED] | beam.Map(lambda one: (one.source, one.source_row, one.group_id, len(one.record)))
        assert_that(place, equal_to([("c.jsonl", 9, "g1", 2000)]))


def test_first_record_with_an_id_is_kept_and_later_ones_name_it():
    samples = [make_sample(name, source="c.jsonl", source_row=row) for name, row in (("a", 3), ("b", 1), ("a", 2))]
    with local_pipeline() as pipeline:
        placed = [Placed((0, sample.source_row), sample) for sample in samples]
        outputs = pipeline | beam.Create(placed) | RejectDuplicates()
        kept = outputs[ACCEPTED] | beam.Map(lambda sample: sample.source_row)
        assert_that(kept, equal_to([1, 2]), label="kept")
        reasons = outputs[REJECTED] | beam.Map(lambda one: (one.source_row, one.reason))
        assert_that(reasons, equal_to([(3, "duplicate id: the record at c.jsonl:2 has it already")]), label="rejected")


def test_records_that_carry_the_row_of_their_prompt_are_told_apart():
    # Two generated corpora: every response says where its prompt stood, so all four say the same.
    corpora = [[("a", "1st"), ("b", "2nd")], [("a", "3rd"), ("c", "4th")]]
    placed = [
        Placed((file, number), make_sample(name, response, source="prompts.jsonl", source_row=1))
        for file, samples in enumerate(corpora)
        for number, (name, response) in enumerate(samples)
    ]
    with local_pipeline() as pipeline:
        outputs = pipeline | beam.Create(placed) | RejectDuplicates()
        kept = outputs[ACCEPTED] | beam.Map(lambda sample: sample.response)
        assert_that(kept, equal_to(["1st", "2nd", "4th"]), label="kept")
        assert_that(outputs[REJECTED] | beam.Map(lambda one: one.id), equal_to(["a"]), label="rejected")


def test_three_records_with_one_id_reject_two():
    named = [((1, 0), "c:3"), ((0, 9), "c:1"), ((0, 2), "b:7")]
    assert list(later_places(("a", named))) == [((0, 9), "b:7"), ((1, 0), "b:7")]
