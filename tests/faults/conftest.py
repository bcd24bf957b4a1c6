"""One warm process, one set of inputs and one undisturbed run of every command, for all tests of this folder."""

import pytest

from tests.faults.scenarios import Inputs
from tests.faults.warm_balto import WarmBalto


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def balto(folder):
    with WarmBalto(folder) as running:
        yield running


@pytest.fixture(scope="session")
def inputs(folder):
    with Inputs(folder) as made:
        yield made


@pytest.fixture(scope="session")
def scenarios(balto, inputs):
    return inputs.scenarios(balto)
