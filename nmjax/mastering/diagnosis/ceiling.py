"""Peaks that were cut off before the file was filtered, resampled or encoded: many samples near one level.

A clipper collects samples at its ceiling. Where it works at a higher rate, or a filter or a codec follows, the tops are
not flat any more, but most of their samples stay within a few percent of the ceiling. Music has fewer samples at a
level, the higher it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

_STEP_DB = 0.1  # of the levels
_LOWEST_DB = -46.1
_NUM_STEPS = 1062  # up to +60 dBFS, which files of floats may have
_MIN_PEAK = 0.01  # −40 dBFS: below, 16 bits are too coarse
_COUNTED = 0.6  # of the highest sample of a block: below, samples are not counted
_MAX_OVERSHOOT = 26  # steps by which ripples of a filter exceed the ceiling
_AT, _BELOW_FIRST, _BELOW_LAST = 2, 6, 11  # steps beside the ceiling and steps below it that are compared
_MIN_DENSITY = 1.0  # at the ceiling of each half, relative to that below
_MIN_SAMPLES = 300  # at the ceiling of a half: fewer may be a few peaks of equal height
_RIPPLE_END = 0.1  # of the density at the ceiling: above it, where the density is lower, no ripple reaches
_RIPPLE_DB, _SHARE_OF_RIPPLE = 0.15, 1.7  # chosen on training songs, resampled or behind five codecs
_MIN_CUT_DB, _MAX_CUT_DB = 0.2, 1.3
_DENSE_BLOCK, _MIN_AT_CEILING = 2.5, 20  # density and samples of a block that was surely cut off
_SAME_LEVEL = 5  # steps by which the ceilings of such blocks differ
_SHIFT = 5  # steps by which the ceiling may lie beside the level that a curve gives it


@dataclasses.dataclass(frozen=True)
class CeilingStatistics:
    """Samples of a signal by their level, for the positive and the negative half of each channel.

    Attributes:
        counts: in steps of 0.1 dB; levels far below the highest one are not counted.
        dense_blocks: blocks that were surely cut off, by the level of their own ceiling.
        num_frames: of the signal.
    """

    counts: Int[np.ndarray, "channel half steps"]
    dense_blocks: Int[np.ndarray, "channel half steps"]
    num_frames: int


class CeilingScan:
    """Collects `CeilingStatistics` from blocks. channels: of the signal."""

    def __init__(self, channels: int):
        self._counts, self._dense_blocks = np.zeros((2, channels, 2, _NUM_STEPS), np.int64)
        self._num_frames = 0

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add a block."""
        self._num_frames += block.shape[1]
        peaks = np.stack([block.max(axis=1), -block.min(axis=1)], axis=1)
        for channel, half in np.argwhere(peaks >= _MIN_PEAK):
            samples, limit = block[channel], _COUNTED * peaks[channel, half]
            high = -samples[samples <= -limit] if half else samples[samples >= limit]
            counts = np.bincount(_step(high), minlength=_NUM_STEPS)
            self._counts[channel, half] += counts
            ceiling = _find_half_ceiling(counts)
            if ceiling.density >= _DENSE_BLOCK and ceiling.num_at_ceiling >= _MIN_AT_CEILING:
                self._dense_blocks[channel, half, ceiling.mode] += 1

    def result(self) -> CeilingStatistics:
        """The statistics of the signal so far."""
        return CeilingStatistics(self._counts, self._dense_blocks, self._num_frames)


@dataclasses.dataclass(frozen=True)
class Ceiling:
    """Where peaks were cut off.

    Attributes:
        levels: the ceiling of each half, full scale 1; infinite where a half has none.
        cut_levels: from which samples belong to tops that were cut off: below the ceiling by as much as a filter or a
            codec lets these tops ripple.
        density: samples at the ceiling relative to those 6 to 12 % below it, in the half where they are most.
        share: samples above the cut level among all, in the half where they are most.
        constancy: blocks that are cut off at this level, among all that are cut off at a level of their own; 1 where
            none is.
    """

    levels: Float[np.ndarray, "channel half"]
    cut_levels: Float[np.ndarray, "channel half"]
    density: float
    share: float
    constancy: float


class _HalfCeiling(NamedTuple):
    mode: int
    density: float
    num_at_ceiling: int


_NO_CEILING = _HalfCeiling(0, 0.0, 0)


