"""A run that was stopped goes on as if it had not been, to the bit."""

import shutil

import jax
import numpy as np
import pytest

from nmjax.data import find_songs, training_batches, validation_batches
from nmjax.models import build_model
from nmjax.training.loop import Run
from nmjax.training.state import initial_state, initial_variables
from tests.music import songs
from tests.training.tiny import Recorder, tiny


def new_run(folder, music):
    config = tiny("1a", "train.steps=7", "train.checkpoint_every=2", "train.validate_every=3")
    state = initial_state(config, initial_variables(build_model(config), config.seed))
    stream = training_batches(music, config.data, 44_100, config.seed)
    return Run(config, state, stream, validation_batches(music, config.data, 44_100), folder)


def test_the_loss_trace_and_the_weights_are_those_of_a_run_that_never_stopped(tmp_path):
    music = find_songs(songs(tmp_path / "music", 4, 1.0))
    whole, straight = new_run(tmp_path / "whole", music), Recorder()
    whole.train(straight)
    assert sorted(straight.losses) == list(range(1, 8))
    assert len(set(straight.losses.values())) == 7
    assert [step for step, _ in straight.validations] == [0, 3, 6, 7]

    crashed = Recorder(crash_at=5)
    with pytest.raises(InterruptedError):
        new_run(tmp_path / "cut", music).train(crashed)
    shutil.copytree(tmp_path / "whole/best", tmp_path / "cut/best", dirs_exist_ok=True)  # saved just before
    again, rest = new_run(tmp_path / "cut", music), Recorder()
    assert again.latest_checkpoints.latest() == 4
    again.resume(4)
    again.train(rest)
    assert {step: loss for step, loss in straight.losses.items() if step > 4} == rest.losses
    assert rest.validations == [v for v in straight.validations if v[0] > 4]
    for a, b in zip(jax.tree.leaves(again.state), jax.tree.leaves(whole.state), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert again.best == whole.best
