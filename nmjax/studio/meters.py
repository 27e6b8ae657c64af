"""Meters over time for the page: loudness, and what a stage does to the level."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.audio.bs1770 import channel_weights
from nmjax.audio.loudness_meter import BLOCK_HOPS, HOPS_PER_SECOND, LoudnessMeter, StepAccumulator, power_to_lufs
from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import json_number

_SILENCE_LUFS = -120.0  # what is below has no number for JSON
_MIN_ENERGY = 1e-12  # of 100 ms; below there is no gain to see


class MeterScan:
    """Loudness over time as chunks pass, one value every 100 ms."""

    def __init__(self, sample_rate: int, channels: int):
        self._meter = LoudnessMeter(sample_rate, channel_weights(channels))

    def watch(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same chunks, `[frames, channel]`."""
        for chunk in chunks:
            self._meter.update(chunk)
            yield chunk

    @property
    def lufs(self) -> float:
        """Integrated loudness; −inf where there is none."""
        return self._meter.integrated_lufs()

    def to_dict(self, true_peak_db: float | None) -> dict[str, Any]:
        """The meter for JSON: each time is the end of a window."""
        powers = self._meter.hop_powers()
        momentary = np.convolve(powers, np.ones(BLOCK_HOPS) / BLOCK_HOPS, "full")[: len(powers)]
        short_term = np.convolve(powers, np.ones(30) / 30.0, "full")[: len(powers)]
        return {
            "times_s": [round((i + 1) / HOPS_PER_SECOND, 1) for i in range(len(powers))],
            "momentary": _loudness_list(momentary),
            "short_term": _loudness_list(short_term),
            "integrated": json_number(self.lufs),
            "loudness_range": json_number(self._meter.loudness_range_lu()),
            "true_peak_db": json_number(true_peak_db),
        }


class EnergyScan:
    """The energy of each 100 ms as chunks pass."""

    def __init__(self, sample_rate: int):
        self._steps = StepAccumulator(np.add, sample_rate, HOPS_PER_SECOND, np.float64)

    def watch(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same chunks, `[frames, channel]`."""
        for chunk in chunks:
            self._steps.add(np.einsum("tc,tc->t", chunk, chunk, dtype=np.float64))
            yield chunk

    def values(self) -> Float[np.ndarray, " hops"]:
        """Energies so far."""
        return self._steps.values()


def energy_gain_db(before: EnergyScan, after: EnergyScan) -> Float[np.ndarray, " hops"]:
    """The gain of each 100 ms in dB; 0 in silence."""
    count = min(len(before.values()), len(after.values()))
    first, second = before.values()[:count], after.values()[:count]
    is_audible = (first > _MIN_ENERGY) & (second > _MIN_ENERGY)
    ratio = np.divide(second, first, out=np.ones(count), where=is_audible)
    return 10.0 * np.log10(ratio)


def _loudness_list(powers: np.ndarray) -> list[float]:
    values = np.asarray(power_to_lufs(powers))
    return [round(float(x), 2) if math.isfinite(x) else _SILENCE_LUFS for x in np.maximum(values, _SILENCE_LUFS)]
