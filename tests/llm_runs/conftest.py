"""One endpoint and one label set of the sample corpus for all tests of a process."""

from pathlib import Path

import pytest

from tests.llm_runs.commands import KEY, SAMPLE, behaviour, label
from tests.llm_server import LlmServer
from tests.llm_server.claim_answers import answer_by_rule


@pytest.fixture(scope="session")
def server():
    with LlmServer(behaviour(api_key=KEY), answer_by_rule) as running:
        yield running


@pytest.fixture(scope="session")
def labels(server, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("llm") / "labels"
    label(server, SAMPLE, out)
    return out
