"""Peaks that were cut off before the file was filtered, resampled or encoded: many samples near one level.

A clipper collects samples at its ceiling. Where it works at a higher rate, or a filter or a codec follows, the tops are
not flat any more, but most of their samples stay within a few percent of the ceiling. Music has fewer samples at a
level, the higher it is.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_STEP_DB = 0.1  # of the levels
_LOWEST_DB = -46.1
_NUM_STEPS = 661  # up to +20 dBFS
_MIN_PEAK = 0.01  # −40 dBFS: below, 16 bits are too coarse
_COUNTED = 0.5  # of the highest sample: below, samples are not counted
_MAX_OVERSHOOT = 26  # steps by which ripples of a filter exceed the ceiling
_AT, _BELOW_FIRST, _BELOW_LAST = 2, 6, 11  # steps beside the ceiling and steps below it that are compared
_MIN_DENSITY = 1.0  # at the ceiling of each half, relative to that below
_RIPPLE_END = 0.1  # of the density at the ceiling: above it, where the density is lower, no ripple reaches
_RIPPLE_DB, _SHARE_OF_RIPPLE = 0.15, 1.7  # chosen on training songs, resampled or behind five codecs
_MIN_CUT_DB, _MAX_CUT_DB = 0.2, 1.3


@dataclasses.dataclass(frozen=True)
class CeilingStatistics:
    """Samples of a signal by their level, for the positive and the negative half of each channel.

    Attributes:
        counts: in steps of 0.1 dB; levels far below the highest one are not counted.
        num_frames: of the signal.
    """

    counts: Int[np.ndarray, "channel half steps"]
    num_frames: int


class CeilingScan:
    """Collects `CeilingStatistics` from blocks. channels: of the signal."""

    def __init__(self, channels: int):
        self._highest = np.zeros((channels, 2))
        self._counts = np.zeros((channels, 2, _NUM_STEPS), np.int64)
        self._num_frames = 0

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add a block."""
        self._num_frames += block.shape[1]
        peaks = np.stack([block.max(axis=1), -block.min(axis=1)], axis=1)
        self._highest = np.maximum(self._highest, peaks)
        counted = _COUNTED * self._highest
        for channel, half in np.argwhere((peaks >= counted) & (self._highest >= _MIN_PEAK)):
            samples, limit = block[channel], counted[channel, half]
            high = -samples[samples <= -limit] if half else samples[samples >= limit]
            step = ((20.0 * np.log10(high) - _LOWEST_DB) / _STEP_DB).astype(np.intp)
            self._counts[channel, half] += np.bincount(np.clip(step, 0, _NUM_STEPS - 1), minlength=_NUM_STEPS)

    def result(self) -> CeilingStatistics:
        """The statistics of the signal so far."""
        return CeilingStatistics(self._counts, self._num_frames)


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """Where peaks were cut off.

    Attributes:
        levels: the ceiling of each half, full scale 1; infinite where a half has none.
        cut_levels: from which samples belong to tops that were cut off: below the ceiling by as much as a filter or a
            codec lets these tops ripple.
        density: samples at the ceiling relative to those 6 to 12 % below it, in the half where they are most.
        share: samples above the cut level among all, in the half where they are most.
    """

    levels: Float[np.ndarray, "channel half"]
    cut_levels: Float[np.ndarray, "channel half"]
    density: float
    share: float


class _HalfCeiling(NamedTuple):
    level: float
    cut_level: float
    density: float
    num_cut: int


_NO_CEILING = _HalfCeiling(np.inf, np.inf, 0.0, 0)


def find_ceiling(statistics: CeilingStatistics) -> Ceiling:
    """The level that holds most samples in each half, where it holds more than the levels below."""
    found = [[_find_half_ceiling(counts) for counts in channel] for channel in statistics.counts]
    halves = [[x if x.density >= _MIN_DENSITY else _NO_CEILING for x in channel] for channel in found]
    return Ceiling(
        levels=np.array([[half.level for half in channel] for channel in halves]),
        cut_levels=np.array([[half.cut_level for half in channel] for channel in halves]),
        density=max((half.density for channel in found for half in channel), default=0.0),
        share=max((half.num_cut for channel in halves for half in channel), default=0) / max(1, statistics.num_frames),
    )


def _find_half_ceiling(counts: Int[np.ndarray, " steps"]) -> _HalfCeiling:
    """The level with most samples, near the highest one."""
    (occupied,) = np.nonzero(counts)
    if not len(occupied):
        return _NO_CEILING
    smooth = np.convolve(counts, np.ones(3, np.int64), mode="same")
    first = occupied[-1] - _MAX_OVERSHOOT
    mode = first + int(np.argmax(smooth[first : occupied[-1] + 1]))
    below = counts[mode - _BELOW_LAST : mode - _BELOW_FIRST + 1].mean()
    steps = np.arange(mode - _AT, min(mode + _AT + 1, _NUM_STEPS))
    at_ceiling = counts[steps]
    level_db = _LOWEST_DB + _STEP_DB * (np.sum(steps * at_ceiling) / at_ceiling.sum() + 0.5)
    ripple_db = _STEP_DB * int(np.argmax(smooth[mode:] <= _RIPPLE_END * smooth[mode]))
    cut_db = np.clip(_SHARE_OF_RIPPLE * (ripple_db - _RIPPLE_DB), _MIN_CUT_DB, _MAX_CUT_DB)
    return _HalfCeiling(
        level=10.0 ** (level_db / 20.0),
        cut_level=10.0 ** ((level_db - cut_db) / 20.0),
        density=float(at_ceiling.sum() / (2 * _AT + 1) / max(below, 0.2)),
        num_cut=int(counts[math.floor((level_db - cut_db - _LOWEST_DB) / _STEP_DB) :].sum()),
    )
