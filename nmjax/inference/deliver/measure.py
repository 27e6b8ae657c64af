"""Loudness and true peak of a stream, with constant memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.dsp import MeterState, meter_state, metered, reading
from nmjax.inference.stream import Pieces, recut

_SECONDS = 3  # measured at a time


@dataclasses.dataclass(frozen=True)
class Measurement:
    """lufs: integrated, −inf for silence and below 400 ms. true_peak_db: dBTP. peak: largest sample. frames: length."""

    lufs: float
    true_peak_db: float
    peak: float
    frames: int


class Meter:
    """Hears a signal as it passes; `result` after the last piece."""

    def __init__(self, sample_rate: int, channels: int):
        self.sample_rate = sample_rate
        self._state = meter_state(1, channels)
        self._frames = 0

    def watch(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """The same signal, measured on the way, in pieces of 3 s."""
        size = _SECONDS * self.sample_rate
        for piece in recut(pieces, size):
            audio = np.zeros((1, size, piece.shape[1]), np.float32)
            audio[0, : len(piece)] = piece
            self._state = _metered(audio, self.sample_rate, self._state, len(piece))
            self._frames += len(piece)
            yield piece

    @property
    def state(self) -> MeterState:
        """As it stands; what an album is measured by."""
        return self._state

    def result(self) -> Measurement:
        """What was heard."""
        found = _reading(self._state, self.sample_rate)
        peak = float(self._state.sample_peak[0])
        return Measurement(float(found.integrated[0]), float(found.true_peak_db[0]), peak, self._frames)


def measured(pieces: Pieces, sample_rate: int, channels: int) -> Measurement:
    """Loudness and peaks of a whole stream."""
    meter = Meter(sample_rate, channels)
    for _ in meter.watch(pieces):
        pass
    return meter.result()


@partial(jax.jit, static_argnums=1)
def _metered(audio, sample_rate, state, valid):
    return metered(jnp.asarray(audio), sample_rate, state, valid)


_reading = jax.jit(reading, static_argnums=1)
