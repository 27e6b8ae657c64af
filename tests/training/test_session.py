"""What stops a run, and what keeps two of them apart."""

import re

import jax
import pytest

from nmjax import __version__
from nmjax.cli import main
from nmjax.data import find_songs, training_batches
from nmjax.errors import BadInputError
from nmjax.training import session
from nmjax.training.loop import Run
from nmjax.training.state import build_model, initial_state, initial_variables
from tests.music import songs
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


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert re.fullmatch(rf"nmjax {re.escape(__version__)}\n", capsys.readouterr().out)
