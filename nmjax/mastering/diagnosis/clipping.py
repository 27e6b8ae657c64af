"""Clipped waveforms: flat tops at any level, and how far the peaks went beyond before they were cut."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.audio.units import amplitude_to_db
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.runs import find_runs

_TOLERANCE = 1.01 / 32_768  # samples of a flat top differ by no more: a file of 16 bits rounds
_MIN_SLOPE = 4.0 * _TOLERANCE  # per sample, at its ends: at those of a smooth top, one or two steps of 16 bits
_MIN_RUN = 3  # samples of a flat top
_MIN_SECONDS = _MIN_RUN / 48_000  # of a flat top: at high rates neighbors differ by less
_NEAR = 0.98  # of the block's peak: samples that flat tops are compared with
_MIN_FLAT_SHARE = 0.3  # of the samples near the peak; at the smooth top of a bass note less than a tenth are flat
_MIN_PEAK = 0.1  # −20 dBFS: below, 16 bits are too coarse to see the shape of a top
_MIN_PEAK_STEPS = 328  # of a coarser format
_STEP_SAMPLES = 4_096  # that the step is measured on
_MIN_RUNS = 5  # in the whole track
_PROBLEM_SHARE = 1e-4  # of all samples
_OVERSHOOT_PERCENT = 90.0
_MIN_OVER_DB = 0.1  # of a true peak: less is printed as 0.0 dB
_CONSTANT_SHARE = 0.95  # of the samples in flat tops, at the highest level: the level is constant


@dataclasses.dataclass(frozen=True)
class ClippingStatistics:
    """Flat tops of a signal.

    Attributes:
        runs: their number, over all channels.
        samples: their samples.
        overshoot_db: the 90th percentile of how far the waveform would have continued beyond its flat tops.
        num_samples: all samples of all channels that were counted.
        levels: `[channel, 2]`, the magnitude from which samples of the positive and the negative half are cut off;
            infinite where a half has no flat tops.
        constant_share: of the samples in flat tops, how many are at these levels.
    """

    runs: int
    samples: int
    overshoot_db: float
    num_samples: int
    levels: Float[np.ndarray, "channel half"]
    constant_share: float

    @property
    def share(self) -> float:
        """Clipped samples among all."""
        return self.samples / max(1, self.num_samples)

    @property
    def is_constant(self) -> bool:
        """Whether nearly all flat tops are at the highest level."""
        return self.constant_share >= _CONSTANT_SHARE


class ClippingScan:
    """Finds flat tops block by block; one that a block's end cuts is left out.

    Args:
        channels: of the signal. One that repeats the first sample by sample is not counted again.
        sample_rate: Hz.
    """

    def __init__(self, channels: int, sample_rate: int):
        self._min_run = max(_MIN_RUN, round(_MIN_SECONDS * sample_rate))
        self._runs = self._samples = self._num_samples = self._samples_with_copies = 0
        self._overshoots = np.zeros(601, np.int64)  # in steps of 0.05 dB, up to 30 dB
        self._tops = [[_HighestTops(), _HighestTops()] for _ in range(channels)]

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add a block."""
        for index, (channel, halves) in enumerate(zip(block, self._tops, strict=True)):
            is_copy = index > 0 and np.array_equal(channel, block[0])
            self._num_samples += 0 if is_copy else channel.size
            for signal, highest in zip((channel, -channel), halves, strict=True):
                highest.raise_to(float(signal.max()))
                for top in _flat_tops(signal, self._min_run):
                    highest.add(top)
                    self._samples_with_copies += top.length
                    if not is_copy:
                        self._count(top)

    def _count(self, top: _FlatTop) -> None:
        self._runs += 1
        self._samples += top.length
        self._overshoots[min(600, int(top.overshoot_db / 0.05))] += 1

    def result(self) -> ClippingStatistics:
        """The statistics of the signal so far."""
        counts = np.cumsum(self._overshoots)
        at_the_peak = sum(highest.samples for halves in self._tops for highest in halves)
        overshoot_db = 0.05 * float(np.searchsorted(counts, _OVERSHOOT_PERCENT / 100.0 * counts[-1]))
        return ClippingStatistics(
            runs=self._runs,
            samples=self._samples,
            overshoot_db=overshoot_db,
            num_samples=self._num_samples,
            levels=np.array([[highest.level for highest in halves] for halves in self._tops]),
            constant_share=at_the_peak / max(1, self._samples_with_copies),
        )


