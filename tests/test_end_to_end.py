"""The scripts as a user runs them: train, be killed, resume, start the next phase, master a track."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nmjax.runtime.checkpoints import Checkpoints
from tests.synthetic_audio import music, write_audio, write_songs
from tests.training.tiny_run import train_arguments

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
ENVIRONMENT.pop("XLA_FLAGS", None)  # one device, as on a laptop
STEPS = ("train.steps=12", "train.checkpoint_every=2", "train.validate_every=4")


def run_command(script, *arguments):
    process = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True
    )
    return process.returncode, process.stdout + process.stderr


def decoder_kernel(folder):
    checkpoints = Checkpoints(folder / "latest")
    model = checkpoints.restore_model(checkpoints.latest())
    return model["params"]["decoder"]["gain"]["dense"]["kernel"]


@pytest.mark.parametrize("encoder", ["spectral", pytest.param("tcn", marks=pytest.mark.slow)])
def test_train_resumes_after_a_kill_and_infer_uses_the_result(tmp_path, encoder):
    music_folder = write_songs(tmp_path / "music", 4, 1.0)
    train = train_arguments("1a", music_folder, tmp_path / "run", *STEPS, f"model.encoder={encoder}")[1:]
    command = [sys.executable, str(ROOT / "train.py"), *map(str, train)]
    victim = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not any((tmp_path / "run" / "latest").glob("*/digests.json")):
        assert victim.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    code, output = run_command("train.py", *train)
    assert code == 0, output
    assert "Resuming from step" in output, output
    assert Checkpoints(tmp_path / "run" / "latest").latest() == 12
    track = write_audio(tmp_path / "track.wav", music(2.0, 48_000), 48_000)
    code, output = run_command("infer.py", "--ckpt", tmp_path / "run", track)
    assert code == 0, output
    info = soundfile.info(str(tmp_path / "track-mastered.wav"))
    assert (info.frames, info.samplerate, info.channels) == (96_000, 48_000, 2)
    assert (tmp_path / "track-mastered.wav.json").is_file()


@pytest.mark.slow  # five runs; tests/training does the same by parts
def test_a_run_is_completed_once_and_the_next_phase_starts_from_it(tmp_path):
    music_folder = write_songs(tmp_path / "music", 4, 1.0)
    first, again = (train_arguments("1a", music_folder, tmp_path / name, *STEPS)[1:] for name in ("run", "again"))
    for train in (first, again):
        code, output = run_command("train.py", *train)
        assert code == 0, output
    np.testing.assert_array_equal(decoder_kernel(tmp_path / "run"), decoder_kernel(tmp_path / "again"))
    code, output = run_command("train.py", *first)
    assert (code, "is complete" in output) == (0, True)

    later = train_arguments(
        "1c", music_folder, tmp_path / "later", "train.steps=2", "--init-from", str(tmp_path / "run")
    )[1:]
    code, output = run_command("train.py", *later)
    assert code == 0, output
    assert "arrays transferred" in output
    code, output = run_command(
        "infer.py", "--ckpt", tmp_path / "later", write_audio(tmp_path / "track.wav", music(2.0))
    )
    assert code == 0, output
    assert "gate" in output
