"""The published files, where they are at hand, are read whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.pipeline.corpus_files import samples


def datasets() -> Path:
    folder = Path(os.environ.get("BALTO_DATASETS", Path(__file__).parents[4] / "shared" / "datasets"))
    if not folder.is_dir():
        pytest.skip(f"no datasets in {folder}; set BALTO_DATASETS to a folder with ragtruth_qa/ and factscore/")
    return folder


def test_real_ragtruth_and_factscore_are_read_whole():
    folder = datasets()
    ragtruth = samples(f"{folder}/ragtruth_qa/*.jsonl")
    factscore = samples(f"{folder}/factscore/*.jsonl")
    assert (len(ragtruth), len({s.group_id for s in ragtruth}), len({s.policy for s in ragtruth})) == (257, 46, 6)
    assert sum(len(s.gold_spans or ()) for s in ragtruth) == 64
    assert sum(bool(s.gold_spans) for s in ragtruth) == 48
    assert {len(s.context) for s in ragtruth} == {3}
    assert len(factscore) == 199
    assert sum(len(json.loads(s.meta["factscore_sentences"])) > 0 for s in factscore) == 199
