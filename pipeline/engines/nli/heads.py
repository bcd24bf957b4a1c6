"""What the outputs of a sequence classifier mean: which one is support, in which order it wants its two texts.

A model says it by the names of its labels (`id2label`), by being in HEADS, or by `--nli-outputs`; in this order of
precedence from the last. Nothing is guessed from numbers: a model that names its labels LABEL_0 and LABEL_1, and that
nobody told us about, is refused, because a swapped head turns every verdict round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.engines.words import word_set
from schemas.errors import ConfigError
from schemas.records import CONTRADICTED, SUPPORTED, UNSUPPORTED

_MEANING: Final = {  # names of outputs, without anything but their letters
    SUPPORTED: word_set(
        "entailment entails entailed supported supports support consistent factual yes attributable faithful"
        " true correct"
    ),
    CONTRADICTED: word_set("contradiction contradicts contradictory contradicted refutes refuted refute"),
    UNSUPPORTED: word_set(
        "neutral notentailment nonentailment unsupported notsupported inconsistent hallucinated hallucination"
        " notenoughinfo nei unverifiable notattributable unfaithful no false incorrect nonfactual"
    ),
}
_MAX_OUTPUTS: Final = 3


@dataclass(frozen=True, slots=True)
class Head:
    """supported, contradicted: which output is which; contradicted None where the model does not tell it apart.

    outputs: how many the model has; with 1 it is a logit of support.   claim_first: the claim is the first text.
    window: tokens the model was made for; 0: what its tokenizer and position embeddings allow.
    """

    supported: int
    outputs: int
    contradicted: int | None = None
    claim_first: bool = False
    window: int = 0


# Models whose configs do not say what their outputs mean, by the last part of their name, lower case.
HEADS: Final[Mapping[str, Head]] = {
    # MiniCheck (arXiv 2404.10774): document and claim -> unsupported, supported.
    "minicheck-roberta-large": Head(supported=1, outputs=2, window=512),
    "minicheck-deberta-v3-large": Head(supported=1, outputs=2, window=2048),
    # HHEM 1, a sentence-transformers CrossEncoder: source and summary -> one logit of consistency.
    "hallucination_evaluation_model": Head(supported=0, outputs=1, window=512),
}


def head_of(name: str, config: Mapping[str, Any], outputs: str = "") -> Head:
    """The head of a model. outputs: meanings in order, comma-separated, as the user says. Raises ConfigError."""
    architectures = config.get("architectures") or [""]
    if not str(architectures[0]).endswith("ForSequenceClassification"):
        raise ConfigError(
            f"model {name}: a {architectures[0] or 'model without architecture'} has no trained head that judges pairs "
            "of texts; take a sequence classifier, or train one with `balto train-verifier --base`"
        )
    named = _labels(config)
    known = HEADS.get(name.rstrip("/").rpartition("/")[2].lower())
    if outputs:
        head = _head_from([part.strip() for part in outputs.split(",")])
        if head is None:
            raise ConfigError(
                f"--nli-outputs {outputs}: wants supported once and unsupported or contradicted for the others, "
                "or supported alone for a single logit"
            )
    else:
        head = _head_from(named) or known
    if head is None:
        shown = ", ".join(named[:_MAX_OUTPUTS]) or "none"
        raise ConfigError(
            f"model {name}: its labels ({shown}) do not say which one means support; say it with --nli-outputs, "
            "such as --nli-outputs unsupported,supported"
        )
    if head.outputs != len(named):
        raise ConfigError(f"model {name}: it has {len(named)} outputs, and {head.outputs} are described")
    return head


def _labels(config: Mapping[str, Any]) -> list[str]:
    """Names of the outputs in order; transformers leaves them out where there are two without a name."""
    names = config.get("id2label")
    if not isinstance(names, Mapping):
        return ["LABEL_0", "LABEL_1"]
    return [str(names.get(str(at), names.get(at, f"LABEL_{at}"))) for at in range(len(names))]


def _head_from(names: Sequence[str]) -> Head | None:
    """The head whose outputs have these names; None unless exactly one means support and all of several are known."""
    meanings = [_meaning(name) for name in names]
    if not 1 <= len(names) <= _MAX_OUTPUTS or meanings.count(SUPPORTED) != 1 or meanings.count(CONTRADICTED) > 1:
        return None
    if None in meanings:
        return None
    refuted = meanings.index(CONTRADICTED) if CONTRADICTED in meanings and len(names) == _MAX_OUTPUTS else None
    return Head(supported=meanings.index(SUPPORTED), outputs=len(names), contradicted=refuted)


def _meaning(name: str) -> str | None:
    folded = re.sub(r"[^a-z]", "", name.lower())
    return next((meaning for meaning, names in _MEANING.items() if folded in names), None)
