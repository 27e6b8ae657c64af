"""How much the residual network adds to a track, measured while both are streamed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nmjax.audio.streams import AudioChunks, add_streams
from nmjax.audio.units import db_to_amplitude, power_to_db
from nmjax.runtime.number_format import format_fixed, format_general

SILENCE_DB = -100.0  # a residual below this level, relative to its signal, counts as none


class ResidualMeter:
    """Adds a residual to a signal, and measures the energy of both as they pass."""

    def __init__(self):
        self._signal_energy = self._residual_energy = 0.0
        self._has_residual = False

    def add(self, signal: AudioChunks, residual: AudioChunks) -> Iterator[np.ndarray]:
        """The sum of two streams of `[frames, channel]` chunks."""
        self._has_residual = True
        return add_streams(self._watch_signal(signal), self._watch_residual(residual))

    def _watch_signal(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        for chunk in chunks:
            self._signal_energy += _energy(chunk)
            yield chunk

    def _watch_residual(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        for chunk in chunks:
            self._residual_energy += _energy(chunk)
            yield chunk

    @property
    def level_db(self) -> float | None:
        """Level of the residual relative to the signal, of what has been read; −inf where either is silent.

        None without a residual.
        """
        if not self._has_residual:
            return None
        return power_to_db(self._residual_energy / self._signal_energy) if self._signal_energy > 0.0 else -math.inf


def _energy(chunk: np.ndarray) -> float:
    return float(np.einsum("tc,tc->", chunk, chunk, dtype=np.float64))


def describe_residual(level_db: float) -> str:
    """A sentence about a residual at this level, relative to the signal to which it is added."""
    if level_db < SILENCE_DB:
        return "The residual adds nothing to this track."
    percent = 100.0 * db_to_amplitude(level_db)
    percent = format_general(percent, digits=2) if percent < 100.0 else f"{percent:.0f}"
    return (
        f"The residual adds {format_fixed(level_db, 'dB')} ({percent} % of the track's amplitude), "
        "which no setting describes; --bypass residual leaves it out."
    )
