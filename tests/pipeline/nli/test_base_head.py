"""The single logit that is trained starts from what the base's own head knows, on the usual architectures."""

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    RobertaConfig,
)

from pipeline.engines.nli.training.base_head import keep_head
from tests.pipeline.nli.tiny_nli_models import THREE_WAY, TWO_WAY

SIZES = {"vocab_size": 60, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
CONFIGS = {
    "bert": lambda: BertConfig(**SIZES),
    "roberta": lambda: RobertaConfig(**SIZES, max_position_embeddings=40),
    "deberta": lambda: DebertaV2Config(**SIZES, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "electra": lambda: ElectraConfig(**SIZES, embedding_size=16),
    "modernbert": lambda: ModernBertConfig(**SIZES, pad_token_id=0),
    "distilbert": lambda: DistilBertConfig(vocab_size=60, dim=16, hidden_dim=24, n_layers=1, n_heads=2),
}


def saved(folder, config, labels):
    torch.manual_seed(0)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: at for at, label in enumerate(labels)}
    model = AutoModelForSequenceClassification.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    model.save_pretrained(folder)
    return model


def one_output(folder):
    return AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, ignore_mismatched_sizes=True, use_safetensors=True
    ).eval()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("labels", [THREE_WAY, TWO_WAY])
def test_logit_is_support_minus_the_mean_of_the_others(name, labels, tmp_path):
    theirs = saved(tmp_path, CONFIGS[name](), labels)
    ours = one_output(tmp_path)
    assert keep_head(ours, tmp_path, "base")
    ids = torch.tensor([[5, 9, 33, 2], [7, 7, 12, 50]])
    with torch.no_grad():
        logits, found = theirs(input_ids=ids).logits, ours(input_ids=ids).logits[:, 0]
    others = [at for at, label in enumerate(labels) if label != "entailment"]
    torch.testing.assert_close(found, logits[:, labels.index("entailment")] - logits[:, others].mean(1))


@pytest.mark.parametrize("labels", [("good", "bad"), ("supported",)])
def test_a_head_that_does_not_say_what_it_means_or_is_one_logit_is_left_as_it_was_loaded(labels, tmp_path):
    saved(tmp_path, CONFIGS["bert"](), labels)
    ours = one_output(tmp_path)
    before = ours.classifier.weight.clone()
    assert not keep_head(ours, tmp_path, "base")
    assert torch.equal(ours.classifier.weight, before)


def test_an_encoder_without_a_head_has_none_to_keep(tmp_path):
    saved(tmp_path, CONFIGS["bert"](), THREE_WAY).bert.save_pretrained(tmp_path / "encoder")
    assert not keep_head(one_output(tmp_path / "encoder"), tmp_path / "encoder", "base")
