"""Saturation: a curve that bends the waveform more, the higher it rises.

A curve f without memory multiplies the curvature of each peak by its slope, f'(level). Music, limited or not, has peaks
as sharp at the ceiling as below it: a limiter turns whole peaks down and keeps their shape. So peaks near the ceiling
that are much rounder than those at half its height, each relative to the 20 ms around it, show the curve.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Int

from nmjax.audio.sliding import sliding_mean
from nmjax.mastering.diagnosis.ceiling import Ceiling
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.percentiles import percentile_of

_STEP_DB = 0.25  # of the levels
_MIN_LEVEL_DB = -52.0
_NUM_STEPS = 448  # up to +60 dBFS, which files of floats may have
_LOWEST = 0.3  # of the highest peak: below, peaks are not looked at
_MIDDLE, _TOP = (0.3, 0.6), (0.85, 1.0)  # of the highest peak
_CELL_FRAMES, _AROUND_CELLS = 128, 7  # 20 ms
_FLOOR = 1e-7
_MIN_PEAK = 0.01  # −40 dBFS: below, 16 bits are too coarse to see the shape of a peak
_MIN_PEAKS = 50  # near the ceiling, and in the middle
_MIN_ROUNDING_DB = 5.5  # 1.4 % of 354 training songs have more, none behind a limiter
_MIN_CHANNEL_ROUNDING_DB = 4.0  # of every channel, see `channels_agree`
_QUIET_SHARE = 0.1  # of the highest peak of all channels: channels with lower ones do not count there
_WARNING_ROUNDING_DB = 8.0  # of a hyperbolic tangent whose ceiling the peaks exceed by 6 dB; no training song has it
_CUT_OFF_DENSITY = 1.2  # of samples at the ceiling; limiters reach 1.4, but are not round
# Eight of 354 training songs have a higher density and are as round: they were cut off before they were encoded.
# Limiters reach a density of 1.4; a pure tone has 2.6, and is not round.
_CLEAR_DENSITY, _CLEAR_ROUNDING_DB = 1.8, 3.5
_CERTAIN_DENSITY = 7.0  # where so much is cut off that no peaks are left to compare with
# Pure tones and distortion that is meant have many samples near the ceiling, but less densely than a clipper; square
# waves have even more.
_PURE_DENSITY, _PURE_SHARE, _PURE_DENSITY_PER_SHARE, _SQUARE_SHARE = 1.4, 0.12, 50.0, 0.3


@dataclasses.dataclass(frozen=True)
class SaturationStatistics:
    """Peaks of a signal by their level, for the positive and the negative half of each channel.

    Attributes:
        highest: the highest sample of each half.
        counts: peaks in each step of 0.25 dB.
        sharpness_db: sum over these peaks of their curvature, in dB relative to the second differences around.
    """

    highest: Float[np.ndarray, "channel half"]
    counts: Int[np.ndarray, "channel half steps"]
    sharpness_db: Float[np.ndarray, "channel half steps"]


class SaturationScan:
    """Collects `SaturationStatistics` from blocks. channels: of the signal."""

    def __init__(self, channels: int):
        self._highest = np.zeros((channels, 2))
        self._counts = np.zeros((channels, 2, _NUM_STEPS), np.int64)
        self._sharpness_db = np.zeros((channels, 2, _NUM_STEPS))

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add a block; peaks at its first and its last sample are left out."""
        if block.shape[1] < 2 * _CELL_FRAMES:
            return
        for channel, samples in enumerate(block):
            around = _around(np.diff(samples, 2))
            for half, signal in enumerate((samples, -samples)):
                self._highest[channel, half] = max(self._highest[channel, half], float(signal.max()))
                if self._highest[channel, half] >= _MIN_PEAK:
                    self._add_peaks(channel, half, signal, around)

    def _add_peaks(self, channel: int, half: int, signal: np.ndarray, around: np.ndarray) -> None:
        """Add the peaks that are not far below the highest one so far."""
        index = 1 + np.flatnonzero(signal[1:-1] >= _LOWEST * self._highest[channel, half])
        before, level, after = signal[index - 1], signal[index], signal[index + 1]
        is_peak = (level > before) & (level >= after)
        index, before, level, after = (x[is_peak] for x in (index, before, level, after))
        cells = np.minimum((index - 1) // _CELL_FRAMES, len(around) - 1)
        sharpness_db = 20.0 * np.log10((2.0 * level - before - after + _FLOOR) / (around[cells] + _FLOOR))
        step = _step(level)
        self._counts[channel, half] += np.bincount(step, minlength=_NUM_STEPS)
        self._sharpness_db[channel, half] += np.bincount(step, sharpness_db, minlength=_NUM_STEPS)

    def result(self) -> SaturationStatistics:
        """The statistics of the signal so far."""
        return SaturationStatistics(self._highest, self._counts, self._sharpness_db)


def _around(bend: Float[np.ndarray, " frames"]) -> Float[np.ndarray, " cells"]:
    """RMS of the second difference in the 20 ms around each cell of 3 ms."""
    num_cells = len(bend) // _CELL_FRAMES
    power = np.square(bend[: num_cells * _CELL_FRAMES]).reshape(num_cells, _CELL_FRAMES).mean(axis=1)
    return np.sqrt(sliding_mean(power, _AROUND_CELLS))


def _step(level: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    step = (20.0 * np.log10(np.maximum(level, 1e-9)) - _MIN_LEVEL_DB) / _STEP_DB
    return np.clip(step, 0, _NUM_STEPS - 1).astype(np.intp)


def rounding_db(statistics: SaturationStatistics) -> float:
    """How much rounder peaks near the ceiling are than those at half of it, in the half where they are rounder; NaN
    where there are too few."""
    values = [
        [_half_rounding_db(statistics, channel, half) for half in range(2)]
        for channel in range(len(statistics.highest))
    ]
    halves = [[value for value in half if math.isfinite(value)] for half in zip(*values, strict=True)]
    means = [sum(half) / len(half) for half in halves if half]
    return max(means, default=math.nan)


def _half_rounding_db(statistics: SaturationStatistics, channel: int, half: int) -> float:
    highest = statistics.highest[channel, half]
    if highest < _MIN_PEAK:
        return math.nan
    means = []
    for low, high in (_MIDDLE, _TOP):
        first, last = _step(np.array([low * highest, high * highest]))
        steps = slice(first, last + 1)
        count = statistics.counts[channel, half, steps].sum()
        if count < _MIN_PEAKS:
            return math.nan
        means.append(statistics.sharpness_db[channel, half, steps].sum() / count)
    return float(means[0] - means[1])


def channels_agree(statistics: SaturationStatistics) -> bool:
    """Whether the peaks of all channels are rounded where those of one are; quiet channels do not count.

    On twelve training songs with both channels through a hyperbolic tangent the less rounded one has at least 5.9 dB
    where the saturation is clear; with one channel the other has at most 3.0 dB, or too few peaks to tell.
    """
    highest = statistics.highest.max(axis=1)
    channels = [i for i, level in enumerate(highest) if level >= _QUIET_SHARE * highest.max()]
    values = [[_half_rounding_db(statistics, channel, half) for half in range(2)] for channel in channels]
    rounding = [max((x for x in halves if math.isfinite(x)), default=-math.inf) for halves in values]
    return max(rounding, default=0.0) < _MIN_ROUNDING_DB or min(rounding) >= _MIN_CHANNEL_ROUNDING_DB


def find_saturation(statistics: SaturationStatistics, ceiling: Ceiling) -> list[Finding]:
    """Peaks that are rounded off toward the ceiling, or cut off before a filter or a codec.

    Args:
        statistics: of the signal.
        ceiling: of the same signal, see `find_ceiling`.
    """
    rounding = rounding_db(statistics)
    is_rounded = rounding >= _MIN_ROUNDING_DB
    is_dense = (ceiling.density >= _CLEAR_DENSITY and rounding >= _CLEAR_ROUNDING_DB) or (
        ceiling.density >= _CERTAIN_DENSITY and math.isfinite(rounding)
    )
    if not is_rounded and not is_dense:
        return []
    is_clear = (is_dense or rounding >= _WARNING_ROUNDING_DB) and not _may_be_meant(ceiling)
    how_round = f" ({rounding:.0f} dB less pointed than softer ones)" if is_rounded else ""
    passed = "went" if is_clear else "may have gone"
    if is_cut_off(ceiling):
        sentence = f"The loudest peaks are cut off or pressed flat near one level{how_round}: the mix {passed} through"
        sentence = f"{sentence} a clipper, or far into a saturator."
    else:
        sentence = f"The loudest peaks are rounded off{how_round}: the mix {passed} through a saturator or a soft"
        sentence = f"{sentence} clipper."
    return [
        Finding(
            name="saturation",
            value=rounding,
            unit="dB",
            severity=Severity.WARNING if is_clear else Severity.INFO,
            sentence=sentence,
            remedy="If it sounds distorted, lower the level into that processor, and export again.",
            percentile=percentile_of("rounding_db", rounding) if is_rounded else None,
        )
    ]


def _may_be_meant(ceiling: Ceiling) -> bool:
    """Whether a tone or a strong distortion has such a ceiling, too."""
    if ceiling.density < _PURE_DENSITY or ceiling.share <= _PURE_SHARE:
        return False
    return ceiling.density < _PURE_DENSITY_PER_SHARE * ceiling.share or ceiling.share > _SQUARE_SHARE


def is_cut_off(ceiling: Ceiling) -> bool:
    """Whether the peaks of a signal that is saturated were cut off, rather than only rounded."""
    return ceiling.density >= _CUT_OFF_DENSITY
