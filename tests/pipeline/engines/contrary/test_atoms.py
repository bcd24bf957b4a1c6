"""Addresses, options and identifiers that the context lacks."""

import pytest

from pipeline.engines.context_index import index_context
from pipeline.engines.contrary.atoms import strange_atom
from schemas.records import Passage

CONTEXT = (
    Passage("a", "The host is db1.internal; write to help@lsx.org or see https://lsx.org/docs/2.4."),
    Passage("b", "Run lsx -a DIR or lsx --all DIR. Set retry_limit in lsx.toml. Node.js is not needed, e.g. on CI."),
)


@pytest.mark.parametrize(
    ("claim", "atom"),
    [
        ("The host is db2.internal.", "db2.internal"),
        ("Write to help@lsy.org.", "help@lsy.org"),
        ("See https://lsx.com/docs/2.4 for more.", "https://lsx.com/docs/2.4"),
        ("Use `lsx --long DIR`.", "--long"),
        ("Use lsx -r.", "-r"),
        ("Set max_retry_limit first.", "max_retry_limit"),
        ("Edit lsx.yaml.", "lsx.yaml"),
    ],
)
def test_what_the_context_does_not_have_is_named(claim, atom):
    assert strange_atom(claim, index_context(CONTEXT)) == f"“{atom}” is not in the context"


@pytest.mark.parametrize(
    "claim",
    [
        "The host is DB1.internal.",
        "Write to help@lsx.org, or see https://lsx.org/docs/2.4.",
        "Use --all or -a; retry_limit stands in lsx.toml.",
        "A well-known, state-of-the-art tool (e.g. for C++/Rust, i.e. systems) costs 3.50 a.m. and p.m.",
        "It ended.Next came another sentence without a space.",
        "- a list item\n- and/or another -- with a dash",
        "U.S. and U.K. firms, Inc. and Ltd., v2.4 of it",
    ],
)
def test_what_it_has_and_what_is_no_such_name_is_not(claim):
    assert strange_atom(claim, index_context(CONTEXT)) == ""
