import dataclasses
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ShardError
from schemas.records import SUPPORTED, Claim, LabelledResponse, LabelSpan, Message, Passage, Sample, TokenLabels
from schemas.rows import to_table
from tests.tokenizers_made_here import byte_level_bpe
from tests.trainer.chat_templates import CHATML, STYLES, chatml, wrap
from trainer.data.decode import RefusedGroup, decode_row_group
from trainer.data.groups import PromptGroup
from trainer.data.index import READABLE, REFUSED, group_key, join_measured, measure_row_group, split_groups
from trainer.data.label_sets import RowGroup
from trainer.prompts import PromptRenderer

TOKENIZER = chatml()
RENDERER = PromptRenderer(TOKENIZER)
STOP = TOKENIZER.convert_tokens_to_ids("<|im_end|>")
EOS = TOKENIZER.eos_token_id


def row(row_id="r1", group_id="g1", ids=(5, 6, 7), labels=(1, 0, -1), logprobs=None, **sample) -> LabelledResponse:
    context = (Passage("p1", "It opened in 1932."),)
    filled = Sample(row_id, group_id, **{"prompt": "When?", "context": context, "response": "abc", **sample})
    zeros = np.zeros(len(ids), np.int32)
    tokens = TokenLabels(np.array(ids, np.int32), zeros, zeros, np.array(labels, np.int8))
    claims = tuple(Claim(f"c{n}", "x", verdict=verdict, status="ok") for n, verdict in enumerate(VERDICTS))
    return LabelledResponse(filled, claims, (LabelSpan(0, 1, 1),), tokens, "labelled", 0, logprobs)


VERDICTS = (SUPPORTED, SUPPORTED, "contradicted", "unsupported")


def stored(tmp_path, rows) -> RowGroup:
    return stored_table(tmp_path, to_table(rows))


def stored_table(tmp_path, table: pa.Table) -> RowGroup:
    pq.write_table(table, tmp_path / "part.parquet")
    return RowGroup(0, str(tmp_path / "part.parquet"), 0, len(table))


def decoded(tmp_path, *rows, renderer=RENDERER) -> list[PromptGroup]:
    return decode_row_group(stored(tmp_path, rows), renderer)  # type: ignore[return-value]


def test_rows_of_a_prompt_become_one_group_with_stop_tokens(tmp_path):
    first, second = decoded(
        tmp_path,
        row("r1", logprobs=(-0.5, -0.25, -1.0)),
        row("r2", ids=(8,), labels=(-1,)),
        row("r3", "g2", prompt="Why?"),
    )
    assert [(group.group_id, len(group.responses)) for group in (first, second)] == [("g1", 2), ("g2", 1)]
    expected = PromptRenderer(TOKENIZER).render("When?", (Passage("", "It opened in 1932."),)).prompt_ids
    assert first.prompt_ids.tolist() == expected.tolist()
    one, other = first.responses
    assert (one.token_ids.tolist(), one.labels.tolist()) == ([5, 6, 7, STOP], [1, 0, -1, 0])
    assert one.old_logprobs[:3].tolist() == [-0.5, -0.25, -1.0]
    assert math.isnan(one.old_logprobs[3])
    assert one.is_stop.tolist() == [False, False, False, True]
    assert other.token_ids.tolist() == [8, STOP]
    assert np.isnan(other.old_logprobs).all()
    assert (one.claims_supported, one.claims_unsupported) == (2, 2)
    assert [array.dtype.name for array in (one.token_ids, one.labels, one.old_logprobs)] == ["int32", "int8", "float32"]
    assert first.packed_tokens == len(expected) + 6


@pytest.mark.parametrize("stop", [STOP, EOS])
def test_sampled_stop_token_is_kept_with_its_log_prob_and_not_doubled(tmp_path, stop):
    (group,) = decoded(tmp_path, row(ids=(5, stop), labels=(1, 0), logprobs=(-0.5, -0.125)))
    (response,) = group.responses
    assert response.token_ids.tolist() == [5, stop]
    assert response.old_logprobs.tolist() == [-0.5, -0.125]
    assert response.is_stop.tolist() == [False, True]


def test_stop_token_carries_no_label_even_if_a_shard_says_so(tmp_path):
    (group,) = decoded(tmp_path, row(ids=(5, STOP), labels=(1, -1)))
    assert group.responses[0].labels.tolist() == [1, 0]


def test_log_probs_that_are_missing_infinite_or_positive_are_unknown(tmp_path):
    (group,) = decoded(tmp_path, row(ids=(5, 6, 7, 8), labels=(0,) * 4, logprobs=(-0.5, math.nan, -math.inf, 0.5)))
    assert np.isnan(group.responses[0].old_logprobs).tolist() == [False, True, True, True, True]


def test_response_that_was_cut_gets_no_stop_token(tmp_path):
    (group,) = decoded(tmp_path, row(ids=(5, 6), labels=(1, -1), meta={"finish_reason": "length"}))
    (response,) = group.responses
    assert response.token_ids.tolist() == [5, 6]
    assert not response.has_stop


def test_empty_response_is_its_stop_token(tmp_path):
    (group,) = decoded(tmp_path, row(ids=(), labels=(), response=""))
    assert group.responses[0].token_ids.tolist() == [STOP]
    without_stop = PromptRenderer(wrap(byte_level_bpe(), [], []))
    (group,) = decoded(tmp_path, row(ids=(), labels=(), response=""), renderer=without_stop)
    assert (len(group.responses[0]), group.responses[0].has_stop) == (0, False)


def test_chat_messages_are_rendered_with_their_roles(tmp_path):
    chat = (Message("system", "Be brief."), Message("user", "When?"))
    (group,) = decoded(tmp_path, row(prompt=chat))
    assert (
        group.prompt_ids.tolist()
        == PromptRenderer(TOKENIZER).render(chat, (Passage("", "It opened in 1932."),)).prompt_ids.tolist()
    )


