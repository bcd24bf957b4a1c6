"""A model, a label set and a whole run on them, each made once per file of tests."""

from pathlib import Path

import pytest

from tests.trainer.tiny_runs import label_folder, model_folder, tiny_config
from trainer.train import train


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    return label_folder(tmp_path_factory.mktemp("labels") / "labels")


@pytest.fixture(scope="module")
def unbroken(model, labels, tmp_path_factory) -> Path:
    """A run of six steps without a break."""
    out = tmp_path_factory.mktemp("unbroken") / "run"
    train(tiny_config(model, labels, out, held_out=0.2, eval_every=3))
    return out
