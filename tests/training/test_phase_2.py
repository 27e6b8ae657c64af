"""Training of phase 2: the processors learn to undo a narrowed side, and runs start from 1c and resume."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.cli.main import main
from nmjax.models import build_model
from nmjax.runtime import checkpoints
from nmjax.training.state import create_train_state, initial_variables
from nmjax.training.step import RandomInputs, make_train_step
from tests.synthetic_audio import music, write_songs
from tests.training.tiny_run import smooth_eq_distribution, tiny_config, train_arguments

SECONDS = 0.45
TRAINING_OVERRIDES = (
    "data.channels=2",
    "model.dropout=0",
    "train.learning_rate=0.01",
    "train.warmup_steps=1",
    "train.ema_decay=0",
    "augment.random_eq=0",
    "augment.mixup_prob=0",
    "degrade.level_std_db=0",
    "loss.fft_sizes=[512]",
    "loss.lufs=0",
    "train.frozen=[encoder,decoder,residual]",
)


@pytest.fixture(scope="module")
def narrow_side_training():
    """Twenty steps on stereo with a halved side; variables before and after, and metrics of each step."""
    config = tiny_config("2", *TRAINING_OVERRIDES)
    target = np.stack([music(SECONDS, seed=i) for i in range(4)]).astype(np.float32)
    side = 0.25 * (target[:, :, :1] - target[:, :, 1:])
    batch = {"input": target + np.concatenate([-side, side], axis=2), "target": target}
    batch |= {"length": np.full(4, target.shape[1], np.int32), "number": np.arange(4, dtype=np.int32)}
    start = create_train_state(config, initial_variables(build_model(config), 0))
    before = jax.device_get(start.variables)
    step, state, metrics = jax.jit(make_train_step(config)), start, []
    for _ in range(20):
        state, result = step(state, batch, RandomInputs(np.int32(0), smooth_eq_distribution()))
        metrics.append(jax.device_get(result))
    return config, batch, before, jax.device_get(state.variables), metrics


def test_a_halved_side_is_widened_again(narrow_side_training):
    config, batch, _, after, metrics = narrow_side_training
    assert float(metrics[-1]["signal"]) < 0.8 * float(metrics[0]["signal"])
    prediction = build_model(config).apply(after, jnp.asarray(batch["input"]), method="predict")
    assert np.all(np.asarray(prediction.settings.width.high) > 1.2)


def test_the_neutrality_penalty_grows_and_is_logged(narrow_side_training):
    *_, metrics = narrow_side_training
    assert float(metrics[0]["neutrality"]) == 0.0
    assert float(metrics[-1]["neutrality"]) > 1e-3


def test_frozen_modules_keep_their_values_and_every_processor_decoder_is_updated(narrow_side_training):
    _, _, before, after, _ = narrow_side_training
    for module in ("encoder", "decoder", "residual"):
        jax.tree.map(np.testing.assert_array_equal, after["params"][module], before["params"][module])
    for name, decoder in after["params"]["processors"].items():
        assert np.any(decoder["settings"]["dense"]["kernel"] != 0.0), name


RUN_OVERRIDES = ("data.channels=2", "train.warmup_steps=1", "train.validate_every=2", "train.checkpoint_every=2")


@pytest.mark.slow  # two runs of the command; tests/training/test_resume.py does the same with 1a
def test_a_run_starts_from_1c_and_resumes_bit_identically(tmp_path, capsys):
    config = tiny_config("1c")
    variables = initial_variables(build_model(config), 3)
    meta = {
        "config": config.model_dump(mode="json"),
        "step": 5,
        "best_validation_loss": 1.0,
        "shuffle_index": 0,
        "data_state": None,
    }
    checkpoints.Checkpoints(tmp_path / "1c" / "best").save(5, variables, {"step": np.int32(5)}, meta)
    music_folder = write_songs(tmp_path / "music", 3, 1.0)
    arguments = train_arguments("2", music_folder, tmp_path / "2", "--init-from", str(tmp_path / "1c"))
    arguments += [*RUN_OVERRIDES, "train.steps=4"]
    assert main(arguments) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "New: processors/compressor, processors/saturator, processors/width." in output
    latest = checkpoints.Checkpoints(tmp_path / "2" / "latest")
    expected = latest.restore_model(4)
    assert np.any(expected["params"]["processors"]["width"]["settings"]["dense"]["kernel"])
    shutil.rmtree(tmp_path / "2" / "latest" / "4")  # as after a kill before the last one
    assert main(arguments) == 0
    result = checkpoints.Checkpoints(tmp_path / "2" / "latest").restore_model(4)
    jax.tree.map(np.testing.assert_array_equal, result, expected)


@pytest.mark.slow
def test_a_dry_run_counts_the_processor_parameters(tmp_path, capsys):
    arguments = train_arguments("2", write_songs(tmp_path / "music", 2, 1.0), tmp_path / "out", "--dry-run")
    assert main([*arguments, *RUN_OVERRIDES]) == 0
    output = capsys.readouterr().out
    assert "131,979" in output
    assert not (tmp_path / "out").exists()