@pytest.mark.parametrize("style", STYLES)
def test_every_style_of_template_ends_a_response_with_its_own_stop(tmp_path, style):
    renderer = PromptRenderer(STYLES[style]())
    (group,) = decoded(tmp_path, row(), renderer=renderer)
    assert group.responses[0].token_ids[-1] == renderer.stop_id


def test_only_the_wanted_groups_are_rendered(tmp_path):
    row_group = stored(tmp_path, [row("a", "g1"), row("b", "g1"), row("c", "g2"), row("d", "g3")])
    groups = decode_row_group(row_group, RENDERER, [3, 0])
    assert [group.group_id for group in groups] == ["g3", "g1"]  # type: ignore[union-attr]
    with pytest.raises(ShardError, match="no prompt group begins at row 1"):
        decode_row_group(row_group, RENDERER, [1])


def test_groups_of_many_rows_and_of_equal_ids_apart_are_told_apart(tmp_path):
    groups = decoded(tmp_path, *(row(f"r{n}", f"g{n // 40}") for n in range(120)))
    assert [len(group.responses) for group in groups] == [40, 40, 40]


def broken(table: pa.Table, column: str, values) -> pa.Table:
    at, field = table.column_names.index(column), table.schema.field(column).with_nullable(True)
    return table.set_column(at, field, pa.array(values, field.type))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("token_labels", [[1, 0]], "row 0: 2 labels for 3 tokens"),
        ("token_labels", [[1, 2, 0]], "a token label other than"),
        ("token_labels", [[1, None, 0]], "a token label other than"),
        ("token_ids", [[5, 10**6, 7]], "a token id outside the model's vocabulary"),
        ("token_ids", [[5, -1, 7]], "a token id outside the model's vocabulary"),
        ("token_ids", [[5, None, 7]], "a token id outside the model's vocabulary"),
        ("behaviour_logprobs", [[-1.0, -1.0]], "row 0: 2 log-probabilities for 3 tokens"),
    ],
)
def test_what_no_pipeline_wrote_is_refused_with_its_place(tmp_path, column, values, message):
    row_group = stored_table(tmp_path, broken(to_table([row()]), column, values))
    with pytest.raises(ShardError, match=f"part.parquet, row group 0.*{message}"):
        decode_row_group(row_group, RENDERER)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((name, None) for name in ("id", "group_id", "context", "token_ids", "token_labels", "n_supported", "meta")),
        ("messages", [None]),
        ("messages", [{"role": "user", "content": None}]),
        ("messages", [{"role": None, "content": "x"}]),
        ("context", [None]),
        ("context", [{"passage_id": "p1", "text": None}]),
    ],
)
def test_null_where_the_schema_has_none_is_refused_not_taken_for_another_row(tmp_path, column, value):
    table = to_table([row("r1"), row("r2"), row("r3", ids=(5, 6, 7, 8), labels=(0, 0, 0, 1))])
    values = table[column].to_pylist()
    row_group = stored_table(tmp_path, broken(table, column, [values[0], value, values[2]]))
    with pytest.raises(ShardError, match=f"part.parquet, row group 0: the column {column} holds a null"):
        decode_row_group(row_group, RENDERER)


def test_prompt_that_the_template_refuses_is_counted_and_left_out_of_the_plan(tmp_path):
    template = CHATML + "{% if 'never' in messages[0].content %}{{ raise_exception('no') }}{% endif %}"
    renderer = PromptRenderer(wrap(byte_level_bpe(), ["<|im_start|>", "<|im_end|>"], [], chat_template=template))
    row_group = stored(tmp_path, [row("a", "g1", prompt="never"), row("b", "g2")])
    refused, fine = decode_row_group(row_group, renderer)
    assert isinstance(refused, RefusedGroup)
    assert refused.reason == "the chat template refuses a conversation of roles user: no"
    index = join_measured([measure_row_group(row_group, 0, renderer)], [row_group], "key")
    assert index.entries["state"].tolist() == [REFUSED, READABLE]
    assert list(index.problems.values()) == [refused.reason]
    split = split_groups(index, 10**6)
    assert (split.train.tolist(), split.left_out["refused_prompt"]) == ([1], 1)
    assert index.packed_tokens[1] == fine.packed_tokens  # type: ignore[union-attr]


def test_group_longer_than_the_window_is_dropped_and_counted_or_refused(tmp_path):
    row_group = stored(tmp_path, [row("a", "g1"), row("b", "g2", ids=(5,) * 300, labels=(0,) * 300)])
    index = join_measured([measure_row_group(row_group, 0, RENDERER)], [row_group], "key")
    longest = int(index.entries["longest_row"][1])
    assert split_groups(index, longest).train.tolist() == [0, 1]
    split = split_groups(index, longest - 1)
    assert (split.train.tolist(), split.left_out["too_long"]) == ([0], 1)
    with pytest.raises(ShardError, match=rf"row group 0, row 1: a prompt group of {longest} tokens.*--too-long drop"):
        split_groups(index, longest - 1, too_long="error")
    with pytest.raises(ShardError, match="no prompt group to train on: 2 in the label sets, 2 too long"):
        split_groups(index, 3)


def test_key_of_a_group_never_changes():
    # written down once: a change here would move groups between training and held-out
    keys = [
        11915143128194569560,
        4204823018785789827,
        7257317962378078294,
    ]
    assert [group_key(group) for group in ("a", "漢字", "")] == keys


def test_group_equality_is_identity_so_that_arrays_are_never_compared_by_accident(tmp_path):
    (group,) = decoded(tmp_path, row())
    assert group == group
    assert dataclasses.replace(group) != group
