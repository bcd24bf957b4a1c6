"""The world in words, and a small round through the product's own stages."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("apache_beam")

from benchmarks.objectives.sampling import draw_prompts  # noqa: E402
from benchmarks.objectives.world import STOP  # noqa: E402
from benchmarks.objectives.world_round import MODEL, run_round  # noqa: E402
from benchmarks.objectives.world_text import WORDS, gold_spans, prompt_sample, text_of, world_tokenizer  # noqa: E402
from tests.objectives.test_world import PROMPT  # noqa: E402
from trainer.policy import load_tokenizer  # noqa: E402
from trainer.prompts import PromptRenderer  # noqa: E402


@pytest.mark.parametrize("tokenizer", [world_tokenizer(), load_tokenizer(str(MODEL))], ids=["made", "stored"])
def test_a_prompt_in_words_has_the_ids_that_the_model_was_taught(tokenizer):
    renderer = PromptRenderer(tokenizer)
    assert renderer.stop_ids == {STOP}
    for number, prompt in enumerate(draw_prompts("test", 20)):
        sample = prompt_sample(prompt, f"g{number}")
        assert renderer.render(sample.prompt, sample.context).prompt_ids.tolist() == prompt.tokens()


def test_marks_stand_on_the_claims_that_the_context_does_not_hold():
    # the context: Ada likes maps; Ben paints roses; Ada owns bells
    text = "Ada likes maps and owns tea . Ben paints bees and fears owls ."
    ids = [WORDS.index(word) for word in [*text.split(), "<stop>"]]
    found = [(text[span.start : span.end], span.label) for span in gold_spans(PROMPT, ids)]
    assert found == [("owns tea", "contradicted"), ("Ben paints bees", "contradicted"), ("fears owls", "unsupported")]
    assert text_of(ids) == world_tokenizer().decode(ids, skip_special_tokens=True) == text


def test_a_reduced_round_moves_the_wrong_tokens_down_and_tells_before_from_after(tmp_path):
    tables = run_round(tmp_path / "round", num_train=16, num_held_out=6, epochs=4, rate=1e-3)
    scores, moved, example = tables.values()
    assert [row["score"] for row in scores] == ["faithfulness", "informativeness", "q_score", "characters"]
    assert scores[0]["after"] == pytest.approx(scores[0]["before"] + scores[0]["difference"], abs=1e-6)
    by_kind = {row["tokens"]: row["mean log-ratio"] for row in moved}
    assert by_kind["unsupported"] < -0.1 < by_kind["supported"]
    assert [row["what"] for row in example] == ["context", "prompt", "before", "before", "after", "after"]
