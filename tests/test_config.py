"""Settings: the order of the overlays, the check of each value, and suggestions for unknown keys."""

import pytest

from nmjax.config import load_config, overlay_names, restore_config
from nmjax.runtime.errors import BadInputError


def test_later_overlays_override_earlier_ones():
    assert load_config().model.width == 1.0
    assert load_config("1B", ["small"]).phase == "1b"
    assert load_config("1b", ["small"]).model.width == 0.25
    assert load_config("1b", ["small"], ["model.width=0.5"]).model.width == 0.5
    assert load_config("1a", None, ["loss.fft_sizes=[64,128]"]).loss.fft_sizes == (64, 128)


def test_every_shipped_overlay_loads():
    assert {"phase_1a", "phase_1b", "phase_1c", "small", "smoke"} <= set(overlay_names())
    for name in overlay_names():
        load_config(None, [name])


def test_a_file_can_be_given_by_path(tmp_path):
    (tmp_path / "mine.yaml").write_text("train:\n  steps: 7\n")
    assert load_config("1a", [str(tmp_path / "mine.yaml")]).train.steps == 7


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("train.lerning_rate=3", "did you mean 'train.learning_rate'"),
        ("widht=1", "did you mean 'model.width'"),
        ("zzzzz=1", "the settings are: phase, seed"),
        ("train=1", "is a group"),
        ("seed.x=1", "single value"),
        ("seed", "key=value"),
        ("train.steps=many", "'train.steps'"),
        ("train.steps=0", "greater than or equal to 1"),
        ("model.dropout=1", "less than 1"),
        ("model.frequency_map=bark", "'log' or 'linear'"),
        ("train.learning_rate=.nan", "finite"),
        ("loss.fft_sizes=[30]", "multiple of 4"),
        ("seed=[", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_one_line(override, word):
    with pytest.raises(BadInputError) as caught:
        load_config("1a", None, [override])
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_file_is_reported(tmp_path):
    with pytest.raises(BadInputError, match="one of: damage, pairs, phase_1a"):
        load_config("1a", ["smal"])
    for text, word in (("- a\n", "keys and values"), ("a: [", "not valid YAML"), ("\n", "keys and values")):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(BadInputError, match=word):
            load_config("1a", [str(tmp_path / "x.yaml")])


def test_a_restored_config_gets_missing_settings_from_the_defaults():
    stored = load_config("1b", ["small"], []).model_dump(mode="json")
    del stored["loss"]["max_hz"]
    assert restore_config(stored) == load_config("1b", ["small"], [])
    with pytest.raises(BadInputError, match="unknown_key"):
        restore_config({**stored, "unknown_key": 1})


def test_a_loss_without_signal_terms_is_rejected():
    no_weights = [f"loss.{term}=0" for term in ("mr_stft", "a_weighted", "lufs", "eq_response")]
    with pytest.raises(BadInputError, match="no signal term"):
        load_config("1a", [], no_weights)
    assert load_config("1a", [], [*no_weights[:-1], "loss.eq_response=0.1"]).loss.eq_response == 0.1


def test_a_list_without_brackets_is_explained():
    with pytest.raises(BadInputError, match=r"train\.frozen': it should be a list in brackets"):
        load_config("1a", [], ["train.frozen=encoder"])
