"""What only a GPU can show: its attention kernels, bfloat16 by default, compiling, memory that runs out.

Skipped where there is none: `pytest -n 0 -m gpu tests/trainer/test_gpu.py` on a machine that has one.
"""

import math

import pytest
import torch

from tests.trainer.test_packed_logprobs import ARCHITECTURES, gradients, single_logprobs, some_groups
from tests.trainer.tiny_models import tiny_model
from tests.trainer.tiny_runs import curve, label_folder, model_folder, tiny_config
from trainer.attention import use_shared_prefix_attention
from trainer.logprobs import TokenLogprobs
from trainer.packing import lay_out
from trainer.train import train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


@pytest.fixture(autouse=True)
def exact_products():
    """float32 products in float32: with TF32 packed and single rows differ by 1e-3 of a logit."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return model_folder(folder / "model"), label_folder(folder / "labels")


@pytest.mark.parametrize(("layout", "attention"), [("packed", "calls"), ("packed", "flex"), ("padded", "calls")])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logprobs_and_gradients_equal_single_rows(name, layout, attention):
    groups = some_groups()
    model = tiny_model(name)
    model.set_attn_implementation("eager")  # of the fused ones some forget Gemma 2's soft cap
    expected = single_logprobs(model.eval(), groups)
    expected_gradients = gradients(model, expected)
    model = tiny_model(name).cuda()
    use_shared_prefix_attention(model)
    scorer = TokenLogprobs(model)
    scorer.attention = attention
    found = scorer(lay_out(groups, layout).to("cuda")).logprobs
    torch.testing.assert_close(found.detach().cpu(), expected.detach(), rtol=1e-4, atol=5e-4)
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for parameter, gradient in gradients_on(model, found).items():
        torch.testing.assert_close(
            gradient.cpu(), expected_gradients[parameter], rtol=1e-3, atol=1e-4 * largest, msg=parameter
        )


def gradients_on(model, logprobs):
    return gradients(model, logprobs.cpu())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_autocast_packed_equals_autocast_padded(name):
    groups = some_groups(shapes=((150, (40, 70, 1)), (33, (64,))))
    model = tiny_model(name, spread=0.1).cuda()
    use_shared_prefix_attention(model)
    with torch.autocast("cuda", torch.bfloat16):
        packed, padded = (
            TokenLogprobs(model)(lay_out(groups, how).to("cuda")).logprobs for how in ("packed", "padded")
        )
    torch.testing.assert_close(packed, padded, rtol=0, atol=0.12)  # 8 bits of logits of size 5
    assert all(torch.isfinite(gradient).all() for gradient in gradients_on(model, packed).values())


@pytest.mark.parametrize(
    "options",
    [{}, {"lora_rank": 4}, {"checkpoint_activations": True}, {"layout": "padded"}, {"attention": "flex"}],
    ids=str,
)
def test_a_run_by_default_learns(options, parts, tmp_path):
    model, labels = parts
    summary = train(tiny_config(model, labels, tmp_path / "run", held_out=0.2, **options))
    first = curve(tmp_path / "run")[0]
    assert (first["mean_ratio"], first["rms_log_ratio"]) == (1.0, 0.0)
    assert summary["metrics"]["log_ratio_supported"] > 0 > summary["metrics"]["log_ratio_unsupported"]
    assert summary["metrics"]["kl"] > 0


@pytest.mark.slow
def test_compiled_run_learns_the_same(parts, tmp_path):
    model, labels = parts
    for name, compiled in (("plain", False), ("compiled", True)):
        train(tiny_config(model, labels, tmp_path / name, precision="float32", compile=compiled))
    for plain, compiled in zip(curve(tmp_path / "plain"), curve(tmp_path / "compiled"), strict=True):
        assert compiled["loss"] == pytest.approx(plain["loss"], abs=1e-3)


def test_memory_that_runs_out_halves_the_micro_batch(parts, tmp_path, caplog):
    """A cap on this process's share of the memory, between what one group needs and what a whole step needs.

    The step is large, since the allocator takes memory in pieces of 20 MiB.
    """
    model, labels = parts[0], label_folder(tmp_path / "many", groups=300)
    options = {"micro_tokens": 10**6, "groups_per_step": 300, "head_chunk_mib": 1024}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train(tiny_config(model, labels, tmp_path / "free", max_steps=1, **options))
    used, total = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.6 * used / total)
    try:
        train(tiny_config(model, labels, tmp_path / "tight", max_steps=1, **options))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "going on with halves" in caplog.text
    free, tight = curve(tmp_path / "free")[0], curve(tmp_path / "tight")[0]
    assert math.isclose(free["grad_norm"], tight["grad_norm"], rel_tol=0.02)
