"""A run that was stopped goes on as if it had not been, to the bit; also on another number of devices."""

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
from nmjax.training.loop import stopping_by_signal
from tests.music import songs
from tests.training.tiny import Recorder, new_run, tiny

ROOT = Path(__file__).parents[2]


CHANGES = ("train.steps=7", "train.checkpoint_every=2", "train.validate_every=3")
LONGER = ("train.steps=60", "train.checkpoint_every=3", "train.validate_every=10")


def run_on(folder, music):
    return new_run(tiny("1a", *CHANGES), find_songs(music), folder)


def go_on(folder, music, *changes, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.go_on", str(folder), str(music), *changes], cwd=ROOT, **options
    )


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a.state), jax.tree.leaves(b.state), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))
    assert a.best == b.best


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    return songs(tmp_path_factory.mktemp("music"), 4, 1.0)


@pytest.fixture(scope="module")
def straight(music, tmp_path_factory):
    """A run that never stopped, its listener and its folder."""
    folder = tmp_path_factory.mktemp("straight")
    run, heard = run_on(folder, music), Recorder()
    assert run.train(heard)
    return run, heard, folder


def test_the_loss_trace_and_the_weights_are_those_of_a_run_that_never_stopped(music, straight, tmp_path):
    whole, heard, folder = straight
    assert sorted(heard.losses) == list(range(1, 8))
    assert len(set(heard.losses.values())) == 7
    assert [step for step, _ in heard.validations] == [0, 3, 6, 7]
    crashed = Recorder(crash_at=5)
    with pytest.raises(InterruptedError):
        run_on(tmp_path, music).train(crashed)
    shutil.copytree(folder / "best", tmp_path / "best", dirs_exist_ok=True)  # saved just before
    again, rest = run_on(tmp_path, music), Recorder()
    assert again.latest_checkpoints.latest() == 4
    again.resume(4)
    again.train(rest)
    assert {step: loss for step, loss in heard.losses.items() if step > 4} == rest.losses
    assert rest.validations == [v for v in heard.validations if v[0] > 4]
    assert_same(again, whole)


def test_a_signal_saves_and_stops_and_nothing_is_lost(music, straight, tmp_path):
    whole, heard, _ = straight
    run, first = run_on(tmp_path, music), Recorder(kill_at=3)
    before = signal.getsignal(signal.SIGTERM)
    with stopping_by_signal(run):
        assert not run.train(first)
    assert signal.getsignal(signal.SIGTERM) is before
    assert run.stopped_by == signal.SIGTERM
    reached = run.latest_checkpoints.latest()
    assert reached == 4  # a step is heard of once the next one is on its way
    again, rest = run_on(tmp_path, music), Recorder()
    again.resume(reached)
    again.train(rest)
    assert first.losses | rest.losses == heard.losses
    assert_same(again, whole)


def test_a_run_goes_on_with_another_number_of_devices(music, straight, tmp_path):
    """Written on four devices, gone on with on one: the same state to the bit, and the same next loss but for
    rounding."""
    _, heard, folder = straight
    shutil.copytree(folder / "latest", tmp_path / "latest")
    shutil.rmtree(tmp_path / "latest" / "7")
    said, complaint = go_on(tmp_path, music, *CHANGES, stdout=subprocess.PIPE, stderr=subprocess.PIPE).communicate()
    assert said, complaint
    found = json.loads(said.splitlines()[-1])
    assert found["devices"] == 1
    assert found["losses"]["7"] == pytest.approx(heard.losses[7], rel=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_ten_times_at_random_moments_it_ends_as_if_nothing_had_been(tmp_path):
    """By SIGKILL, while it trains, validates or writes a checkpoint."""
    music, chance = songs(tmp_path / "music", 4, 1.0), random.Random(0)
    assert go_on(tmp_path / "straight", music, *LONGER).wait() == 0
    trace, kills = tmp_path / "killed" / "trace.txt", 0

    def told():
        return len(trace.read_text().splitlines()) if trace.is_file() else 0

    while True:
        begun, before = go_on(tmp_path / "killed", music, *LONGER), told()
        while kills < 10 and begun.poll() is None and told() == before:
            time.sleep(0.01)
        if kills < 10:  # it is at work; any moment of the next half second will do
            time.sleep(chance.uniform(0.0, 0.5))
            begun.kill()
            kills += 1
        if begun.wait() == 0:
            break
        assert begun.returncode == -signal.SIGKILL
    assert kills == 10
    assert trace_of(tmp_path / "killed") == trace_of(tmp_path / "straight")
    ours, theirs = (np.load(tmp_path / name / "final.npz") for name in ("killed", "straight"))
    for key in theirs:
        np.testing.assert_array_equal(ours[key], theirs[key])


def trace_of(folder):
    """Step → loss; a step that was told twice was told the same."""
    found = {}
    for line in (folder / "trace.txt").read_text().splitlines():
        step, loss = line.split()
        assert found.setdefault(step, loss) == loss
    return found
