"""`balto label` with the engine `llm` against a real endpoint on loopback: the command and what is read of it."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import polars as pl
import pytest

from balto import main as balto_main
from tests.llm_server import Behaviour

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample" / "corpus.jsonl"
MODEL = "rule-server"
KEY = "sk-a-key-that-must-stand-nowhere"
BOTH = ("--extractor", "llm", "--verifier", "llm")


def behaviour(**changes) -> Behaviour:
    return Behaviour(**{"models": (MODEL,), "slow_s": 0.2, "retry_after_s": 0.05, **changes})


def balto(*args: object, code: int = 0, key: str = KEY) -> str:
    """Standard output of the command, or standard error where it ends with another `code` than 0. In this process:
    loading Beam anew for every run would take most of the time."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("OPENAI_API_KEY", key)
        patch.setattr(sys, "argv", ["balto", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            balto_main()
    assert ended.value.code == code, err.getvalue()
    assert KEY not in out.getvalue() + err.getvalue()
    return out.getvalue() if code == 0 else err.getvalue()


def label(server, corpus, out, *args, code: int = 0, key: str = KEY) -> str:
    where = ("--base-url", server.base_url, "--model", MODEL)
    engines = () if "--extractor" in args or "--verifier" in args else BOTH
    return balto("label", corpus, "--out", out, *engines, *where, *args, code=code, key=key)


def rows(out: Path) -> pl.DataFrame:
    return pl.scan_parquet(out / "shards").collect()
