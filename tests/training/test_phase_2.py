"""Phase 2 in training: what was narrowed and compressed is learnt back by the stages; runs start, resume and tell."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax import checkpoint
from nmjax.cli import main
from nmjax.models import build_model
from nmjax.training.state import initial_state, initial_variables
from nmjax.training.step import Dice, make_train_step
from tests.music import music, songs
from tests.training.tiny import command, style, tiny

SECONDS = 0.45
LEARNING = (
    "data.channels=2",
    "model.dropout=0",
    "train.learning_rate=0.01",
    "train.warmup_steps=1",
    "train.ema=0",
    "augment.style=0",
    "augment.mix=0",
    "degrade.level_db=0",
    "loss.windows=[512]",
    "loss.lufs=0",
    "train.frozen=[encoder,decoder,residual]",
)


@pytest.fixture(scope="module")
def narrowed():
    """Twenty steps on stereo whose side was halved; parameters before, and metrics of each step."""
    config = tiny("2", *LEARNING)
    target = np.stack([music(SECONDS, seed=i) for i in range(4)]).astype(np.float32)
    side = 0.25 * (target[:, :, :1] - target[:, :, 1:])
    batch = {"input": target + np.concatenate([-side, side], axis=2), "target": target}
    batch |= {"length": np.full(4, target.shape[1], np.int32), "number": np.arange(4, dtype=np.int32)}
    start = initial_state(config, initial_variables(build_model(config), 0))
    before = jax.device_get(start.model)
    step, state, metrics = jax.jit(make_train_step(config)), start, []
    for _ in range(20):
        state, found = step(state, batch, Dice(np.int32(0), style()))
        metrics.append(jax.device_get(found))
    return config, batch, before, jax.device_get(state.model), metrics


def test_a_halved_side_is_widened_again(narrowed):
    config, batch, _, after, metrics = narrowed
    assert float(metrics[-1]["signal"]) < 0.8 * float(metrics[0]["signal"])
    prediction = build_model(config).apply(after, jnp.asarray(batch["input"]), method="predict")
    assert np.all(np.asarray(prediction.settings.width.high) > 1.2)


def test_being_away_from_neutral_costs_and_is_logged(narrowed):
    *_, metrics = narrowed
    assert float(metrics[0]["processing"]) == 0.0
    assert float(metrics[-1]["processing"]) > 1e-3


def test_frozen_parts_stay_and_every_stages_decoder_moves(narrowed):
    _, _, before, after, _ = narrowed
    for part in ("encoder", "decoder", "residual"):
        jax.tree.map(np.testing.assert_array_equal, after["params"][part], before["params"][part])
    for stage, decoder in after["params"]["stages"].items():
        assert np.any(decoder["settings"]["dense"]["kernel"] != 0.0), stage


RUN = ("data.channels=2", "train.warmup_steps=1", "train.validate_every=2", "train.checkpoint_every=2")


@pytest.mark.slow  # two runs of the command; tests/training/test_resume.py does the same with 1A
def test_a_run_starts_from_1c_and_goes_on_from_its_last_checkpoint_to_the_bit(tmp_path, capsys):
    config = tiny("1c")
    variables = {k: v for k, v in initial_variables(build_model(config), 3).items()}
    meta = {"config": config.model_dump(mode="json"), "step": 5, "best": 1.0, "order": 0, "data": None}
    checkpoint.Checkpoints(tmp_path / "1c" / "best").save(5, variables, {"step": np.int32(5)}, meta)
    again = [*command("2", songs(tmp_path / "music", 3, 1.0), tmp_path / "2", "--init-from", str(tmp_path / "1c"))]
    again += [*RUN, "train.steps=4"]
    assert main(again) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "New: stages/compressor, stages/saturator, stages/width." in said
    latest = checkpoint.Checkpoints(tmp_path / "2" / "latest")
    wanted = latest.restore_model(4)
    assert np.any(wanted["params"]["stages"]["width"]["settings"]["dense"]["kernel"])
    shutil.rmtree(tmp_path / "2" / "latest" / "4")  # as if it had been killed before the last one
    assert main(again) == 0
    found = checkpoint.Checkpoints(tmp_path / "2" / "latest").restore_model(4)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


@pytest.mark.slow
def test_a_dry_run_counts_the_stages(tmp_path, capsys):
    assert main([*command("2", songs(tmp_path / "music", 2, 1.0), tmp_path / "out", "--dry-run"), *RUN]) == 0
    said = capsys.readouterr().out
    assert "131,979" in said
    assert not (tmp_path / "out").exists()
