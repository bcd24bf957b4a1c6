"""What outputs mean, and which models are refused."""

import pytest

from pipeline.engines.nli.heads import Head, head_of
from schemas.errors import ConfigError


def config(*labels, architecture="BertForSequenceClassification"):
    return {"architectures": [architecture], "id2label": {str(at): label for at, label in enumerate(labels)}}


@pytest.mark.parametrize(
    ("labels", "head"),
    [
        (("contradiction", "entailment", "neutral"), Head(supported=1, outputs=3, contradicted=0)),
        (("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), Head(supported=0, outputs=3, contradicted=2)),
        (("entailment", "not_entailment"), Head(supported=0, outputs=2)),
        (("hallucinated", "consistent"), Head(supported=1, outputs=2)),
        (("SUPPORTS", "REFUTES", "NOT ENOUGH INFO"), Head(supported=0, outputs=3, contradicted=1)),
        (("supported",), Head(supported=0, outputs=1)),
    ],
)
def test_labels_with_names_say_what_they_mean(labels, head):
    assert head_of("any/model", config(*labels)) == head


def test_minicheck_is_known_by_its_name():
    head = head_of("lytang/MiniCheck-RoBERTa-Large", config("LABEL_0", "LABEL_1"))
    assert (head.supported, head.outputs, head.window) == (1, 2, 512)


def test_hhem_is_one_logit_of_consistency():
    assert head_of("vectara/hallucination_evaluation_model", config("LABEL_0")).outputs == 1


def test_user_may_say_what_the_outputs_mean():
    assert head_of("x", config("LABEL_0", "LABEL_1"), "unsupported, supported") == Head(supported=1, outputs=2)


@pytest.mark.parametrize(
    ("made", "outputs", "message"),
    [
        (config("LABEL_0", "LABEL_1"), "", "do not say which one means support"),
        (config("positive", "negative"), "", "do not say which one means support"),
        (config("entailment", "entailment"), "", "do not say which one means support"),
        (config("a", architecture="BertModel"), "", "no trained head"),
        (config("a", architecture="BertForMaskedLM"), "", "no trained head"),
        ({}, "", "no trained head"),
        (config("LABEL_0", "LABEL_1"), "good,bad", "wants supported once"),
        (config("LABEL_0", "LABEL_1"), "supported", "it has 2 outputs, and 1 are described"),
    ],
)
def test_head_that_cannot_be_used_is_refused(made, outputs, message):
    with pytest.raises(ConfigError, match=message):
        head_of("x", made, outputs)
