"""Samples get to know the other responses to their prompt, by whatever way they come."""

import dataclasses

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline as PipelineOfTest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.join_prompt_groups import JoinPromptGroups
from pipeline.sibling_responses import know_each_other
from schemas.records import Sample


def sample(name: str, group: str, response: str | None) -> Sample:
    return Sample(name, group, "p", (), response)


GROUP = [sample("a", "g", "one"), sample("b", "g", "two"), sample("c", "g", "one"), sample("d", "g", None)]


def test_every_sample_knows_the_different_responses_once():
    assert [one.group_responses for one in know_each_other(GROUP)] == [("one", "two")] * 4


def test_sample_without_another_response_knows_none():
    for alone in (GROUP[:1], [GROUP[0], GROUP[2]], [GROUP[0], GROUP[3]]):
        assert [one.group_responses for one in know_each_other(alone)] == [()] * len(alone)


def test_what_a_sample_knows_of_its_group_is_no_part_of_it():
    (first, *_) = know_each_other(GROUP)
    assert first == GROUP[0]
    assert "two" not in repr(first)


def test_groups_of_a_shuffle_come_together():
    samples = [*GROUP, sample("e", "h", "three")]
    with PipelineOfTest() as pipeline:
        joined = pipeline | beam.Create([samples[at] for at in (4, 2, 0, 3, 1)]) | JoinPromptGroups()
        told = joined | beam.Map(lambda one: (one.id, tuple(sorted(one.group_responses))))
        known = [(one.id, ("one", "two")) for one in GROUP]
        assert_that(told, equal_to([*known, ("e", ())]))


def test_group_of_a_shuffle_is_iterated_anew_and_never_held():

    @dataclasses.dataclass
    class Shuffled:
        times: int = 0

        def __iter__(self):
            self.times += 1
            return iter(GROUP)

    members = Shuffled()
    assert len(list(know_each_other(members))) == len(GROUP)
    assert members.times == 2
