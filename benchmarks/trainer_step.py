"""One training step of a system on the same model and prompt groups, measured in a process of its own.

    ours     shared-prefix rows, the head in chunks over response tokens
    flex     the same with flex attention, for GPUs
    padded   the same trainer with one padded row per response
    trl      TRL's GRPOTrainer: its own log-probability code and `_compute_loss`, with our token advantages, which it
             accepts as (B, T); it takes no part in sampling here. The closest trainer there that is clipped,
             importance-weighted and anchored; it also computes entropies for its log, as it always does.

All: gradient of the clipped objective with an anchor, reference log-probabilities by a frozen copy, float32 or
bfloat16 autocast, no activation checkpoints, no optimizer. Run by benchmarks.trainer_speed; prints one JSON line for
each shape (several in one process where peak memory is the device's own, on a GPU). A shape that does not fit into
the device's memory takes for ever.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging as transformers_logging

from trainer.attention import use_shared_prefix_attention
from trainer.batches import CreditOptions, deal_credit, needed_piece
from trainer.data.groups import PromptGroup, ResponseRow
from trainer.distributed import Ranks
from trainer.gradient import StepGradient
from trainer.logprobs import TokenLogprobs
from trainer.loss import Divisors, Objective
from trainer.reference import FrozenCopy

SYSTEMS = ("ours", "flex", "padded", "trl")
CLIP, BETA = 0.4, 0.02
TOKENIZER = Path(__file__).parents[1] / "data" / "sample" / "tokenizer.json"


def make_model(device: torch.device, hidden: int, layers: int, vocabulary: int, head: int) -> LlamaForCausalLM:
    """A Llama whose head is about as large a part of it as in models of 7 billion weights (8 % at the defaults).

    head: width of an attention head; four of them share keys.
    """
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // head,
        num_key_value_heads=max(hidden // (4 * head), 1),
        max_position_embeddings=8192,
    )
    model = LlamaForCausalLM(config).train()
    nn.Module.to(model, device)
    return model


def make_group(prompt: int, response: int, responses: int, vocabulary: int) -> PromptGroup:
    """Random tokens; a third supported, a sixth unsupported."""
    random = np.random.default_rng(0)

    def row(number: int) -> ResponseRow:
        labels = random.choice(np.array([1, 1, -1, 0, 0, 0], np.int8), response)
        ids = random.integers(3, vocabulary, response).astype(np.int32)
        return ResponseRow(str(number), ids, labels, np.full(response, np.nan, np.float32), has_stop=False)

    ids = random.integers(3, vocabulary, prompt).astype(np.int32)
    return PromptGroup("g", ids, tuple(row(number) for number in range(responses)))


def our_step(
    system: str, model: LlamaForCausalLM, group: PromptGroup, device: torch.device, half: bool
) -> Callable[[], float]:
    """Gradient of our trainer; returns the norm of the embedding's gradient, so that systems can be compared."""
    use_shared_prefix_attention(model)
    scorer = TokenLogprobs(model)
    scorer.attention = "flex" if system == "flex" else "calls"
    # without the stop anchor, which TRL's loss does not have: the norms could not be compared
    objective = Objective(CLIP, CLIP, BETA, "all", use_behaviour=False)
    layout: Any = "padded" if system == "padded" else "packed"
    gradient = StepGradient(scorer, FrozenCopy(scorer), objective, Ranks(0, 1, device), layout, half)
    credited, counts = deal_credit([group], CreditOptions())
    piece = needed_piece(credited, "all", holds_stop=False)
    divisors = Divisors(counts.blocks.active, counts.anchor_tokens)

    def step() -> float:
        model.zero_grad(set_to_none=True)
        gradient.accumulate([piece], divisors)
        return _norm(model)

    return step


