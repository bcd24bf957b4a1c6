"""Models from folders: what is refused before anything of them runs, and how changes are noticed."""

import pytest

from pipeline.engines.nli.loading import open_model, prepare_nli
from pipeline.engines.nli.model_files import check_model, find_folder, fingerprint
from pipeline.engines.nli.settings import Compute, NliSettings
from schemas.errors import ConfigError
from tests.pipeline.engines.nli.tiny_nli_models import edit_config, make_model

CPU = Compute(device="cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def copy_of(model, tmp_path):
    for file in model.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def test_preparing_tries_the_model_and_fills_in_what_shapes_the_rows(model):
    settings = prepare_nli(NliSettings(str(model)), CPU)
    assert settings.fingerprint == fingerprint(model)
    assert settings.precision == "float32"


def test_one_model_is_loaded_per_process(model):
    settings = NliSettings(str(model), precision="float32")
    assert open_model(settings, CPU) is open_model(settings, CPU)


def test_fingerprint_is_of_the_content(model, tmp_path):
    other = copy_of(model, tmp_path)
    assert fingerprint(other) == fingerprint(model)
    (other / "README.md").write_text("a note changes nothing")
    assert fingerprint(other) == fingerprint(model)
    edit_config(other, hidden_act="relu")
    assert fingerprint(other) != fingerprint(model)


def test_model_that_changed_since_it_was_prepared_is_refused(model, tmp_path):
    other = copy_of(model, tmp_path)
    settings = NliSettings(str(other), fingerprint=fingerprint(other), precision="float32")
    edit_config(other, hidden_act="relu")
    with pytest.raises(ConfigError, match="changed since this run began"):
        open_model(settings, CPU)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c"])
def test_folder_that_is_not_there_is_not_looked_for_on_the_hub(name):
    with pytest.raises(ConfigError, match="no such folder"):
        find_folder(name)


def test_code_of_the_model_is_never_run(model, tmp_path):
    other = copy_of(model, tmp_path)
    edit_config(other, auto_map={"AutoModelForSequenceClassification": "evil.Model"})
    (other / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ConfigError, match="Python code of its own"):
        prepare_nli(NliSettings(str(other)), CPU)


def test_weights_that_are_pickles_are_not_read(model, tmp_path):
    other = copy_of(model, tmp_path)
    (other / "model.safetensors").rename(other / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no model\.safetensors"):
        check_model("m", other)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_config_that_is_no_object_is_refused(model, tmp_path, text):
    other = copy_of(model, tmp_path)
    (other / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        check_model("m", other)


def test_missing_tokenizer_is_one_line(model, tmp_path):
    other = copy_of(model, tmp_path)
    for file in other.glob("*token*"):
        file.unlink()
    with pytest.raises(ConfigError, match=r"has no tokenizer \(tokenizer\.json\)"):
        prepare_nli(NliSettings(str(other)), CPU)


def test_damaged_weights_are_one_line(model, tmp_path):
    other = copy_of(model, tmp_path)
    (other / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        prepare_nli(NliSettings(str(other)), CPU)


def test_head_that_was_never_trained_is_refused(model, tmp_path):
    from safetensors.torch import load_file, save_file

    other = copy_of(model, tmp_path)
    weights = {
        name: value for name, value in load_file(other / "model.safetensors").items() if "classifier" not in name
    }
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="lacks weights"):
        prepare_nli(NliSettings(str(other)), CPU)


def test_model_with_too_little_room_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="takes 32 tokens"):
        prepare_nli(NliSettings(str(make_model(tmp_path / "m", positions=32))), CPU)


def test_device_that_is_not_there_is_one_line(model):
    with pytest.raises(ConfigError, match="--device cuda:77: cannot be used here"):
        prepare_nli(NliSettings(str(model)), Compute(device="cuda:77"))


def test_roberta_positions_leave_two_unused():
    from types import SimpleNamespace

    from pipeline.engines.nli.loading import model_window

    config = SimpleNamespace(max_position_embeddings=514, model_type="roberta", pad_token_id=1)
    tokenizer = SimpleNamespace(model_max_length=int(1e30))
    assert model_window(config, tokenizer) == 512
