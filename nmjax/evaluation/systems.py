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

from nmjax.errors import BadInputError
from nmjax.evaluation.items import Audio, Item
from nmjax.evaluation.metrics import band_edges_hz, band_levels_db, mid_side
from nmjax.evaluation.references import towards
from nmjax.inference import weights
from nmjax.inference.network import Network, load
from nmjax.inference.render import equalised
from nmjax.inference.track import Heard, corrected, listen
from nmjax.models import SAMPLE_RATE
from nmjax.reference import bells

System = Callable[[Item], Audio | None]
INPUT = "input"
NAMES = (
    INPUT, "oracle-eq5", "oracle-eq10", "reference-same", "reference-other", "matchering-same", "matchering-other"
)  # fmt: skip


def build(names: list[str], checkpoints: list[str], matchering: str | None) -> dict[str, System]:
    """Systems by name: of NAMES, and one of ours for each `DIR` or `NAME=DIR` of `checkpoints`.

    matchering: the Python of an environment that has Matchering (GPL; it runs in a process of its own).

    Raises:
        BadInputError: an unknown name, a checkpoint that cannot be used, Matchering without an environment.
    """
    made: dict[str, System] = {}
    worker = None  # one process for all of Matchering
    shipped = None
    for name in names:
        if name not in NAMES:
            raise BadInputError(f"There is no system '{name}'; there are: {', '.join(NAMES)}, and --ckpt for yours.")
        if name == INPUT:
            made[name] = lambda item: item.source
        elif name.startswith("oracle-eq"):
            made[name] = partial(oracle_eq, bands=int(name.removeprefix("oracle-eq")))
        elif name.startswith("reference-"):
            shipped = shipped or weights.for_references(lambda _: None)
            made[name] = partial(towards, network=shipped, which=name.removeprefix("reference-"))
        else:
            if not matchering:
                raise BadInputError(
                    f"'{name}' needs --matchering PYTHON, of an environment with `pip install matchering`."
                )
            worker = worker or Matchering(matchering)
            made[name] = partial(worker, reference=name.removeprefix("matchering-"))
    for text in checkpoints:
        name, folder = named(text)
        network = load(folder)
        made[untaken(name or network.config.phase, made)] = partial(ours, network=network)
    return made


def named(text: str) -> tuple[str, Path]:
    """`NAME=DIR` parted, or no name and DIR; a folder that has such a name is taken as it is."""
    name, sign, folder = text.partition("=")
    return ("", Path(text)) if not sign or Path(text).exists() else (name, Path(folder))


def untaken(name: str, others: Container[str]) -> str:
    """The name; raises BadInputError where another system has it."""
    if name in others:
        raise BadInputError(f"There are two systems '{name}'; give one another name: NAME=DIR.")
    return name


def ours(item: Item, network: Network) -> Audio:
    """The network, blind: as `infer.py` plays it, before delivery."""
    heard = Heard(lambda: [item.source.astype(np.float32)], SAMPLE_RATE, item.lufs)
    prediction = listen(heard, network)
    bands = prediction.settings.eq.bands()
    return np.concatenate(list(corrected(heard, prediction, bands, network)))


def oracle_eq(item: Item, bands: int) -> Audio:
    """The bells that bring the input's third octaves (of mid) nearest to the original's: a bound for what an equaliser
    with so many bands can do, since no listener is given the original."""
    levels = [band_levels_db(mid_side(x)[0], "thirds", SAMPLE_RATE) for x in (item.target, item.source)]
    fitted = bells.evenly(np.sqrt(np.prod(band_edges_hz("thirds"), axis=0)), levels[0] - levels[1], bands)
    return np.concatenate(list(equalised([item.source.astype(np.float32)], fitted, SAMPLE_RATE)))


class Matchering:
    """Matchering in a process of its own, one call at a time: files in, a file out."""

    def __init__(self, python: str):
        worker = Path(__file__).with_name("matchering_worker.py")
        self._lock, pipe = threading.Lock(), subprocess.PIPE
        try:
            self._process = subprocess.Popen([python, str(worker)], stdin=pipe, stdout=pipe, text=True)
        except OSError as error:
            raise BadInputError(f"--matchering {python} cannot be started ({error.strerror}).") from None
        self._end = weakref.finalize(self, _ended, self._process)
        if not self._answered("ready"):
            self._end()
            raise BadInputError(f"'{python}' has no Matchering; give it one with: {python} -m pip install matchering.")

    def __call__(self, item: Item, reference: str) -> Audio | None:
        given = item.same if reference == "same" else item.other
        if given is None:
            return None
        with self._lock, tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder) / f"{name}.wav") for name in ("target", "reference", "result")}
            for name, audio in (("target", item.source), ("reference", given)):
                stereo = np.repeat(audio, 2, axis=1) if audio.shape[1] == 1 else audio
                soundfile.write(files[name], stereo / max(1.0, np.abs(stereo).max()), SAMPLE_RATE, "FLOAT")
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(files) + "\n")
                self._process.stdin.flush()
            if not self._answered("done"):
                if self._process.poll() is not None:
                    raise BadInputError("Matchering's process has ended by itself; there may be too little memory.")
                return None
            output = soundfile.read(files["result"], always_2d=True)[0]
        output = output.mean(axis=1, keepdims=True) if item.source.shape[1] == 1 else output
        return output[: len(item.source)]

    def _answered(self, word: str) -> bool:
        """Whether its next line says so."""
        try:
            return json.loads(self._process.stdout.readline()).get(word) is True
        except (ValueError, AttributeError):
            return False


def _ended(worker: subprocess.Popen) -> None:
    """Waits for a worker that reads no more."""
    worker.kill()
    worker.communicate()
