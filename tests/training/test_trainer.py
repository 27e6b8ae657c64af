"""Runs that roll back, stop or refuse a folder, and the record of their provenance."""

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
from nmjax.runtime import compilation_cache
from nmjax.runtime.checkpoints import Checkpoints, find_checkpoint
from nmjax.runtime.errors import BadInputError
from nmjax.training import loop, profile, trainer
from nmjax.training.logging import RunLogger
from nmjax.training.provenance import git_revision
from nmjax.training.run_folder import folder_lock
from tests.synthetic_audio import write_audio, write_songs
from tests.training.event_records import scalar_steps
from tests.training.tiny_run import RecordingLogger, new_run, tiny_config, train_arguments


def test_one_training_per_folder(tmp_path, capsys):
    music = write_songs(tmp_path / "music", 2, 1.0)
    out = tmp_path / "run"
    with folder_lock(out):
        assert main(train_arguments("1a", music, out, "train.steps=1")) == 2
    assert "Another training is running" in capsys.readouterr().err
    assert not any(out.iterdir())


@pytest.mark.parametrize(
    ("phase", "arguments", "reason"),
    [
        ("1a", ["train.grad_accum_steps=3"], "multiple of the 4 devices times 3 micro-batches; it is 4"),
        ("1a", ["--init-from", "absent"], "'absent' is missing"),
        ("1b", ["--init-from", "later"], "phase 1c, from which phase 1b cannot start"),
    ],
)
def test_settings_are_checked_before_the_music_is_read(tmp_path, monkeypatch, capsys, phase, arguments, reason):
    monkeypatch.chdir(tmp_path)
    music = write_songs(tmp_path / "music", 1, 1.0)
    variables = {"params": {"a": jnp.zeros(1)}}
    meta = {"config": tiny_config("1c").model_dump(mode="json")}
    Checkpoints(tmp_path / "later" / "best").save(0, variables, variables, meta)
    assert main(train_arguments(phase, music, tmp_path / "run", *arguments)) == 2
    output = capsys.readouterr()
    assert reason in output.err
    assert "Scanning" not in output.out


class LogReader(Checkpoints):
    """Checkpoints that read the run's event file at the moment when they are saved, as if the run were killed then."""

    def __init__(self, folder, log_folder):
        super().__init__(folder)
        self._log_folder = log_folder
        self.logged_steps = {}

    def save(self, step, model, training, meta):
        self.logged_steps[step] = scalar_steps(self._log_folder, "train/loss")
        super().save(step, model, training, meta)


def test_every_step_before_a_checkpoint_is_on_the_disk_when_it_is_saved(tmp_path, monkeypatch):
    """A run that is killed after the checkpoint never logs these steps again."""
    metrics = {"loss": np.float32(1.0), "skipped": np.int32(0), "consecutive_skips": np.int32(0)}
    monkeypatch.setattr(loop, "jit_train_step", lambda *_, **__: lambda state, *_: (state, metrics))  # saves compiling
    config = tiny_config("1a", "train.steps=5", "train.checkpoint_every=2")
    run = new_run(config, find_songs(write_songs(tmp_path / "music", 2, 1.0)), tmp_path / "run")
    run.validation_batches = []
    run.latest_checkpoints = LogReader(tmp_path / "run" / "latest", tmp_path / "run" / "log")
    with RunLogger(tmp_path / "run" / "log", total_steps=5, start_step=0, batch_size=4) as logger:
        assert run.train(logger)
    assert run.latest_checkpoints.logged_steps == {step: list(range(1, step + 1)) for step in (0, 2, 4, 5)}


class NanBatches:
    """Batches that turn to NaN from example number `first` on."""

    def __init__(self, batches, first):
        self._batches, self._first = batches, first
        self.get_state, self.set_state, self.close = batches.get_state, batches.set_state, batches.close

    def __next__(self):
        batch = next(self._batches)
        if batch["number"][0] >= self._first:
            batch["target"] = batch["target"] * np.float32("nan")
        return batch


