import dataclasses
import json
import math

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from schemas.errors import ConfigError
from schemas.records import Passage, Sample
from schemas.samples import sample_from_json
from schemas.tokens import fingerprint
from trainer.generation.generate import generate_corpus
from trainer.generation.local_policy import LocalPolicy
from trainer.generation.sampling import SamplingParams

PARAMS = SamplingParams(num_samples=3, max_new_tokens=12, seed=4)
RUN = {"model": "tiny"}
EOS = 0


def ascii_tokenizer(eos: str | None = "<eos>") -> PreTrainedTokenizerFast:
    """Byte-level BPE over ASCII only, so that whatever a random policy samples is text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = ["Passages: [1] The bridge opened in 1932. [2] It is 1149 metres long.\n\nWhen? Answer:\n"]
    specials = ["<eos>"] if eos else []
    tokenizer.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=90, special_tokens=specials, show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=eos)


def tiny_policy(vocabulary: int, window: int = 256) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=window,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config).eval()
    for weight in model.parameters():
        weight.data.mul_(3)
    return model


def generator(params=PARAMS, stop=(), window=256, eos="<eos>", max_cached_tokens=2_000) -> LocalPolicy:
    tokenizer = ascii_tokenizer(eos)
    return LocalPolicy(tiny_policy(len(tokenizer), window), tokenizer, "tiny", params, stop, max_cached_tokens)


def prompts(count=6):
    context = (Passage("p1", "The bridge opened in 1932."),)
    return [
        Sample(f"s{i}", f"g{i}", "When? " * (i + 1), context, None, source="p.jsonl", source_row=i)
        for i in range(count)
    ]


def read(path):
    return [
        sample_from_json(json.loads(line), source="", source_row=0, default_id=None)
        for line in path.read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    summary = generate_corpus(prompts(), generator(), out, RUN, [])
    return summary, read(out)


def test_every_prompt_gets_its_responses_with_ids_and_logprobs(corpus):
    summary, records = corpus
    assert (summary.prompts, summary.generated, summary.rejected, summary.responses) == (6, 6, 0, 18)
    assert sorted(record.id for record in records) == sorted(f"g{i}:{n}" for i in range(6) for n in range(3))
    for record in records:
        assert record.response_token_ids is not None
        assert record.response_logprobs is not None
        assert len(record.response_token_ids) == len(record.response_logprobs)
        assert all(math.isfinite(value) and value <= 0 for value in record.response_logprobs)
        assert record.policy == "tiny"
        assert record.tokenizer == fingerprint(ascii_tokenizer().backend_tokenizer)
        assert (record.meta["finish_reason"] == "stop") == (record.response_token_ids[-1] == EOS)
        assert record.meta["finish_reason"] == "stop" or len(record.response_token_ids) == 12
    assert summary.tokens == sum(len(record.response_token_ids or ()) for record in records)
    assert summary.cut == sum(record.meta["finish_reason"] == "length" for record in records)
    assert 0 < summary.cut < 18


def test_the_response_is_the_text_of_its_ids(corpus):
    tokenizer = ascii_tokenizer()
    for record in corpus[1]:
        assert record.response == tokenizer.decode(list(record.response_token_ids), skip_special_tokens=True)


def test_a_killed_run_goes_on_and_gives_the_corpus_of_an_unbroken_one(corpus, tmp_path):
    class KilledError(Exception):
        pass

    class Dying(LocalPolicy):
        def answer(self, batch, done):
            if any(prompt.sample.group_id == "g4" for prompt in batch):
                raise KilledError
            return super().answer(batch, done)

    whole = generator(max_cached_tokens=150)
    dying = generator(max_cached_tokens=150)
    dying.__class__ = Dying
    out = tmp_path / "corpus.jsonl"
    with pytest.raises(KilledError):
        generate_corpus(prompts(), dying, out, RUN, [])
    assert not out.exists()
    summary = generate_corpus(prompts(), whole, out, RUN, [])
    records = sorted(read(out), key=lambda record: record.id)
    expected = sorted(corpus[1], key=lambda record: record.id)
    assert [record.response_token_ids for record in records] == [record.response_token_ids for record in expected]
    assert summary == corpus[0]


@pytest.mark.parametrize("window", [3, 512])  # of prompts that are sorted by length together
def test_a_run_killed_at_any_record_gives_the_bytes_of_an_unbroken_one(tmp_path, monkeypatch, window):
    monkeypatch.setattr("trainer.generation.plan_batches.WINDOW", window)
    shuffled = [prompts()[at] for at in (3, 0, 5, 1, 4, 2)]
    asked: list[list[str]] = []

    class Noting(LocalPolicy):
        def answer(self, batch, done):
            asked.append([prompt.sample.group_id for prompt in batch])
            return super().answer(batch, done)

    def run(out):
        policy = generator(max_cached_tokens=350)
        policy.__class__ = Noting
        asked.clear()
        generate_corpus(shuffled, policy, out, RUN, [])
        return out.read_bytes(), list(asked)

    out = tmp_path / "corpus.jsonl"
    whole, batches = run(out)
    assert max(map(len, batches)) >= 2
    assert len(batches) >= 2
    run_file = tmp_path / ".corpus.jsonl.run.json"
    described = {**RUN, **dataclasses.asdict(PARAMS), **generator().described()}
    lines = whole.splitlines(keepends=True)
    for kept in range(len(lines)):
        out.unlink()
        (tmp_path / ".corpus.jsonl.partial").write_bytes(b"".join(lines[:kept]))
        run_file.write_text(json.dumps(described))
        again, second = run(out)
        assert again == whole
        assert second == batches[len(batches) - len(second) :]  # the batch that was cut is decoded as it was
        assert len(second) == len(batches) or kept >= 3 * len(batches[0])


def test_a_prompt_group_is_answered_once(tmp_path):
    doubled = [*prompts(2), dataclasses.replace(prompts(1)[0], id="again")]
    assert generate_corpus(doubled, generator(), tmp_path / "c.jsonl", RUN, []).prompts == 2


def test_a_prompt_longer_than_the_window_is_rejected_and_named(tmp_path):
    out = tmp_path / "c.jsonl"
    summary = generate_corpus(prompts(6), generator(window=45), out, RUN, [])
    assert 0 < summary.rejected < 6
    assert summary.generated == 6 - summary.rejected
    refused = [json.loads(line) for line in (tmp_path / "c.jsonl.rejected.jsonl").read_text().splitlines()]
    assert len(refused) == summary.rejected
    assert refused[0]["source"] == "p.jsonl"
    assert "the model's window is 45, which leaves no room for 12 new ones" in refused[0]["reason"]


def test_a_prompt_with_a_token_that_the_model_has_no_embedding_for_is_rejected(tmp_path):
    tokenizer = ascii_tokenizer()
    model = tiny_policy(len(tokenizer))
    tokenizer.add_tokens(["<new>"])
    policy = LocalPolicy(model, tokenizer, "tiny", PARAMS, (), 2_000)
    asked = [dataclasses.replace(sample, prompt="When? <new>") if i else sample for i, sample in enumerate(prompts(2))]
    summary = generate_corpus(asked, policy, tmp_path / "c.jsonl", RUN, [])
    assert (summary.generated, summary.rejected) == (1, 1)
    (refused,) = (tmp_path / "c.jsonl.rejected.jsonl").read_text().splitlines()
    assert json.loads(refused)["reason"] == "its token '<new>' has no embedding in the model"


def test_a_model_without_stop_token_is_refused_unless_one_is_named(tmp_path):
    with pytest.raises(ConfigError, match="has no stop token; name one with --stop"):
        generator(eos=None)
    with pytest.raises(ConfigError, match="--stop <end>: is no single token"):
        generator(eos=None, stop=("<end>",))
    named = generator(eos=None, stop=("e",))
    generate_corpus(prompts(2), named, tmp_path / "c.jsonl", RUN, [])
    (stop_id,) = named.stop_ids
    assert all(stop_id not in record.response_token_ids for record in read(tmp_path / "c.jsonl"))