class _FlatTop(NamedTuple):
    level: float
    length: int
    overshoot_db: float


class _HighestTops:
    """The samples in flat tops at the peak of one half of a channel."""

    def __init__(self):
        self._peak, self.samples = 0.0, 0

    @property
    def level(self) -> float:
        """The lowest magnitude that belongs to these flat tops; infinite where there are none."""
        return self._peak - _TOLERANCE if self.samples else math.inf

    def raise_to(self, peak: float) -> None:
        """Take note of a peak; flat tops that lie clearly below it count no longer."""
        if peak > self._peak + _TOLERANCE:
            self.samples = 0
        self._peak = max(self._peak, peak)

    def add(self, top: _FlatTop) -> None:
        """Count a flat top where it is at the peak."""
        if top.level >= self._peak - _TOLERANCE:
            self.samples += top.length


def _flat_tops(signal: Float[np.ndarray, " frames"], min_run: int) -> Iterator[_FlatTop]:
    """Each flat top of at least `min_run` samples at the positive peak of a block."""
    peak = float(signal.max(initial=0.0))
    if peak < _MIN_PEAK:
        return
    (near,) = np.nonzero(signal >= _NEAR * peak)
    if len(near) < min_run:
        return
    is_flat = (np.diff(near) == 1) & (np.abs(np.diff(signal[near])) <= _TOLERANCE)
    first, last = (near[index] for index in find_runs(is_flat))
    ends_inside = (last - first >= min_run - 1) & (first >= 2) & (last < len(signal) - 2)
    first, last = first[ends_inside], last[ends_inside]
    # The parabola with the slopes at both ends of a run of T samples rises to slope · T / 4 above them. The slopes are
    # those before the run: the step into it is cut short.
    rise, fall = signal[first] - signal[first - 1], signal[last] - signal[last + 1]
    slope_in = np.maximum(rise, signal[first - 1] - signal[first - 2])
    slope_out = np.maximum(fall, signal[last + 1] - signal[last + 2])
    slope = 0.5 * (slope_in + slope_out)
    is_top = (rise > _TOLERANCE) & (fall > _TOLERANCE) & (slope > _MIN_SLOPE)
    length = (last - first + 1)[is_top]
    if len(length) == 0 or length.sum() < _MIN_FLAT_SHARE * len(near):
        return
    if peak < _MIN_PEAK_STEPS * _smallest_step(signal, int(first[0])):
        return
    height = slope[is_top] * (length + 1) / 4.0
    level = signal[first[is_top]]
    overshoot_db = 20.0 * np.log10(1.0 + height / level)
    yield from map(_FlatTop, level.tolist(), length.tolist(), overshoot_db.tolist())


def _smallest_step(signal: Float[np.ndarray, " frames"], center: int) -> float:
    """The smallest difference of two amplitudes near a sample: the step of the format, 1/128 for 8 bits."""
    start = max(0, center - _STEP_SAMPLES // 2)
    return float(np.diff(np.unique(signal[start : start + _STEP_SAMPLES])).min(initial=np.inf))


def find_clipping(clipping: ClippingStatistics) -> list[Finding]:
    """Clipped samples, where at least five flat tops were found."""
    if clipping.runs < _MIN_RUNS:
        return []
    severity = Severity.PROBLEM if clipping.share >= _PROBLEM_SHARE else Severity.WARNING
    return [
        Finding(
            name="clipping",
            value=float(clipping.samples),
            unit="samples",
            severity=severity,
            sentence=f"{clipping.samples:,} samples in {clipping.runs:,} peaks are cut off flat; the loudest would"
            f" reach at least {clipping.overshoot_db:.1f} dB higher.",
            remedy="Turn the mix down before the output and export again.",
        )
    ]


def find_true_peak_overs(true_peak: float) -> list[Finding]:
    """A true peak above full scale (ITU-R BS.1770-4, annex 2).

    Args:
        true_peak: highest amplitude, including between samples.
    """
    true_peak_db = amplitude_to_db(true_peak)
    if true_peak_db < _MIN_OVER_DB:
        return []
    return [
        Finding(
            name="true_peak",
            value=true_peak_db,
            unit="dBTP",
            severity=Severity.WARNING if true_peak_db > 1.0 else Severity.INFO,
            sentence=f"Peaks between samples reach {true_peak_db:.1f} dB above full scale; players may distort them.",
            remedy="A master with a true-peak ceiling, the default, is delivered below it.",
        )
    ]