def run_with_nan_batches(folder, clean_from):
    """A run whose data turn to NaN after five steps, in every data order before `clean_from`."""
    changes = ("train.steps=14", "train.validate_every=50", "train.checkpoint_every=2", "train.max_skipped=3")
    config = tiny_config("1a", *changes)

    def wrap_batches(batches, shuffle_index):
        return NanBatches(batches, 5 * config.data.batch_size) if shuffle_index < clean_from else batches

    return new_run(config, find_songs(write_songs(folder / "music", 2, 1.0)), folder / "run", wrap_batches)


def test_repeated_bad_updates_restore_a_checkpoint_with_another_data_order(tmp_path):
    run, logger = run_with_nan_batches(tmp_path, clean_from=2), RecordingLogger()
    assert run.train(logger)
    assert len(logger.messages) == 2
    for message in logger.messages:
        assert re.fullmatch(r"The last 3 updates .* to the checkpoint of step 4, .* another order\.", message)
    assert run.shuffle_index == 2
    assert int(run.state.step) == 14
    assert int(run.state.skipped) == 0  # the bad updates came after the checkpoint
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(run.state.variables))
    again = run_with_nan_batches(tmp_path, clean_from=2)
    again.resume(14)
    assert again.shuffle_index == 2


def test_repeated_restores_stop_the_run(tmp_path):
    run = run_with_nan_batches(tmp_path, clean_from=100)
    with pytest.raises(BadInputError, match=r"even after 3 rollbacks to step 4\. Lower train\.learning_rate"):
        run.train(RecordingLogger())
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
    assert start["git_revision"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", start["git_revision"])
    (events,) = (out / "log").glob("events*")
    written = events.read_bytes()
    for name in (
        b"train/loss",
        b"train/data_wait_fraction",
        b"validation/eq_response",
        b"validation/output",
        b"validation/input",
    ):
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
    """There is only a best checkpoint: the run was stopped before it saved a latest one."""
    music, out = finished_run[0], tmp_path / "run"
    shutil.copytree(finished_run[1], out, ignore=shutil.ignore_patterns("latest"))
    last_step = Checkpoints(out / "best").latest()
    other = train_arguments("1a", music, out, *SHORT_OVERRIDES, "seed=1")
    if last_step:
        assert main(other) == 2
        assert f"best checkpoint (step {last_step}) of a run with other settings" in capsys.readouterr().err
        shutil.move(out / "best" / str(last_step), tmp_path / "moved")
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
    assert "earlier version of nmjax" in capsys.readouterr().err


@pytest.mark.slow  # a whole run for one number
def test_validation_on_silence_does_not_divide_by_zero(tmp_path, capsys):
    music = write_songs(tmp_path / "music", 2, 1.0)
    write_audio(tmp_path / "silence" / "a.wav", np.zeros((44_100, 2)))
    arguments = train_arguments(
        "1a", music, tmp_path / "run", "train.steps=1", "--validation", str(tmp_path / "silence")
    )
    assert main(arguments) == 0
    assert "ratio –" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(rf"nmjax {re.escape(__version__)}\n", capsys.readouterr().out)


def test_the_compilation_cache_is_switched_on_before_anything_compiles(tmp_path, monkeypatch):
    """A resume loads its programs instead of compiling them again."""
    calls = []
    monkeypatch.setattr(compilation_cache, "enable_compilation_cache", lambda: calls.append("cache"))
    monkeypatch.setattr(trainer, "train", lambda request: calls.append("train"))
    monkeypatch.setattr(trainer, "fit_spectral", lambda request: calls.append("fit"))
    monkeypatch.setattr(profile, "print_profile", lambda config: calls.append("profile"))
    arguments = train_arguments("1a", write_songs(tmp_path / "music", 1, 1.0), tmp_path / "run")
    for flags in ([], ["--fit-spectral"], ["--dry-run"]):
        assert main([*arguments, *flags]) == 0
    assert calls == ["cache", "train", "cache", "fit", "cache", "profile"]
