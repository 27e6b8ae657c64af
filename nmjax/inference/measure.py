"""Loudness and true peak of a stream, with constant memory but for ten numbers a second."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.dsp.loudness import (
    TRUE_PEAK_TAPS,
    gated_power,
    hop_powers,
    hop_samples,
    loudness_of_power,
    true_peak_within_db,
    weighted,
)
from nmjax.inference.stream import Pieces, recut

_HOPS = 30  # 100 ms each, measured at a time


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
        self.sample_rate, self.channels = sample_rate, channels
        self._powers: list[np.ndarray] = []
        self._true_peak, self._peak, self._frames = -np.inf, 0.0, 0

    def watch(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """The same signal, measured on the way, in pieces of 3 s."""
        size = _HOPS * hop_samples(self.sample_rate)
        state = jnp.zeros((1, self.channels, 2, 2), jnp.float32)
        before = np.zeros((TRUE_PEAK_TAPS - 1, self.channels), np.float32)
        silence = np.zeros((size, self.channels), np.float32)
        for piece in recut(pieces, size):
            audio = silence.copy()
            audio[: len(piece)] = piece
            powers, true_peak, state = _measure(audio, before, state, self.sample_rate)
            self._powers.append(np.asarray(powers[: len(piece) // hop_samples(self.sample_rate)]))
            self._true_peak = max(self._true_peak, float(true_peak))
            self._peak = max(self._peak, float(np.abs(piece).max()))
            self._frames += len(piece)
            before = audio[1 - TRUE_PEAK_TAPS :]
            yield piece
        after_the_end = _measure(silence, before, state, self.sample_rate)[1]
        self._true_peak = max(self._true_peak, float(after_the_end))

    def result(self) -> Measurement:
        """What was heard."""
        powers = np.concatenate(self._powers) if self._powers else np.zeros(0, np.float32)
        lufs = float(loudness_of_power(gated_power(jnp.asarray(powers)[None]))[0])
        return Measurement(lufs, self._true_peak, self._peak, self._frames)


def measured(pieces: Pieces, sample_rate: int, channels: int) -> Measurement:
    """Loudness and peaks of a whole stream."""
    meter = Meter(sample_rate, channels)
    for _ in meter.watch(pieces):
        pass
    return meter.result()


@partial(jax.jit, static_argnums=3)
def _measure(audio, before, state, sample_rate):
    heard, state = weighted(audio[None], sample_rate, state)
    peak = true_peak_within_db(jnp.concatenate([before, audio])[None])[0]
    return hop_powers(heard, sample_rate)[0], peak, state
