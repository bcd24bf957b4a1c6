"""DPO and KTO through TRL's own trainers, on the pairs that `objectives` makes: the figures of the tables, held
against theirs.

    python -m benchmarks.objectives.trl_check

The sweep uses the losses of objectives.py in the shared loop, because TRL computes every prompt again for each
response and both models' log-probabilities in every step. Here the settings that the search chose train once through
TRL: same samples, same pairs, same optimizer, as many pairs per step and as many steps; only the order differs (TRL
shuffles pairs, not groups).
"""

from __future__ import annotations

import copy
import json
import tempfile
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from benchmarks.objectives.experiment import EVALUATION_GROUP, PROMPTS, base, run, training_rollouts
from benchmarks.objectives.models import RATES
from benchmarks.objectives.objectives import Setting, batch_of, preference_pairs
from benchmarks.objectives.sampling import draw_prompts, sample
from benchmarks.objectives.scores import means, score
from benchmarks.objectives.search import chosen_setting
from benchmarks.objectives.world import PADDING, START, STOP, VOCABULARY


def world_tokenizer() -> PreTrainedTokenizerFast:
    """A word per token of the world, so that TRL's text interface gives the ids back unchanged."""
    words = Tokenizer(WordLevel({_word(i): i for i in range(VOCABULARY)}, unk_token=_word(PADDING)))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=_word(PADDING), eos_token=_word(STOP), bos_token=_word(START)
    )


def _word(token: int) -> str:
    return f"w{token:02d}"


def _text(tokens: list[int]) -> str:
    return " ".join(_word(token) for token in tokens if token != PADDING)


def preference_rows(rate: float, seed: int, method: str) -> list[dict[str, Any]]:
    """The pairs of `preference_pairs` over all training groups, as TRL wants them; for KTO one row per response."""
    rollouts = training_rollouts(rate, seed)
    batch = batch_of(rollouts, rollouts.labels, torch.arange(len(rollouts.prompts)))
    better, worse, differs = preference_pairs(batch.faithfulness)
    rows: list[dict[str, Any]] = []
    for g, k in differs.nonzero().tolist():
        prompt = _text(batch.prompts[g].tolist()) + " "
        good, bad = (_text(batch.tokens[g, at[g, k]].tolist()) for at in (better, worse))
        if method == "dpo":
            rows.append({"prompt": prompt, "chosen": good, "rejected": bad})
        else:
            rows += [
                {"prompt": prompt, "completion": text, "label": label} for text, label in ((good, True), (bad, False))
            ]
    return rows


def train_with_trl(setting: Setting, rate: float, seed: int) -> torch.nn.Module:
    """A policy trained by TRL's DPOTrainer or KTOTrainer with this setting's learning rate, beta and steps."""
    model = copy.deepcopy(base(rate)).requires_grad_(True)
    dpo = setting.method == "dpo"
    pairs = setting.groups_per_step * 4
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {
            "output_dir": folder,
            "max_steps": setting.steps,
            "learning_rate": setting.learning_rate,
            "beta": setting.beta,
            "per_device_train_batch_size": pairs if dpo else 2 * pairs,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 4,
            "adam_beta2": 0.98,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "seed": seed,
            "report_to": [],
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "save_strategy": "no",
            "disable_tqdm": True,
            "logging_steps": setting.steps,
            "max_length": None,
        }
        config = DPOConfig(**options) if dpo else KTOConfig(**options)
        trainer_class: Any = DPOTrainer if dpo else KTOTrainer
        trainer = trainer_class(
            model, ref_model=copy.deepcopy(base(rate)), args=config, processing_class=world_tokenizer(),
            train_dataset=Dataset.from_list(preference_rows(rate, seed, setting.method)),
        )  # fmt: skip
        trainer.train()
    return model.eval()


def main() -> None:
    """Per rate and method: scores through our loop and through TRL, seed 0, report prompts."""
    torch.set_num_threads(1)
    for rate in RATES:
        for method in ("dpo", "kto"):
            setting = chosen_setting(method, rate)
            assert setting is not None
            ours = run(setting, rate, 0, "report").scores
            model = train_with_trl(setting, rate, 0)
            theirs = means(score(sample(model, draw_prompts("report", PROMPTS["report"]), EVALUATION_GROUP, seed=3)))
            row = {name: (round(ours[name], 3), round(theirs[name], 3)) for name in ("f", "i", "q", "length")}
            print(json.dumps({"rate": rate, "method": method, "ours and TRL's": row}), flush=True)


if __name__ == "__main__":
    main()
