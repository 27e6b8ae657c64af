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
from nmjax.cli.main import main
from nmjax.config import load_config
from nmjax.data import find_songs
from nmjax.runtime.checkpoints import Checkpoints, find_checkpoint
from nmjax.runtime.errors import BadInputError
from nmjax.training import trainer
from nmjax.training.provenance import git_revision
from tests.synthetic_audio import write_audio, write_songs
from tests.training.tiny_run import RecordingListener, new_run, tiny_config, train_arguments


def test_one_training_per_folder(tmp_path, capsys):
    music = write_songs(tmp_path / "music", 2, 1.0)
    out = tmp_path / "run"
    with trainer._folder_lock(out):
        assert main(train_arguments("1a", music, out, "train.steps=1")) == 2
    assert "Another training is at work" in capsys.readouterr().err
    assert not any(out.iterdir())


class NanBatches:
    """Batches that no update can be made of from number `first` on, in the orders below `clean`."""

    def __init__(self, stream, order, first, clean):
        self._stream, self._bad, self._first = stream, order < clean, first
        self.get_state, self.set_state, self.close = stream.get_state, stream.set_state, stream.close

    def __next__(self):
        batch = next(self._stream)
        if self._bad and batch["number"][0] >= self._first:
            batch["target"] = batch["target"] * np.float32("nan")
        return batch


def run_with_nan_batches(folder, clean):
    """A run whose data turn bad after five steps."""
    changes = ("train.steps=14", "train.validate_every=50", "train.checkpoint_every=2", "train.max_skipped=3")
    config = tiny_config("1a", *changes)
    run = new_run(config, find_songs(write_songs(folder / "music", 2, 1.0)), folder / "run")
    make = run._make_batches
    run._make_batches = lambda order: NanBatches(make(order), order, 5 * config.data.batch_size, clean)
    run._set_shuffle(0)
    return run


def test_repeated_bad_updates_restore_a_checkpoint_with_another_data_order(tmp_path):
    run, listener = run_with_nan_batches(tmp_path, clean=2), RecordingListener()
    assert run.train(listener)
    assert len(listener.messages) == 2
    for sentence in listener.messages:
        assert re.fullmatch(r"The last 3 updates .* back to the checkpoint of step 4, .* another order\.", sentence)
    assert run.shuffle_index == 2
    assert int(run.state.step) == 14
    assert int(run.state.skipped) == 0  # what went wrong lies behind the checkpoint that the run went back to
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run.state.variables))
    again = run_with_nan_batches(tmp_path, clean=2)
    again.resume(14)
    assert again.shuffle_index == 2


def test_repeated_restores_stop_the_run(tmp_path):
    run = run_with_nan_batches(tmp_path, clean=100)
    with pytest.raises(BadInputError, match=r"going back to step 4 3 times did not help; lower train.learning_rate"):
        run.train(RecordingListener())
    assert run.latest_checkpoints.latest() == 4


SHORT_OVERRIDES = ("train.steps=2", "train.validate_every=1", "train.checkpoint_every=1", "train.learning_rate=0.1")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    """The folders of some songs and of a run on them."""
    folder = tmp_path_factory.mktemp("ended")
    music, out = write_songs(folder / "music", 3, 1.0), folder / "run"
    assert main(train_arguments("1a", music, out, *SHORT_OVERRIDES)) == 0
    return music, out


def test_a_run_records_its_provenance(finished_run):
    _, out = finished_run
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


def test_the_revision_marks_modified_files(tmp_path):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True)

    assert git_revision(tmp_path) is None
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    clean = git_revision(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == clean + "+"


def test_files_of_an_abandoned_run_are_not_reused_by_another(finished_run, tmp_path, capsys):
    """Only `best` is there: the run was stopped before its first `latest`."""
    music, out = finished_run[0], tmp_path / "run"
    shutil.copytree(finished_run[1], out, ignore=shutil.ignore_patterns("latest"))
    last_step = Checkpoints(out / "best").latest()
    other = train_arguments("1a", music, out, *SHORT_OVERRIDES, "seed=1")
    if last_step:
        assert main(other) == 2
        assert f"another run had learnt by step {last_step}" in capsys.readouterr().err
        shutil.move(out / "best" / str(last_step), tmp_path / "kept")
    (out / "split.json").unlink()
    shutil.rmtree(out / "best")
    variables = {"params": {"a": jnp.zeros(1)}}
    Checkpoints(out / "best").save(0, variables, variables, {"config": tiny_config("1b").model_dump(mode="json")})
    assert main(other) == 0
    checkpoints, step = find_checkpoint(out)
    assert checkpoints.meta(step)["config"]["seed"] == 1


def test_a_run_of_an_earlier_version_is_rejected(tmp_path, capsys):
    music, variables = write_songs(tmp_path / "music", 2, 1.0), {"params": {"a": jnp.zeros(1)}}
    meta = {"config": tiny_config("1a").model_dump(mode="json"), "step": 3, "best": None, "data": {}}
    Checkpoints(tmp_path / "run" / "latest").save(3, variables, variables, meta)
    assert main(train_arguments("1a", music, tmp_path / "run")) == 2
    assert "earlier nmjax" in capsys.readouterr().err


@pytest.mark.slow  # a whole run for one number
def test_validating_on_silence_is_no_division_by_zero(tmp_path, capsys):
    music = write_songs(tmp_path / "music", 2, 1.0)
    write_audio(tmp_path / "silence" / "a.wav", np.zeros((44_100, 2)))
    arguments = train_arguments(
        "1a", music, tmp_path / "run", "train.steps=1", "--validation", str(tmp_path / "silence")
    )
    assert main(arguments) == 0
    assert "ratio –" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert re.fullmatch(rf"nmjax {re.escape(__version__)}\n", capsys.readouterr().out)