def find_ceiling(statistics: CeilingStatistics) -> Ceiling:
    """The level that holds most samples in each half, where it holds more than the levels below."""
    levels, cut_levels = np.full((2, *statistics.counts.shape[:2]), np.inf)
    density, num_cut, num_constant = 0.0, 0, 0
    for half in np.ndindex(levels.shape):
        counts, blocks = statistics.counts[half], statistics.dense_blocks[half]
        ceiling = _find_half_ceiling(counts)
        if ceiling.num_at_ceiling < _MIN_SAMPLES:
            continue
        density = max(density, ceiling.density)
        num_constant += blocks[max(0, ceiling.mode - _SAME_LEVEL) : ceiling.mode + _SAME_LEVEL + 1].sum()
        if ceiling.density >= _MIN_DENSITY:
            levels[half], cut_levels[half] = _levels(counts, ceiling.mode)
            num_cut = max(num_cut, counts[_step(cut_levels[half][None])[0] :].sum())
    num_dense = statistics.dense_blocks.sum()
    constancy = float(num_constant / num_dense) if num_dense else 1.0
    return Ceiling(levels, cut_levels, density, float(num_cut / max(1, statistics.num_frames)), constancy)


def density_after(
    statistics: CeilingStatistics,
    ceiling: Ceiling,
    undo: Callable[[Float[np.ndarray, "half levels"]], Float[np.ndarray, "half levels"]],
) -> Float[np.ndarray, "channel half"]:
    """Density at the ceiling of each half once a curve is undone; 0 where a half has no ceiling.

    It is about 1 where the curve had only bent the peaks. Peaks that were cut off stay at one level.

    Args:
        statistics: of the signal.
        ceiling: of the same signal.
        undo: what magnitudes become, in the positive and in the negative half; ascending.
    """
    edges = 10.0 ** ((_LOWEST_DB + _STEP_DB * np.arange(_NUM_STEPS + 1)) / 20.0)
    undone = undo(np.stack([edges, edges]))
    density = np.zeros(ceiling.levels.shape)
    for channel, half in np.argwhere(np.isfinite(ceiling.levels)):
        num_below = np.concatenate([[0], np.cumsum(statistics.counts[channel, half])])
        counts = np.diff(np.interp(edges, undone[half], num_below))
        step = int(_step(np.interp(ceiling.levels[channel, half], edges, undone[half])[None])[0])
        first = max(step - _SHIFT, _BELOW_LAST)
        density[channel, half] = _densest_step(counts, first, first + 2 * _SHIFT).density
    return density


def _find_half_ceiling(counts: Int[np.ndarray, " steps"]) -> _HalfCeiling:
    """The step with most samples, near the highest one."""
    (occupied,) = np.nonzero(counts)
    if not len(occupied):
        return _NO_CEILING
    return _densest_step(counts, int(occupied[-1]) - _MAX_OVERSHOOT, int(occupied[-1]))


def _densest_step(counts: Real[np.ndarray, " steps"], first: int, last: int) -> _HalfCeiling:
    """The step with most samples among some steps."""
    mode = int(first + np.argmax(_smooth(counts)[first : last + 1]))
    below = counts[mode - _BELOW_LAST : mode - _BELOW_FIRST + 1].mean()
    num_at_ceiling = int(counts[mode - _AT : mode + _AT + 1].sum())
    return _HalfCeiling(mode, float(num_at_ceiling / (2 * _AT + 1) / max(below, 0.2)), num_at_ceiling)


def _levels(counts: Int[np.ndarray, " steps"], mode: int) -> tuple[float, float]:
    """The ceiling, and the level from which samples belong to what was cut off."""
    steps = np.arange(mode - _AT, min(mode + _AT + 1, _NUM_STEPS))
    level_db = _LOWEST_DB + _STEP_DB * (np.average(steps, weights=counts[steps]) + 0.5)
    above = _smooth(counts)[mode:]
    ripple_db = _STEP_DB * int(np.argmax(above <= _RIPPLE_END * above[0]))
    cut_db = np.clip(_SHARE_OF_RIPPLE * (ripple_db - _RIPPLE_DB), _MIN_CUT_DB, _MAX_CUT_DB)
    return 10.0 ** (level_db / 20.0), 10.0 ** ((level_db - cut_db) / 20.0)


def _smooth(counts: Real[np.ndarray, " steps"]) -> Real[np.ndarray, " steps"]:
    smooth = counts.copy()
    smooth[1:] += counts[:-1]
    smooth[:-1] += counts[1:]
    return smooth


def _step(level: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    return np.clip((20.0 * np.log10(level) - _LOWEST_DB) / _STEP_DB, 0, _NUM_STEPS - 1).astype(np.intp)
