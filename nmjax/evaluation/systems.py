"""Systems under test: functions `(item) → output`, at the item's rate and length, at any loudness.

A new one is a function here and a line in `build`; None means that an item does not suit it (a missing reference).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from nmjax.evaluation.examples import Audio, Example
from nmjax.evaluation.metrics import band_edges_hz, band_levels_db, mid_side
from nmjax.evaluation.references import render_with_reference
from nmjax.mastering import pretrained
from nmjax.mastering.analysis import SourceSignal, predict_settings, render_prediction
from nmjax.mastering.network import Network, load
from nmjax.mastering.render import equalize_stream
from nmjax.models import SAMPLE_RATE
from nmjax.reference import eq_fit
from nmjax.runtime.errors import BadInputError

System = Callable[[Example], Audio | None]
INPUT = "input"
SYSTEM_NAMES = (
    INPUT, "oracle-eq5", "oracle-eq10", "reference-same", "reference-other", "matchering-same", "matchering-other"
)  # fmt: skip


def build_systems(names: list[str], checkpoints: list[str], matchering: str | None) -> dict[str, System]:
    """Systems by name: of NAMES, and one of ours for each `DIR` or `NAME=DIR` of `checkpoints`.

    matchering: the Python of an environment that has Matchering (GPL; it runs in a process of its own).

    Raises:
        BadInputError: an unknown name, a checkpoint that cannot be used, Matchering without an environment.
    """
    systems: dict[str, System] = {}
    worker = None  # one process for all of Matchering
    reference_network = None
    for name in names:
        if name not in SYSTEM_NAMES:
            raise BadInputError(
                f"There is no system '{name}'; there are: {', '.join(SYSTEM_NAMES)}, and --ckpt for yours."
            )
        if name == INPUT:
            systems[name] = lambda example: example.source
        elif name.startswith("oracle-eq"):
            systems[name] = partial(oracle_eq, bands=int(name.removeprefix("oracle-eq")))
        elif name.startswith("reference-"):
            reference_network = reference_network or pretrained.load_for_references(lambda _: None)
            systems[name] = partial(
                render_with_reference, network=reference_network, reference_kind=name.removeprefix("reference-")
            )
        else:
            if not matchering:
                raise BadInputError(
                    f"'{name}' needs --matchering PYTHON, of an environment with `pip install matchering`."
                )
            worker = worker or Matchering(matchering)
            systems[name] = partial(worker, reference_kind=name.removeprefix("matchering-"))
    for text in checkpoints:
        name, folder = parse_checkpoint(text)
        network = load(folder)
        systems[require_unique(name or network.config.phase, systems)] = partial(render_blind, network=network)
    return systems


def parse_checkpoint(text: str) -> tuple[str, Path]:
    """`NAME=DIR` parted, or no name and DIR; a folder that has such a name is taken as it is."""
    name, separator, folder = text.partition("=")
    return ("", Path(text)) if not separator or Path(text).exists() else (name, Path(folder))


def require_unique(name: str, taken_names: Container[str]) -> str:
    """The name; raises BadInputError where another system has it."""
    if name in taken_names:
        raise BadInputError(f"There are two systems '{name}'; give one another name: NAME=DIR.")
    return name


def render_blind(example: Example, network: Network) -> Audio:
    """The network, blind: as `infer.py` plays it, before delivery."""
    signal = SourceSignal(lambda: [example.source.astype(np.float32)], SAMPLE_RATE, example.lufs)
    prediction = predict_settings(signal, network)
    bands = prediction.settings.eq.bands()
    return np.concatenate(list(render_prediction(signal, prediction, bands, network)))


def oracle_eq(example: Example, bands: int) -> Audio:
    """The bells that bring the input's third octaves (of mid) nearest to the original's: a bound for what an equaliser
    with so many bands can do, since no listener is given the original."""
    levels = [band_levels_db(mid_side(x)[0], "thirds", SAMPLE_RATE) for x in (example.target, example.source)]
    fitted = eq_fit.fit_fixed_count(np.sqrt(np.prod(band_edges_hz("thirds"), axis=0)), levels[0] - levels[1], bands)
    return np.concatenate(list(equalize_stream([example.source.astype(np.float32)], fitted, SAMPLE_RATE)))


class Matchering:
    """Matchering in a process of its own, one call at a time: files in, a file out."""

    def __init__(self, python: str):
        worker = Path(__file__).with_name("matchering_worker.py")
        self._lock, pipe = threading.Lock(), subprocess.PIPE
        try:
            self._process = subprocess.Popen([python, str(worker)], stdin=pipe, stdout=pipe, text=True)
        except OSError as error:
            raise BadInputError(f"--matchering {python} cannot be started ({error.strerror}).") from None
        self._finalizer = weakref.finalize(self, _terminate, self._process)
        if not self._reply_has("ready"):
            self._finalizer()
            raise BadInputError(f"'{python}' has no Matchering; give it one with: {python} -m pip install matchering.")

    def __call__(self, example: Example, reference_kind: str) -> Audio | None:
        reference_audio = example.same_song if reference_kind == "same" else example.other_song
        if reference_audio is None:
            return None
        with self._lock, tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder) / f"{name}.wav") for name in ("target", "reference", "result")}
            for name, audio in (("target", example.source), ("reference", reference_audio)):
                stereo = np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio
                soundfile.write(files[name], stereo / max(1.0, np.abs(stereo).max()), SAMPLE_RATE, "FLOAT")
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(files) + "\n")
                self._process.stdin.flush()
            if not self._reply_has("done"):
                if self._process.poll() is not None:
                    raise BadInputError("Matchering's process has ended by itself; there may be too little memory.")
                return None
            output = soundfile.read(files["result"], always_2d=True)[0]
        output = output.mean(axis=1, keepdims=True) if example.source.shape[1] == 1 else output
        return output[: len(example.source)]

    def _reply_has(self, key: str) -> bool:
        """Whether its next line says so."""
        try:
            return json.loads(self._process.stdout.readline()).get(key) is True
        except (ValueError, AttributeError):
            return False


def _terminate(worker: subprocess.Popen) -> None:
    """Waits for a worker that reads no more."""
    worker.kill()
    worker.communicate()
