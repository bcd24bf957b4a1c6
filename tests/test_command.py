"""The `balto` command as typed: exit codes, one-line errors, summaries, how long the help takes."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from balto import app
from tests.rows import small_corpus, write_jsonl

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"


def balto(*args: object, code: int = 0) -> str:
    """Standard output of a run that ends with `code`; standard error where it fails."""
    command = [sys.executable, "-m", "balto", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("labels") / "labels"
    balto("label", SAMPLE / "corpus.jsonl", "--tokenizer", SAMPLE / "tokenizer.json", "--out", out)
    return out


def test_version_is_the_package_s():
    assert balto("--version") == f"balto {version('balto')}\n"


def test_label_ends_with_a_summary_that_adds_up(tmp_path):
    output = balto("label", SAMPLE / "corpus.jsonl", "--out", tmp_path / "labels")
    read, labelled, rejected = map(
        int, re.match(r"(\d+) records read = (\d+) labelled \+ (\d+) rejected", output).groups()
    )
    assert read == labelled + rejected == len((SAMPLE / "corpus.jsonl").read_text().splitlines())


def test_several_files_patterns_and_a_named_format(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", small_corpus(2))
    write_jsonl(tmp_path / "b.jsonl", [{"question": "Who?", "passages": ["Ada."], "answer": "Ada did."}])
    out = balto("label", tmp_path / "*.jsonl", "--out", tmp_path / "labels", "--json")
    assert json.loads(out)["labelled"] == 7
    balto("label", tmp_path / "a.jsonl", "--format", "plain", "--out", tmp_path / "plain")


def test_stats_prints_tables_and_the_same_as_json(labels):
    tables = json.loads(balto("stats", labels, "--json"))
    assert tables["overview"][0]["records"] == 45
    assert sum(row["records"] for row in tables["by policy"]) == 45
    text = balto("stats", labels)
    assert "by policy" in text
    assert "…" not in text  # nothing is cut at the width of a plain terminal


@pytest.mark.parametrize("form", [("show",), ("stats",), ("stats", "--json"), ("score", "--csv"), ("show", "--help")])
def test_a_reader_that_has_gone_ends_the_command_without_a_word(labels, form):
    mine, its = os.pipe()
    os.close(mine)
    command = [sys.executable, "-m", "balto", form[0], str(labels), *form[1:]]
    done = subprocess.run(command, cwd=ROOT, stdout=its, stderr=subprocess.PIPE, timeout=200)
    os.close(its)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_pipe_of_another_that_breaks_is_told(labels):
    code = (
        "import errno, os, balto, pipeline.show.show as show\n"
        "def broken(*_): raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))\n"
        "show.chosen_rows = broken\n"
        "balto.main()"
    )
    command = [sys.executable, "-c", code, "show", str(labels)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    told = "balto: [Errno 32] Broken pipe; once that is mended, the same command begins anew\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_lead_nowhere(labels, tmp_path, closed):
    command = f"{sys.executable} -m balto label {SAMPLE / 'corpus.jsonl'} --out {tmp_path / 'out'} {closed}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, stderr=subprocess.PIPE, timeout=200)
    assert (done.returncode, done.stderr) == (0, b"")
    balto("stats", tmp_path / "out")


def test_project_gives_a_label_set_that_stats_reads(labels, tmp_path):
    balto("project", labels, "--tokenizer", "bytes", "--out", tmp_path / "bytes")
    assert json.loads(balto("stats", tmp_path / "bytes", "--json"))["overview"][0]["records"] == 45


def test_beam_options_pass_through_in_both_spellings(tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(2))
    balto("label", corpus, "--out", tmp_path / "one", "--direct_num_workers", 1, "--job_name=mine")
    balto("label", "--runner", "FnApiRunner", corpus, "--out", tmp_path / "two")
    assert balto("label", corpus, "--out", tmp_path / "three", "--direct_num_workers=two", code=2).startswith(
        "balto: Beam option"
    )


BAD = [
    (("label",), "Missing argument"),
    (("label", "{corpus}"), "Missing option '--out'"),
    (
        ("label", "{corpus}", "--out", "{out}", "--certainty", "-2"),
        "belong to the policy's tokens; name its --tokenizer",
    ),
    (("label", "{tmp}/none.jsonl", "--out", "{out}"), "none.jsonl: no such file"),
    (("label", "{tmp}", "--out", "{out}"), "is a directory; name its files"),
    (("label", "{tmp}/empty.jsonl", "--out", "{out}"), "empty.jsonl: has no records"),
    (("label", "{tmp}/odd.jsonl", "--out", "{out}"), "no known format"),
    (("label", "{corpus}", "--out", "{out}", "--format", "csv"), "--format csv: there is no such"),
    (("label", "{corpus}", "--out", "gs:/bucket/x"), "gs:/bucket/x: is it gs://bucket/x?"),
    (("label", "{corpus}", "--out", "{out}", "--extractor", "magic"), "--extractor magic: there is no such engine"),
    (("label", "{corpus}", "--out", "{out}", "--verifier", "magic"), "--verifier magic: there is no such engine"),
    (("label", "{corpus}", "--out", "{out}", "--tokenizer", "./none"), "tokenizer ./none: no such file"),
    (("label", "{corpus}", "--out", "{out}", "--conflicts", "vote"), "--conflicts vote: must be one of"),
    (("label", "{corpus}", "--out", "{out}", "--labels", "silver"), "--labels silver: must be one of"),
    (("label", "{corpus}", "--out", "{out}", "--frobnicate"), "--frobnicate: neither an option"),
    (("label", "{corpus}", "--out", "{out}", "--machine-type=n2-standard-4"), "did you mean --machine_type?"),
    (("label", "{corpus}", "--out", "{out}", "--verifer", "lexical"), "did you mean --verifier?"),
    (("label", "{corpus}", "--out", "{out}", "--runner", "NoSuchRunner"), "--runner NoSuchRunner: Unexpected pipeline"),
    (
        ("label", "{corpus}", "--out", "{out}", "--runner=x.DaskRunner"),
        "--runner x.DaskRunner: it mixes up tagged outputs",
    ),
    (("label", "{corpus}", "--out", "ftp://bucket/labels"), "nothing here reads ftp://"),
    (("label", "{corpus}", "--out", "{tmp}/odd.jsonl"), "is a file"),
    (("label", "{corpus}", "--out", "{corpus}"), "is a file; name a new folder"),
    (("project", "{tmp}/none", "--tokenizer", "bytes", "--out", "{out}"), "no such label set"),
    (("generate", "{corpus}", "--model", "m", "--out", "{corpus}", "--overwrite"), "the prompts are read from there"),
    (("train", "{tmp}", "--model", "m", "--out", "{out}", "--dry-run", "--json"), "--json with --dry-run"),
    (("stats", "{tmp}"), "not a label set"),
    (("stats", "{tmp}/none"), "no such label set"),
    (("score", "{corpus}"), "no such label set"),
    (("show", "{tmp}/none"), "no such label set"),
    (("report", "{tmp}/none", "--out", "{out}"), "no such label set"),
    (("copy", "{tmp}/none", "{out}"), "no such label set"),
    (("train", "{tmp}/none", "--model", "{tmp}", "--out", "{out}"), "no such label set"),
    (
        ("generate", "{corpus}", "--model", "{tmp}/model", "--out", "{out}"),
        "the folder has no config.json; name the folder",
    ),
]


DATA = (
    "the folder has no config.json; name the folder",
    "empty.jsonl: has no records",
    "no known format",
    "not a label set",
)  # it is what the files hold: status 1


@pytest.mark.parametrize(("args", "message"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_bad_usage_is_one_line_and_leaves_nothing(args, message, tmp_path):
    places = {"tmp": tmp_path, "out": tmp_path / "out", "corpus": write_jsonl(tmp_path / "a.jsonl", small_corpus(1))}
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "model").mkdir()
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "odd.jsonl").write_text('{"colour": "red"}\n')
    command = [sys.executable, "-m", "balto", *(arg.format(**places) for arg in args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == (1 if message in DATA else 2)
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.startswith("balto: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_options_of_an_engine_that_is_not_used_are_said_to_have_no_effect(tmp_path):
    corpus = write_jsonl(tmp_path / "a.jsonl", small_corpus(1))
    command = ["label", corpus, "--out", tmp_path / "out", "--claims-per-call", "5", "--precision", "bfloat16"]
    done = subprocess.run([sys.executable, "-m", "balto", *map(str, command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--claims-per-call, --precision: without effect here" in done.stderr
    assert "without effect" not in balto("label", corpus, "--out", tmp_path / "other", "--workers", 1, "--json")


def test_missing_extra_is_one_line_with_the_remedy(tmp_path):
    hide = "import sys; sys.modules['polars'] = None; import balto; balto.main()"
    done = subprocess.run([sys.executable, "-c", hide, "stats", tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "balto: this command needs polars: pip install '.[pipeline]' in the checkout of balto\n",
    )


@pytest.mark.parametrize(
    ("step", "command", "then"),
    [
        ("with completing(): pass", "label", "the output is complete"),
        ("pass", "label", "the same command resumes"),
        ("pass", "train-verifier", "the same command begins anew"),
    ],
)
def test_a_second_signal_promises_what_the_same_command_does(step, command, then):
    code = f"""