def trl_step(model: LlamaForCausalLM, group: PromptGroup, device: torch.device, half: bool) -> Callable[[], float]:
    """Gradient of TRL's GRPOTrainer on the same tokens, advantages and reference."""
    trainer = _grpo_trainer(model, len(group.responses), device)
    reference = copy.deepcopy(model).requires_grad_(False)
    credited, _ = deal_credit([group], CreditOptions())
    rows = credited[0].responses
    completion = torch.from_numpy(np.stack([r.row.token_ids for r in rows])).long().to(device)
    prompts = torch.from_numpy(group.prompt_ids).long().repeat(len(rows), 1).to(device)
    inputs = {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": completion,
        "completion_mask": torch.ones_like(completion),
        # its loss divides by the tokens of each response and by the responses; ours by the active blocks (1)
        "advantages": torch.from_numpy(np.stack([r.advantages for r in rows])).to(device) * completion.numel(),
        "num_items_in_batch": torch.tensor(completion.numel(), device=device),
    }
    ids, mask = (
        torch.cat([prompts, completion], 1),
        torch.ones(len(rows), prompts.shape[1] + completion.shape[1]).to(device),
    )

    def step() -> float:
        model.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            with torch.no_grad():
                scored = trainer._get_per_token_logps_and_entropies(reference, ids, mask, completion.shape[1])
                inputs["ref_per_token_logps"] = scored[0]
            loss = trainer._compute_loss(model, inputs)
        loss.backward()
        return _norm(model)

    return step


def _grpo_trainer(model: LlamaForCausalLM, responses: int, device: torch.device) -> Any:
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        report_to="none",
        use_cpu=device.type == "cpu",
        bf16=False,
        gradient_checkpointing=False,
        num_generations=max(responses, 2),
        per_device_train_batch_size=max(responses, 2),
        epsilon=CLIP,
        beta=0.0,  # set below: with it the trainer would look for a reference model by name
        loss_type="grpo",
        temperature=1.0,
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER), eos_token="<eos>", pad_token="<pad>")
    data = Dataset.from_list([{"prompt": "x"}] * config.per_device_train_batch_size)
    trainer = GRPOTrainer(model, lambda **_: [0.0], args=config, train_dataset=data, processing_class=tokenizer)
    trainer.beta = BETA
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def _norm(model: LlamaForCausalLM) -> float:
    gradient = model.model.embed_tokens.weight.grad
    assert isinstance(gradient, torch.Tensor)
    return float(torch.linalg.vector_norm(gradient))


def measure(step: Callable[[], float], times: int, device: torch.device) -> dict[str, float]:
    """Seconds of the fastest of `times` steps after one, and the most memory above what was there before (MiB)."""
    before = _reset_peak(device)
    norm = step()
    # on the CPU with one thread, the time of this process: what others do on the machine counts less
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    seconds = []
    for _ in range(times):
        started = clock()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(clock() - started)
    return {"seconds": min(seconds), "peak_mib": (_peak(device) - before) / 2**20, "embedding_gradient": norm}


def _reset_peak(device: torch.device) -> int:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the resident peak starts again
    return _status("VmRSS")


def _peak(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main() -> None:
    """Measure one system once for every shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", choices=SYSTEMS, required=True)
    parser.add_argument("--prompt", type=int, nargs="+", default=[1500])
    parser.add_argument("--responses", type=int, nargs="+", default=[8])
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    sizes = {"response": 300, "times": 2, "threads": 1, "hidden": 256, "layers": 4, "vocabulary": 1500, "head": 32}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    half = args.precision == "bfloat16"
    for prompt, responses in itertools.product(args.prompt, args.responses):
        model = make_model(device, args.hidden, args.layers, args.vocabulary, args.head)
        group = make_group(prompt, args.response, responses, args.vocabulary)
        if args.system == "trl":
            step = trl_step(model, group, device, half)
        else:
            step = our_step(args.system, model, group, device, half)
        try:
            found = measure(step, args.times, device)
        except torch.OutOfMemoryError:
            found = {"seconds": math.inf, "peak_mib": math.inf, "embedding_gradient": math.nan}
        print(json.dumps(found), flush=True)
        del model, step
        if device.type == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
