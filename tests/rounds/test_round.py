import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.make_tiny_policy import make_policy
from rounds.cli import GenerateOptions
from rounds.endpoint_policy import EndpointPolicy
from rounds.generate_corpus import GenerationConfig, run_generate
from rounds.round import RoundConfig, held_out_groups, run_round, stages
from schemas.errors import BaltoError, ConfigError
from schemas.manifest import read_manifest
from tests.rows import write_jsonl
from trainer.generation.sampling import SamplingParams

SAMPLE = str(Path(__file__).parents[2] / "data" / "sample" / "corpus.jsonl")
SMALL = {
    "generate": "--samples 2 --max-new-tokens 32",
    # an untrained policy says nothing that is supported: balanced credit would find no group of both labels
    "train": "--credit token --lora-rank 4 --groups-per-step 8 --workers 0 --eval-every 0",
}


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    make_policy(folder, layers=1, hidden=16)
    return str(folder)


@pytest.fixture(scope="module")
def finished(policy, tmp_path_factory):
    out = tmp_path_factory.mktemp("round") / "out"
    config = RoundConfig((SAMPLE,), policy, held_out=0.3, **SMALL)
    return config, out, run_round(config, out)


def groups(path) -> set[str]:
    return {json.loads(line)["group_id"] for line in path.read_text().splitlines()}


@pytest.mark.slow
def test_a_round_trains_on_one_part_and_scores_the_other(finished):
    _, out, (scores,) = finished
    train, held_out = groups(out / "prompts" / "train.jsonl"), groups(out / "prompts" / "held-out.jsonl")
    assert train.isdisjoint(held_out)
    assert (len(train), len(held_out)) == (11, 4)
    assert groups(out / "round-1" / "corpus.jsonl") == train
    assert groups(out / "start" / "answers.jsonl") == groups(out / "round-1" / "answers.jsonl") == held_out
    assert read_manifest(out / "round-1" / "labels").counts["labelled"] == 22
    assert (out / "round-1" / "run" / "model" / "adapter_model.safetensors").is_file()
    assert {row["score"] for row in scores["difference"]} >= {"faithfulness", "q_score", "characters"}
    assert scores == json.loads((out / "round-1" / "scores.json").read_text())


@pytest.mark.slow
def test_sampled_ids_reach_the_label_set(finished):
    import pyarrow.parquet as pq

    _, out, _ = finished
    records = [json.loads(line) for line in (out / "round-1" / "corpus.jsonl").read_text().splitlines()]
    table = pq.read_table(out / "round-1" / "labels" / "shards", columns=["id", "token_ids", "behaviour_logprobs"])
    stored = {row["id"]: row for row in table.to_pylist()}
    for record in records:
        assert stored[record["id"]]["token_ids"] == record["response_token_ids"]
        assert stored[record["id"]]["behaviour_logprobs"] == pytest.approx(record["response_logprobs"], rel=1e-6)


@pytest.mark.slow
def test_a_finished_round_runs_nothing_again(finished, monkeypatch):
    config, out, scores = finished

    def refuse(*args, **kwargs):
        raise AssertionError(f"ran {args}")

    monkeypatch.setattr("rounds.round.run_stage", refuse)
    assert run_round(config, out) == scores


def test_defaults_of_generate_are_those_of_its_configuration():
    options = dataclasses.asdict(GenerateOptions())
    for config in (SamplingParams, GenerationConfig):
        for field in dataclasses.fields(config):
            if field.name in options and field.name != "stop":
                assert options[field.name] == field.default, field.name
    assert options["samples"] == SamplingParams().num_samples


def test_stages_are_commands_and_each_starts_from_the_last_model(tmp_path):
    config = RoundConfig(("p.jsonl",), "start-model", rounds=2, train="--beta 0.1")
    commands = [stage.arguments for stage in stages(config, tmp_path)]
    assert [command[0] for command in commands] == ["generate", "label"] + 2 * [
        *("generate", "label", "train", "generate", "label")
    ]
    trained = str(tmp_path / "round-1" / "run" / "model")
    second = [command for command in commands if str(tmp_path / "round-2") in " ".join(command)]
    assert all(trained in command for command in second[:3])
    assert [command[-2:] for command in commands if command[0] == "train"] == [("--beta", "0.1")] * 2