import os, signal, sys, balto
from schemas.interruption import completing

def get_two_signals():
    try:
        {step}
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        return balto.INTERRUPTED

balto._run = get_two_signals
balto.main()
"""
    done = subprocess.run([sys.executable, "-c", code, command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, f"balto: terminated; {then}\n")


def test_the_help_of_every_command_ends_with_an_example():
    commands = typer.main.get_command(app).commands
    assert {
        name for name, one in commands.items() if not (one.epilog or "").startswith(f"Example: balto {name} ")
    } == set()


def test_help_loads_nothing_heavy_and_is_quick():
    heavy = {"apache_beam", "polars", "torch", "pyarrow", "tokenizers"}
    code = f"import sys, balto; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
    seconds = {"balto": [], "python": []}
    for _ in range(5):
        for name, command in (("balto", ["-m", "balto", "--help"]), ("python", ["-c", "import rich.console, typer"])):
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, check=True)
            seconds[name].append(time.perf_counter() - started)
    # most of it is what typer and rich need themselves, so the bound is theirs and not the machine's
    assert statistics.median(seconds["balto"]) < 3 * statistics.median(seconds["python"])


def test_control_characters_of_a_corpus_do_not_reach_the_terminal(tmp_path):
    record = {**small_corpus(1)[0], "policy": "\x1b[31mred\x1b[0m [bold]markup[/bold]"}
    corpus = write_jsonl(tmp_path / "a.jsonl", [record])
    balto("label", corpus, "--out", tmp_path / "labels")
    text = balto("stats", tmp_path / "labels", "--by", "policy")
    assert "\x1b" not in text
    assert r"\x1b[31mred\x1b[0m[bold]markup[/bold]" in re.sub(r"\s", "", text)


def test_output_of_a_read_only_folder_is_one_line(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    assert "cannot write there" in balto("label", SAMPLE / "corpus.jsonl", "--out", tmp_path / "out", code=2)
