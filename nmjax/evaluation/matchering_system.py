"""Matchering as a system under test: files in, a file out, by a process in its own environment."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np
import soundfile

from nmjax.evaluation.examples import Example
from nmjax.evaluation.metrics import Audio
from nmjax.models import SAMPLE_RATE
from nmjax.runtime.errors import BadInputError


class Matchering:
    """A process that runs `matchering_worker.py`; calls from several threads take turns.

    Raises:
        BadInputError: the interpreter cannot be started or has no Matchering.
    """

    def __init__(self, python: str):
        worker = Path(__file__).with_name("matchering_worker.py")
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                [python, str(worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise BadInputError(f"--matchering {python} cannot be started ({error.strerror}).") from None
        self._finalizer = weakref.finalize(self, _terminate, self._process)
        if not self._read_reply("ready"):
            self._finalizer()
            raise BadInputError(f"'{python}' has no Matchering; run {python} -m pip install matchering.")

    def __call__(self, example: Example, same_song: bool) -> Audio | None:
        """Match an example to its reference; None where there is none or Matchering rejects it."""
        reference = example.same_song if same_song else example.other_song
        if reference is None:
            return None
        with self._lock, tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder) / f"{name}.wav") for name in ("target", "reference", "result")}
            _write_stereo(files["target"], example.source)
            _write_stereo(files["reference"], reference)
            if not self._request(files):
                if self._process.poll() is not None:
                    raise BadInputError("The Matchering process has ended; it may have run out of memory.")
                return None
            output = soundfile.read(files["result"], always_2d=True)[0]
        output = output.mean(axis=1, keepdims=True) if example.source.shape[1] == 1 else output
        return output[: len(example.source)]

    def _request(self, files: dict[str, str]) -> bool:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(files) + "\n")
            self._process.stdin.flush()
        return self._read_reply("done")

    def _read_reply(self, key: str) -> bool:
        """Whether the next line of the worker confirms `key`."""
        assert self._process.stdout
        try:
            return json.loads(self._process.stdout.readline()).get(key) is True
        except (ValueError, AttributeError):
            return False


def _write_stereo(path: str, audio: Audio) -> None:
    stereo = np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio
    soundfile.write(path, stereo / max(1.0, np.abs(stereo).max()), SAMPLE_RATE, "FLOAT")


def _terminate(worker: subprocess.Popen) -> None:
    worker.kill()
    worker.communicate()