def test_a_failing_stage_ends_the_round_with_its_name_and_another_question_does_not_resume_it(tmp_path):
    config = RoundConfig((SAMPLE,), str(tmp_path / "no-model"))
    with pytest.raises(ConfigError, match="start: answer ended with exit code 2"):
        run_round(config, tmp_path / "out")
    with pytest.raises(ConfigError, match="holds a round with seed 0, not 1"):
        run_round(dataclasses.replace(config, seed=1), tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": "--epohcs 2"}, "--train: No such option: --epohcs"),
        ({"train": "--lr fast"}, "--train: Invalid value for '--lr'"),
        ({"generate": "--samples 0"}, "--generate: Invalid value for '--samples'"),
        ({"generate": "--temperature 0"}, "--generate: --temperature 0 with --samples 8: .* give --samples 1"),
        ({"label": "--workers x"}, "--label: Invalid value for '--workers'"),
        ({"label": "--verifer lexical"}, "--label: --verifer: neither an option .* did you mean --verifier"),
        ({"label": "--verifier nope"}, "--label: --verifier nope: there is no such engine"),
        ({"label": "--verifier nli:/no/such/folder"}, "--label: model /no/such/folder: there is no such folder"),
        ({"label": "--verifier llm"}, "--label: --model: missing"),
        ({"train": "--lr -1"}, "--train: --lr -1.0: must be above 0"),
        ({"train": "--config /no/such.yaml"}, "--train: --config /no/such.yaml"),
    ],
)
def test_a_mistyped_option_of_any_command_is_told_before_anything_runs(wrong, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run_round(RoundConfig((SAMPLE,), "m", **wrong), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def stages_until_the_first_label(monkeypatch) -> list[tuple[str, ...]]:
    """The arguments of the stages that a round runs from now on: those that label fail, others only leave a file."""
    ran = []

    def run(stage):
        ran.append(stage.arguments)
        if stage.arguments[0] == "label":
            raise BaltoError("as asked")
        stage.product.parent.mkdir(parents=True, exist_ok=True)
        stage.product.write_text("")

    monkeypatch.setattr("rounds.round.run_stage", run)
    return ran


def test_options_may_change_until_something_was_made_with_them(tmp_path, monkeypatch):
    out, ran = tmp_path / "out", stages_until_the_first_label(monkeypatch)
    config = RoundConfig((SAMPLE,), "m", generate="--samples 2", label="--threshold 0.9")
    for changed in (config, dataclasses.replace(config, label="--threshold 0.2", train="--lr 0.1")):
        with pytest.raises(BaltoError, match="as asked"):
            run_round(changed, out)
    assert ran[-1][-2:] == ("--threshold", "0.2")
    assert json.loads((out / "round.json").read_text())["train"] == "--lr 0.1"
    with pytest.raises(ConfigError, match="name another folder, or remove what was made so: start/answers.jsonl$"):
        run_round(dataclasses.replace(changed, generate="--samples 3"), out)
    (out / "start" / "answers.jsonl").unlink()
    with pytest.raises(BaltoError, match="as asked"):
        run_round(dataclasses.replace(changed, generate="--samples 3"), out)


def test_a_language_model_may_label_a_round(tmp_path, monkeypatch):
    ran = stages_until_the_first_label(monkeypatch)
    label = "--extractor llm --verifier llm --model judge --base-url http://localhost:1/v1"
    with pytest.raises(BaltoError, match="as asked"):
        run_round(RoundConfig((SAMPLE,), "policy", label=label), tmp_path / "out")
    assert ran[-1][-8:] == tuple(label.split())
    assert ran[-1][ran[-1].index("--tokenizer") + 1] == "policy"


def test_a_corpus_without_a_single_answer_is_an_error_that_names_the_reason(policy, tmp_path):
    out = tmp_path / "corpus.jsonl"
    config = GenerationConfig((SAMPLE,), policy, SamplingParams(num_samples=1, max_new_tokens=5000))
    with pytest.raises(
        BaltoError, match=r"none of 15 prompts could be answered; the first: .* window is 4096"
    ) as caught:
        run_generate(config, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
    assert len((tmp_path / "corpus.jsonl.rejected.jsonl").read_text().splitlines()) == 15


def test_an_unfinished_corpus_is_not_resumed_when_the_sources_of_its_prompts_have_changed(tmp_path, monkeypatch):
    sources, out = tmp_path / "source_info.jsonl", tmp_path / "corpus.jsonl"
    source = {"source_id": "1", "task_type": "QA", "source": "s", "prompt": "Q?", "source_info": {"question": "Q?"}}
    source["source_info"]["passages"] = "passage 1:It opened in 1932.\n\n"
    response = {"id": "0", "source_id": "1", "model": "m", "response": "In 1932.", "labels": [], "split": "train"}
    write_jsonl(tmp_path / "response.jsonl", [{**response, "quality": "good", "temperature": 0.7}])
    write_jsonl(sources, [source])
    config = GenerationConfig(
        (str(tmp_path / "response.jsonl"),), "m", SamplingParams(1, 5), base_url="http://127.0.0.1:9/v1"
    )

    def gone(self, prompts, done):
        raise BaltoError("gone")

    monkeypatch.setattr(EndpointPolicy, "answer", gone)
    with pytest.raises(BaltoError, match="gone"):
        run_generate(config, out)
    source["source_info"]["passages"] = "passage 1:It opened in 1933.\n\n"
    write_jsonl(sources, [source])
    with pytest.raises(BaltoError, match="an unfinished run there has inputs"):
        run_generate(config, out)


def test_held_out_groups_are_the_asked_share_and_never_all():
    ids = [f"g{i}" for i in range(50)]
    assert len(held_out_groups(ids, 0.2, 0)) == 10
    assert held_out_groups(ids, 0.2, 0) == held_out_groups(ids[::-1], 0.2, 0)
    assert held_out_groups(ids, 0.2, 0) != held_out_groups(ids, 0.2, 1)
    assert len(held_out_groups(["a", "b"], 0.01, 0)) == len(held_out_groups(["a", "b"], 0.99, 0)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"held_out": 0.0}, "--held-out 0.0: must be above 0"),
        ({"generate": "--out x"}, "--generate: --out is chosen by the round"),
        ({"label": "--tokenizer x"}, "--label: --tokenizer is chosen by the round"),
        ({"train": "--lr '1"}, "--train"),
    ],
)
def test_impossible_rounds_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        RoundConfig(("p.jsonl",), "m", **wrong)


def test_a_missing_corpus_is_told_before_anything_is_written(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "balto", "round", "nothing.jsonl", "--model", "m", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "nothing.jsonl" in done.stderr
    assert not (tmp_path / "out").exists()
