"""Long-term spectrum of a signal: powers, cross power of two channels, and the level that each bin keeps.

Windows of about 3 s (Hann, overlapping by half; Welch, "The use of fast Fourier transform for the estimation of power
spectra", 1967) tell a steady tone from a note beside it. A histogram of levels for each bin gives any percentile over
time in memory that does not grow: music comes and goes, so a low percentile shows what is always there.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Complex, Float, UInt16

from nmjax.mastering.diagnosis.coherence import Coherence, CoherenceScan
from nmjax.mastering.diagnosis.narrow_levels import NarrowLevels, NarrowLevelScan
from nmjax.runtime.fast_fft import rfft

_WINDOW_SECONDS = 2.0  # at least; the size is the next power of two
_STEP_DB = 1.5  # of the histogram
_MIN_DB = -150.0
_NUM_STEPS = 108  # up to +12 dB
_FLOOR_POWER = 1e-15
_COHERENCE_MAX_HZ = 610.0  # eight harmonics of the highest fundamental that hum.py looks at
RESONANCE_HZ = (90.0, 7_000.0)  # where resonance.py looks
_NARROW_MARGIN = math.sqrt(2.0)  # beyond both ends, to compare with
PERCENTS = (10.0, 25.0, 50.0, 90.0)  # of the levels over time that are known
MIN_WINDOWS = 8  # below, percentiles over time mean nothing


@dataclasses.dataclass(frozen=True, eq=False)
class LongTermSpectrum:
    """Spectrum of a whole signal. A full-scale sine has 0 dB at its frequency.

    Attributes:
        bin_hz: spacing of the bins.
        num_windows: how many windows were averaged.
        power: mean power of the channels.
        left, right: mean power of the first and the last channel.
        cross: mean of left · conj(right).
        advance: mean of X[t] · conj(X[t − 1]) over successive windows X of the mean of the channels that do not
            overlap. Its magnitude is the power of what keeps its phase, its angle 2π times the frequency in bins.
        phase_lock: the same with all magnitudes set to 1, so that loud music does not count more: 1 for a steady tone,
            about 1/√windows for anything else.
        coherence: how far frequencies up to 610 Hz keep their phase over half a minute.
        narrow: levels of narrow bands by window.
        percentiles_db: levels of the mean of the channels that a bin is below for `PERCENTS` of the time.
    """

    bin_hz: float
    num_windows: int
    power: Float[np.ndarray, " bins"]
    left: Float[np.ndarray, " bins"]
    right: Float[np.ndarray, " bins"]
    cross: Complex[np.ndarray, " bins"]
    advance: Complex[np.ndarray, " bins"]
    phase_lock: Complex[np.ndarray, " bins"]
    coherence: Coherence
    narrow: NarrowLevels
    percentiles_db: Float[np.ndarray, "percents bins"]

    @property
    def freq_hz(self) -> Float[np.ndarray, " bins"]:
        """Centers of the bins."""
        return np.arange(len(self.power)) * self.bin_hz

    def bins(self, low_hz: float, high_hz: float) -> slice:
        """The bins of a band."""
        return slice(math.ceil(low_hz / self.bin_hz), math.floor(high_hz / self.bin_hz) + 1)

    def band_power(self, low_hz: float, high_hz: float) -> float:
        """Sum of the mean power in a band."""
        return float(self.power[self.bins(low_hz, high_hz)].sum())

    @functools.cached_property
    def level_db(self) -> Float[np.ndarray, " bins"]:
        """Mean power in dB."""
        return 10.0 * np.log10(self.power + _FLOOR_POWER)

    def percentile_db(self, percent: float) -> Float[np.ndarray, " bins"]:
        """The level in dB below which a bin is for `percent`, one of `PERCENTS`, of the time.

        Raises:
            ValueError: another percentage.
        """
        return self.percentiles_db[PERCENTS.index(percent)]


class SpectrumScan:
    """Collects a `LongTermSpectrum`. Memory grows by 2 kB per second, for the narrow bands.

    Args:
        sample_rate: Hz.
        channels: number of channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self.size = 1 << math.ceil(math.log2(sample_rate * _WINDOW_SECONDS))
        self._bin_hz = sample_rate / self.size
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.size) / self.size)
        self._window = (hann / (0.25 * self.size)).astype(np.float32)  # a full-scale sine has magnitude 1
        num_bins = self.size // 2 + 1
        self._powers = np.zeros((channels, num_bins))
        self._cross, self._advance, self._phase_lock = np.zeros((3, num_bins), complex)
        self._coherence = CoherenceScan(self._bin_hz, _COHERENCE_MAX_HZ)
        low_hz, high_hz = RESONANCE_HZ
        self._narrow = NarrowLevelScan(self._bin_hz, num_bins, low_hz / _NARROW_MARGIN, high_hz * _NARROW_MARGIN)
        self._earlier: collections.deque[np.ndarray] = collections.deque(maxlen=2)
        self._histogram, self._bin_index = np.zeros((_NUM_STEPS, num_bins), np.uint16), np.arange(num_bins)
        self._num_windows = 0
        self._tail = np.zeros((channels, 0), np.float32)

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add the windows that a block completes."""
        samples = np.concatenate([self._tail, block], axis=1)
        hop = self.size // 2
        count = max(0, (samples.shape[1] - hop) // hop)
        if count:
            windows = np.lib.stride_tricks.sliding_window_view(samples, self.size, axis=1)[:, ::hop]
            for bins in np.moveaxis(rfft(windows * self._window), 1, 0):
                self._add_window(bins)
        self._tail = samples[:, count * hop :].copy()

    def result(self) -> LongTermSpectrum:
        """The spectrum of the signal so far."""
        count = max(1, self._num_windows)
        powers = self._powers / count
        return LongTermSpectrum(
            bin_hz=self._bin_hz,
            num_windows=self._num_windows,
            power=powers.mean(axis=0),
            left=powers[0],
            right=powers[-1],
            cross=self._cross / count,
            advance=self._advance / max(1, count - 2),
            phase_lock=self._phase_lock / max(1, count - 2),
            coherence=self._coherence.result(),
            narrow=self._narrow.result(),
            percentiles_db=_percentiles_db(self._histogram, self._num_windows),
        )

    def _add_window(self, bins: Complex[np.ndarray, "channel bins"]) -> None:
        powers = np.square(np.real(bins)) + np.square(np.imag(bins))
        self._powers += powers
        if len(bins) > 1:
            self._cross += bins[0] * np.conj(bins[-1])
        middle = functools.reduce(np.add, bins) * np.float32(1.0 / len(bins))
        self._add_advance(middle)
        self._coherence.add(middle)
        mean = functools.reduce(np.add, powers) / np.float32(len(powers))
        # NumPy's log takes a tenth of the time of its log10
        level_db = np.float32(10.0 / math.log(10.0)) * np.log(mean + np.float32(_FLOOR_POWER))
        self._narrow.add(level_db)
        step = np.clip((level_db - _MIN_DB) / np.float32(_STEP_DB), 0, _NUM_STEPS - 1).astype(np.intp)
        self._histogram.ravel()[step * len(step) + self._bin_index] += 1
        self._num_windows += 1

    def _add_advance(self, mean: Complex[np.ndarray, " bins"]) -> None:
        """Compare a window with the last one that it does not overlap, two hops earlier."""
        if len(self._earlier) == 2:
            product = mean * np.conj(self._earlier[0])
            self._advance += product
            self._phase_lock += product * (np.float32(1.0) / (np.abs(product) + np.float32(_FLOOR_POWER)))
        self._earlier.append(mean)


def _percentiles_db(counts: UInt16[np.ndarray, "steps bins"], num_windows: int) -> Float[np.ndarray, "percents bins"]:
    """The levels of `PERCENTS`, interpolated within a step of 1.5 dB, from how many windows have each level."""
    at_most = counts.copy()
    for row, row_below in zip(at_most[1:], at_most, strict=False):  # NumPy's cumsum over rows takes ten times as long
        row += row_below
    bins, levels_db = np.arange(counts.shape[1]), []
    for percent in PERCENTS:
        rank = percent / 100.0 * num_windows
        step = np.sum(at_most < np.uint16(math.ceil(rank)), axis=0, dtype=np.uint8).astype(int)
        inside = counts[step, bins]
        below = at_most[step, bins] - inside
        levels_db.append(_MIN_DB + _STEP_DB * (step + (rank - below) / np.maximum(inside, 1)))
    return np.stack(levels_db)
