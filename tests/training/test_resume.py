"""A stopped run resumes bit-identically; on another number of devices, up to rounding."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from nmjax.data import find_songs
from nmjax.training.loop import graceful_stop
from tests.synthetic_audio import write_songs
from tests.training.tiny_run import RecordingLogger, new_run, tiny_config

ROOT = Path(__file__).parents[2]


OVERRIDES = ("train.steps=7", "train.checkpoint_every=2", "train.validate_every=3")
LONG_OVERRIDES = ("train.steps=60", "train.checkpoint_every=3", "train.validate_every=10")


def make_run(folder, music_folder):
    return new_run(tiny_config("1a", *OVERRIDES), find_songs(music_folder), folder)


def start_worker(folder, music_folder, *changes, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.resume_worker", str(folder), str(music_folder), *changes],
        cwd=ROOT,
        **options,
    )


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a.state), jax.tree.leaves(b.state), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
    assert a.best_loss == b.best_loss


@pytest.fixture(scope="module")
def music_folder(tmp_path_factory):
    return write_songs(tmp_path_factory.mktemp("music"), 4, 1.0)


@pytest.fixture(scope="module")
def uninterrupted_run(music_folder, tmp_path_factory):
    """A run that was not stopped, its logger and its folder."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    run, logger = make_run(folder, music_folder), RecordingLogger()
    assert run.train(logger)
    return run, logger, folder


def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(music_folder, uninterrupted_run, tmp_path):
    whole, logger, folder = uninterrupted_run
    assert sorted(logger.losses) == list(range(1, 8))
    assert len(set(logger.losses.values())) == 7
    assert [step for step, _ in logger.validations] == [0, 3, 6, 7]
    crashed = RecordingLogger(crash_at=5)
    with pytest.raises(InterruptedError):
        make_run(tmp_path, music_folder).train(crashed)
    shutil.copytree(folder / "best", tmp_path / "best", dirs_exist_ok=True)  # saved just before
    again, resumed_logger = make_run(tmp_path, music_folder), RecordingLogger()
    assert again.latest_checkpoints.latest() == 4
    again.resume(4)
    again.train(resumed_logger)
    assert {step: loss for step, loss in logger.losses.items() if step > 4} == resumed_logger.losses
    assert resumed_logger.validations == [v for v in logger.validations if v[0] > 4]
    assert_same(again, whole)


def test_a_signal_saves_a_checkpoint_and_the_run_resumes(music_folder, uninterrupted_run, tmp_path):
    whole, logger, _ = uninterrupted_run
    run, first = make_run(tmp_path, music_folder), RecordingLogger(kill_at=3)
    before = signal.getsignal(signal.SIGTERM)
    with graceful_stop(run):
        assert not run.train(first)
    assert signal.getsignal(signal.SIGTERM) is before
    assert run.stop_signal == signal.SIGTERM
    reached = run.latest_checkpoints.latest()
    assert reached == 4  # a step is logged after the next one has been dispatched
    again, resumed_logger = make_run(tmp_path, music_folder), RecordingLogger()
    again.resume(reached)
    again.train(resumed_logger)
    assert first.losses | resumed_logger.losses == logger.losses
    assert_same(again, whole)


def test_a_run_resumes_on_another_number_of_devices(music_folder, uninterrupted_run, tmp_path):
    """Written on four devices, resumed on one: the same next loss up to rounding."""
    _, logger, folder = uninterrupted_run
    shutil.copytree(folder / "latest", tmp_path / "latest")
    shutil.rmtree(tmp_path / "latest" / "7")
    stdout, stderr = start_worker(
        tmp_path, music_folder, *OVERRIDES, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ).communicate()
    assert stdout, stderr
    result = json.loads(stdout.splitlines()[-1])
    assert result["devices"] == 1
    assert result["losses"]["7"] == pytest.approx(logger.losses[7], rel=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_random_kills_do_not_change_the_result(tmp_path):
    """By SIGKILL, while it trains, validates or writes a checkpoint."""
    music, rng = write_songs(tmp_path / "music", 4, 1.0), random.Random(0)
    assert start_worker(tmp_path / "uninterrupted", music, *LONG_OVERRIDES).wait() == 0
    trace, kills = tmp_path / "killed" / "trace.txt", 0

    def trace_length():
        return len(trace.read_text().splitlines()) if trace.is_file() else 0

    while True:
        process, before = start_worker(tmp_path / "killed", music, *LONG_OVERRIDES), trace_length()
        while kills < 10 and process.poll() is None and trace_length() == before:
            time.sleep(0.01)
        if kills < 10:  # it is training; kill it at any moment of the next half second
            time.sleep(rng.uniform(0.0, 0.5))
            process.kill()
            kills += 1
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert kills == 10
    assert read_trace(tmp_path / "killed") == read_trace(tmp_path / "uninterrupted")
    ours, theirs = (np.load(tmp_path / name / "final.npz") for name in ("killed", "uninterrupted"))
    for key in theirs:
        np.testing.assert_array_equal(ours[key], theirs[key])


def read_trace(folder):
    """Step → loss; a step that was logged twice had the same loss."""
    result = {}
    for line in (folder / "trace.txt").read_text().splitlines():
        step, loss = line.split()
        assert result.setdefault(step, loss) == loss
    return result
