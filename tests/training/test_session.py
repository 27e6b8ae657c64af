"""What stops a run, and what keeps two of them apart."""

import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax import __version__
from nmjax.checkpoint import Checkpoints, find
from nmjax.cli import main
from nmjax.data import find_songs, training_batches
from nmjax.errors import BadInputError
from nmjax.models import build_model
from nmjax.training import session
from nmjax.training.loop import Run
from nmjax.training.state import initial_state, initial_variables
from tests.music import songs, write
from tests.training.tiny import Recorder, command, tiny


def test_one_training_a_folder(tmp_path, capsys):
    music = songs(tmp_path / "music", 2, 1.0)
    out = tmp_path / "run"
    with session._alone(out):
        assert main(command("1a", music, out, "train.steps=1")) == 2
    assert "Another training is at work" in capsys.readouterr().err
    assert not any(out.iterdir())


def test_a_run_in_which_no_update_is_possible_gives_up(tmp_path):
    config = tiny("1a", "train.steps=120", "train.validate_every=500", "train.checkpoint_every=500")
    variables = initial_variables(build_model(config), 0)
    variables["params"] = jax.tree.map(lambda x: x * float("nan"), variables["params"])
    music = find_songs(songs(tmp_path / "music", 2, 1.0))
    stream = training_batches(music, config.data, 44_100, 0)
    run, heard = Run(config, initial_state(config, variables), stream, [], tmp_path / "run"), Recorder()
    with pytest.raises(BadInputError, match=r"last 50 updates before step 50 .* lower train.learning_rate"):
        run.train(heard)
    assert max(heard.losses) == 49
    assert int(run.state.skipped) == 50


def test_what_an_abandoned_run_left_is_not_taken_for_another_ones(tmp_path, capsys):
    """Only `best` is there: the run was stopped before its first `latest`."""
    music, out = songs(tmp_path / "music", 3, 1.0), tmp_path / "run"
    begun = ("train.steps=2", "train.validate_every=1", "train.learning_rate=0.1")
    assert main(command("1a", music, out, *begun)) == 0
    shutil.rmtree(out / "latest")
    left = Checkpoints(out / "best").latest()
    other = command("1a", music, out, *begun, "seed=1")
    if left:
        assert main(other) == 2
        assert f"another run had learnt by step {left}" in capsys.readouterr().err
        shutil.move(out / "best" / str(left), tmp_path / "kept")
    (out / "split.json").unlink()
    shutil.rmtree(out / "best")
    variables = {"params": {"a": jnp.zeros(1)}}
    Checkpoints(out / "best").save(0, variables, variables, {"config": tiny("1b").model_dump(mode="json")})
    assert main(other) == 0
    checkpoints, step = find(out)
    assert checkpoints.meta(step)["config"]["seed"] == 1


def test_validating_on_silence_is_no_division_by_zero(tmp_path, capsys):
    music = songs(tmp_path / "music", 2, 1.0)
    write(tmp_path / "silence" / "a.wav", np.zeros((44_100, 2)))
    arguments = command("1a", music, tmp_path / "run", "train.steps=1", "--validation", str(tmp_path / "silence"))
    assert main(arguments) == 0
    assert "ratio –" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert re.fullmatch(rf"nmjax {re.escape(__version__)}\n", capsys.readouterr().out)
