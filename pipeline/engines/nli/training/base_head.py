"""What a base's own head knows of support, carried into the single logit that is trained.

An NLI model given as --base has learnt from hundreds of thousands of pairs which direction of its last layer means
entailment. A new head would throw that away and have to find it again in a few thousand labelled claims.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pipeline.engines.nli.heads import Head, head_of
from pipeline.engines.nli.loading import loading_errors
from pipeline.engines.nli.model_files import CONFIG, read_json
from schemas.errors import ConfigError

log = logging.getLogger("pipeline")


def keep_head(model: Any, base: Path, name: str) -> bool:
    """Start `model`, a classifier with one output, from the head of `base`; False where that has none that is known.

    The logit becomes z_support minus the mean of the other outputs: with two outputs the log-odds of support exactly
    (ours). name: of the base, for messages and for the table of heads.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    head = _known_head(base, name)
    linear_name = _last_linear(model)
    if head is None or head.outputs == 1 or linear_name is None:
        return False  # a single logit was loaded as it is
    load: Any = AutoModelForSequenceClassification.from_pretrained
    with loading_errors(name):
        own = load(base, use_safetensors=True, trust_remote_code=False, local_files_only=True, dtype=torch.float32)
    theirs, ours = own.get_submodule(linear_name), model.get_submodule(linear_name)
    direction = torch.full((head.outputs,), -1 / (head.outputs - 1))
    direction[head.supported] = 1.0
    with torch.no_grad():
        ours.weight.copy_(direction @ theirs.weight)
        if ours.bias is not None and theirs.bias is not None:
            ours.bias.copy_(direction @ theirs.bias)
    log.info("the claim classifier starts from the head of %s", name)
    return True


def _known_head(base: Path, name: str) -> Head | None:
    """Of a sequence classifier whose outputs say what they mean."""
    try:
        return head_of(name, read_json(name, base / CONFIG))
    except ConfigError:
        return None


def _last_linear(model: Any) -> str | None:
    """The layer that gives the output."""
    from torch import nn

    linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and layer.out_features == 1]
    return linear[-1] if linear else None
