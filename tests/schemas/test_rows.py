import dataclasses
import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ShardError
from schemas.records import NO_CLAIMS, Claim, LabelledResponse, LabelSpan, Passage, Rejected, Span
from schemas.rows import from_table, to_rejected_table, to_table
from schemas.shards import CLAIM_MEANING, MEANING, SHARD_SCHEMA
from schemas.tokens import label_text, load_tokenizer
from tests.rows import full_row, make_sample


def through_parquet(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return pq.read_table(pa.BufferReader(sink.getvalue()))


def bare_row(response: str = "") -> LabelledResponse:
    tokens = label_text(load_tokenizer("bytes"), response, [])
    return LabelledResponse(make_sample(response=response, context=()), (), (), tokens, NO_CLAIMS)


def test_row_with_every_field_survives_parquet():
    row = full_row()
    for record in (row, row.sample, row.claims[0]):  # the fixture leaves no field at a default that hides a loss
        for field in dataclasses.fields(record):
            if field.compare:  # the others are not stored
                assert getattr(record, field.name) not in (None, (), "", 0), field.name
    assert from_table(through_parquet(to_table([row]))) == [row]


def test_unset_fields_stay_unset_and_empty_stays_apart_from_unknown():
    unknown, clean = bare_row(), bare_row("x")
    clean = dataclasses.replace(clean, sample=dataclasses.replace(clean.sample, gold_spans=()))
    back = from_table(through_parquet(to_table([unknown, clean])))
    assert back == [unknown, clean]
    assert (back[0].sample.gold_spans, back[1].sample.gold_spans) == (None, ())


TEXT = st.text(max_size=12).filter(lambda text: text.isprintable() or "\n" in text)


@given(st.lists(st.tuples(TEXT, TEXT, st.booleans(), st.integers(0, 3)), max_size=5))
def test_any_rows_survive_parquet(drawn):
    rows = []
    for response, other, known, claims in drawn:
        sample = make_sample(
            response=response, prompt=other, context=(Passage(other, response),), policy=other if known else None
        )
        spans = (LabelSpan(0, len(response), 1),) if response else ()
        made = tuple(Claim(f"c{n}", other, (response,), spans=(Span(0, n),)) for n in range(claims))
        tokens = label_text(load_tokenizer("bytes"), response, spans)
        rows.append(LabelledResponse(sample, made, spans, tokens, NO_CLAIMS))
    table = to_table(rows)
    assert from_table(through_parquet(table)) == rows
    assert table["n_tokens_supported"].to_pylist() == [int((row.tokens.labels == 1).sum()) for row in rows]


def test_slice_of_a_table_gives_its_own_rows():
    rows = [full_row("r1"), full_row("r2"), full_row("r3")]
    assert from_table(to_table(rows).slice(1, 1)) == [rows[1]]


def test_counts_of_a_row_follow_from_its_claims_and_tokens():
    (row,) = to_table([full_row()]).to_pylist()
    counts = {name: row[name] for name in row if name.startswith("n_")}
    assert counts == {
        "n_claims": 3,
        "n_supported": 1,
        "n_contradicted": 1,
        "n_unsupported": 0,
        "n_unverified": 1,
        "n_unmatched": 1,
        "n_conflicts": 1,
        "n_doubtful": 1,
        "n_tokens": 44,  # 41 characters, one of them an emoji of four bytes
        "n_tokens_supported": 10,
        "n_tokens_unsupported": 4,
    }


def test_every_column_says_what_it_means_in_the_file():
    schema = through_parquet(to_table([full_row()])).schema
    assert schema.metadata[b"balto.schema_version"] == b"1"
    assert {field.name: field.metadata[b"description"].decode() for field in schema} == MEANING
    assert all(MEANING[name] for name in SHARD_SCHEMA.names)


def test_every_field_inside_a_column_says_what_it_means_in_the_file():
    def nested(type_: pa.DataType) -> list[pa.Field]:
        inner = type_.value_type if pa.types.is_list(type_) else type_
        fields = [inner.field(place) for place in range(inner.num_fields)] if pa.types.is_struct(inner) else []
        return fields + [one for field in fields for one in nested(field.type)]

    schema = through_parquet(to_table([full_row()])).schema
    found = [field for column in schema for field in nested(column.type)]
    assert len(found) > 30
    assert all(field.metadata[b"description"] for field in found)
    claim = schema.field("claims").type.value_type
    meanings = {field.name: field.metadata[b"description"].decode() for field in nested(claim)[: claim.num_fields]}
    assert meanings == CLAIM_MEANING


def test_polars_reads_shards(tmp_path):
    pq.write_table(to_table([full_row()]), tmp_path / "part.parquet")
    frame = pl.scan_parquet(tmp_path / "part.parquet").select("id", "token_labels", "meta", "claims").collect()
    assert frame["token_labels"][0].to_list().count(-1) == 4
    assert frame["claims"][0][0]["verdict"] == "contradicted"


def test_table_of_another_kind_is_refused():
    with pytest.raises(ShardError, match="lacks the columns"):
        from_table(pa.table({"id": ["a"]}))


def test_rejected_records_keep_their_fields():
    rejected = Rejected("r1", "corpus.jsonl", 3, "read", "not JSON", "{")
    assert through_parquet(to_rejected_table([rejected])).to_pylist() == [dataclasses.asdict(rejected)]
