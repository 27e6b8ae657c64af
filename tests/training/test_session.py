"""What stops a run, and what keeps two of them apart."""

import json
import re
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax import __version__
from nmjax.checkpoint import Checkpoints, find
from nmjax.cli import main
from nmjax.config import load_config
from nmjax.data import find_songs
from nmjax.errors import BadInputError
from nmjax.training import session
from nmjax.training.record import revision
from tests.music import songs, write
from tests.training.tiny import Recorder, command, new_run, tiny


def test_one_training_a_folder(tmp_path, capsys):
    music = songs(tmp_path / "music", 2, 1.0)
    out = tmp_path / "run"
    with session._alone(out):
        assert main(command("1a", music, out, "train.steps=1")) == 2
    assert "Another training is at work" in capsys.readouterr().err
    assert not any(out.iterdir())


class Poisoned:
    """Batches that no update can be made of from number `first` on, in the orders below `clean`."""

    def __init__(self, stream, order, first, clean):
        self._stream, self._bad, self._first = stream, order < clean, first
        self.get_state, self.set_state, self.close = stream.get_state, stream.set_state, stream.close

    def __next__(self):
        batch = next(self._stream)
        if self._bad and batch["number"][0] >= self._first:
            batch["target"] = batch["target"] * np.float32("nan")
        return batch


def poisoned(folder, clean):
    """A run whose data turn bad after five steps."""
    changes = ("train.steps=14", "train.validate_every=50", "train.checkpoint_every=2", "train.bad_steps=3")
    config = tiny("1a", *changes)
    run = new_run(config, find_songs(songs(folder / "music", 2, 1.0)), folder / "run")
    make = run._make_stream
    run._make_stream = lambda order: Poisoned(make(order), order, 5 * config.data.batch_size, clean)
    run._take_order(0)
    return run


def test_after_bad_updates_in_a_row_the_run_goes_back_and_takes_other_data(tmp_path):
    run, heard = poisoned(tmp_path, clean=2), Recorder()
    assert run.train(heard)
    assert len(heard.said) == 2
    for sentence in heard.said:
        assert re.fullmatch(r"The last 3 updates .* back to the checkpoint of step 4, .* another order\.", sentence)
    assert run.order == 2
    assert int(run.state.step) == 14
    assert int(run.state.skipped) == 0  # what went wrong lies behind the checkpoint that the run went back to
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run.state.model))
    again = poisoned(tmp_path, clean=2)
    again.resume(14)
    assert again.order == 2


def test_where_going_back_does_not_help_the_run_gives_up(tmp_path):
    run = poisoned(tmp_path, clean=100)
    with pytest.raises(BadInputError, match=r"going back to step 4 3 times did not help; lower train.learning_rate"):
        run.train(Recorder())
    assert run.latest_checkpoints.latest() == 4


BEGUN = ("train.steps=2", "train.validate_every=1", "train.checkpoint_every=1", "train.learning_rate=0.1")


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The folders of some songs and of a run on them."""
    folder = tmp_path_factory.mktemp("ended")
    music, out = songs(folder / "music", 3, 1.0), folder / "run"
    assert main(command("1a", music, out, *BEGUN)) == 0
    return music, out


def test_a_run_leaves_a_record_of_how_it_came_to_be(ended):
    _, out = ended
    restored = load_config("1a", [str(out / "config.yaml")])
    assert restored.train.steps == 2
    (start,) = json.loads((out / "starts.json").read_text())
    assert start["packages"]["jax"] == jax.__version__
    assert start["revision"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", start["revision"])
    (events,) = (out / "log").glob("events*")
    written = events.read_bytes()
    for name in (b"train/loss", b"train/waiting_share", b"validation/curve", b"validation/output", b"validation/input"):
        assert name in written
    assert b"PNG" in written and b"RIFF" in written


def test_the_revision_says_whether_files_were_changed(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    assert revision(tmp_path) is None
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    clean = revision(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "file").write_text("2")
    assert revision(tmp_path) == clean + "+"


def test_what_an_abandoned_run_left_is_not_taken_for_another_ones(ended, tmp_path, capsys):
    """Only `best` is there: the run was stopped before its first `latest`."""
    music, out = ended[0], tmp_path / "run"
    shutil.copytree(ended[1], out, ignore=shutil.ignore_patterns("latest"))
    left = Checkpoints(out / "best").latest()
    other = command("1a", music, out, *BEGUN, "seed=1")
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


def test_a_run_of_an_earlier_version_is_refused_with_a_sentence(tmp_path, capsys):
    music, variables = songs(tmp_path / "music", 2, 1.0), {"params": {"a": jnp.zeros(1)}}
    meta = {"config": tiny("1a").model_dump(mode="json"), "step": 3, "best": None, "data": {}}
    Checkpoints(tmp_path / "run" / "latest").save(3, variables, variables, meta)
    assert main(command("1a", music, tmp_path / "run")) == 2
    assert "earlier nmjax" in capsys.readouterr().err


@pytest.mark.slow  # a whole run for one number
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
