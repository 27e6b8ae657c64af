"""Streaming analysis of a signal: long-term spectrum, short-term loudness and level.

It uses NumPy and SciPy, not JAX: a report needs no gradients, and a song takes less than a second of CPU time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.audio.bs1770 import channel_weights
from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.audio.streams import AudioChunks, BlockBuffer
from nmjax.audio.units import power_to_db
from nmjax.dsp.filterbanks import band_filterbank
from nmjax.dsp.loudness import lufs_to_power

CENTERS_HZ = 1000.0 * 2.0 ** (np.arange(-68, 53) / 12.0)  # twelfth-octave bands, 19.7 Hz to 20.2 kHz
FLOOR_DB = -150.0  # the level of a silent band
MAX_POINTS = 2000  # of the loudness over time
_DYNAMIC_RANGE_DB = 80.0  # bands further below the loudest hold rounding noise and leakage
_RESOLUTION_HZ = 3.0  # of the spectrum; a narrower band gets its share of a bin
_HOPS_PER_BLOCK = 8  # windows are transformed in blocks of as many hops
_HALF_BAND = 2.0 ** (1.0 / 24.0)  # the ratio of a band's upper edge to its center
_STEP_HOPS = 5  # 100 ms hops between two values of the short-term loudness
_STEP_S = 0.5  # the same in seconds
_SHORT_TERM_STEPS = 6  # the 3 s of the short-term loudness


@dataclasses.dataclass(frozen=True)
class SignalAnalysis:
    """The analysis of a whole signal. Levels are in dB of a mean square of 1: a full-scale mono sine has −3 dB.

    Attributes:
        sample_rate: Hz.
        channels, num_frames: the size of the signal.
        freq_hz: `[bands]`, the centers of those bands of `CENTERS_HZ` that end below half the sample rate.
        total_db: `[bands]`, mean power of the channels, at least −150.
        mid_db: `[bands]`, power of the mean of the channels, at least −150.
        side_db: `[bands]`, power of half of left − right, at least −150; None unless stereo.
        times_s: `[points]`, where the intervals of `short_term_lufs` end: every 0.5 s or, in longer tracks, every 1, 2,
            4 … s, so that there are at most 2,000.
        short_term_lufs: `[points]`, loudness of the preceding 3 s (less at the start), −inf for silence.
        rms_db, peak_db: of all channels and samples, −inf for silence.
    """

    sample_rate: int
    channels: int
    num_frames: int
    freq_hz: Float[np.ndarray, " bands"]
    total_db: Float[np.ndarray, " bands"]
    mid_db: Float[np.ndarray, " bands"]
    side_db: Float[np.ndarray, " bands"] | None
    times_s: Float[np.ndarray, " points"]
    short_term_lufs: Float[np.ndarray, " points"]
    rms_db: float
    peak_db: float

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return self.num_frames / self.sample_rate

    @property
    def crest_db(self) -> float:
        """Peak level over RMS level in dB; NaN for silence."""
        return self.peak_db - self.rms_db if math.isfinite(self.rms_db) else math.nan


def in_range_mask(level_db: Float[np.ndarray, " bands"]) -> np.ndarray:
    """Which bands are within 80 dB of the loudest one and not silent, as booleans `[bands]`."""
    return level_db > max(level_db.max(initial=FLOOR_DB) - _DYNAMIC_RANGE_DB, FLOOR_DB)


class SignalAnalyzer:
    """Analyzes a signal while it is streamed. Memory grows by 80 bytes per second; chunk sizes do not
    matter.

    Args:
        sample_rate: Hz, 8,000 to 192,000.
        channels: 1 to 8.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._sample_rate, self._channels, self._num_frames = sample_rate, channels, 0
        fft_size = 1 << math.ceil(math.log2(sample_rate / _RESOLUTION_HZ))
        self._spectrum = _WelchSpectrum(fft_size, channels)
        self._loudness_meter = LoudnessMeter(sample_rate, channel_weights(channels))
        self._sum_squares, self._peak = 0.0, 0.0
        self._buffer = BlockBuffer(channels, _HOPS_PER_BLOCK * fft_size // 2)

    def watch(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """Yield the same chunks, `[frames, channel]`, and analyze them."""
        for chunk in chunks:
            for block in self._buffer.push(chunk):
                self._analyze_block(block)
            yield chunk

    def result(self) -> SignalAnalysis:
        """The analysis of the signal so far. Call it once, at the end."""
        self._analyze_block(self._buffer.take_rest())
        spectrum = self._spectrum.result(self._sample_rate)
        times_s, short_term_lufs = _short_term_lufs(self._loudness_meter, self._sample_rate)
        mean_square = self._sum_squares / max(1, self._num_frames * self._channels)
        return SignalAnalysis(
            sample_rate=self._sample_rate,
            channels=self._channels,
            num_frames=self._num_frames,
            freq_hz=spectrum.freq_hz,
            total_db=_levels_db(spectrum.total, FLOOR_DB),
            mid_db=_levels_db(spectrum.mid, FLOOR_DB),
            side_db=_levels_db(spectrum.side, FLOOR_DB) if self._channels == 2 else None,
            times_s=times_s,
            short_term_lufs=short_term_lufs,
            rms_db=power_to_db(mean_square),
            peak_db=power_to_db(self._peak**2),
        )

    def _analyze_block(self, block: Float[np.ndarray, "channel frames"]) -> None:
        if not block.shape[1]:
            return
        samples = block.astype(np.float64)
        self._sum_squares += float(np.einsum("ct,ct->", samples, samples))  # np.vdot would start threads of BLAS
        self._peak = max(self._peak, float(block.max()), -float(block.min()))
        self._num_frames += block.shape[1]
        self._loudness_meter.update(samples.T)
        self._spectrum.update(block)


class _BandPowers(NamedTuple):
    """Mean powers in the bands around `freq_hz`, each `[bands]`."""

    freq_hz: np.ndarray
    total: np.ndarray
    mid: np.ndarray
    side: np.ndarray


class _WelchSpectrum:
    """Welch's mean of periodograms: Hann windows that overlap by half."""

    def __init__(self, fft_size: int, channels: int):
        self._fft_size = fft_size
        self._window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(fft_size) / fft_size)).astype(np.float32)
        self._powers = np.zeros((3, fft_size // 2 + 1))  # total, mid and side, summed over windows
        self._num_windows = 0
        self._tail = np.zeros((channels, 0), np.float32)

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add the windows that are complete; the remaining samples wait for the next block."""
        samples, hop = np.concatenate([self._tail, block], axis=1), self._fft_size // 2
        num_windows = max(0, samples.shape[1] // hop - 1)
        if num_windows:
            windows = np.lib.stride_tricks.sliding_window_view(samples, self._fft_size, axis=1)[:, ::hop]
            self._add_windows(windows * self._window)
        self._tail = samples[:, num_windows * hop :].copy()

    def result(self, sample_rate: int) -> _BandPowers:
        """Mean power in each band."""
        if not self._num_windows and self._tail.shape[1]:  # the signal is shorter than one window
            num_samples = self._tail.shape[1]
            window = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(num_samples) + 0.5) / num_samples)
            scale = math.sqrt(float(np.vdot(self._window, self._window)) / float(np.vdot(window, window)))
            padded = np.zeros((len(self._tail), 1, self._fft_size), np.float32)
            padded[:, 0, :num_samples] = self._tail * (window * scale)
            self._add_windows(padded)
        upper_edges_hz = CENTERS_HZ * _HALF_BAND
        freq_hz = CENTERS_HZ[upper_edges_hz <= sample_rate / 2]
        bin_weights = band_filterbank(freq_hz / _HALF_BAND, freq_hz * _HALF_BAND, self._fft_size, sample_rate)
        scale = 2.0 / (self._fft_size * float(np.vdot(self._window, self._window)) * max(1, self._num_windows))
        total, mid, side = scale * self._powers @ bin_weights
        return _BandPowers(freq_hz=freq_hz, total=total, mid=mid, side=side)

    def _add_windows(self, windowed: Float[np.ndarray, "channel windows size"]) -> None:
        bins = np.fft.rfft(windowed, axis=2)
        left, right = bins[0], bins[-1]
        mean = left if len(bins) == 1 else bins.mean(axis=0)
        total = sum(_sum_power(channel_bins) for channel_bins in bins) / len(bins)
        self._powers += np.stack([total, _sum_power(mean), _sum_power(left - right) / 4.0])
        self._num_windows += windowed.shape[1]


def _sum_power(bins: np.ndarray) -> np.ndarray:
    """Squared magnitudes by bin, summed over windows; `bins`: complex `[windows, bins]`."""
    return np.asarray(np.sum(np.real(bins) ** 2 + np.imag(bins) ** 2, axis=0, dtype=np.float64))


def _short_term_lufs(meter: LoudnessMeter, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and short-term loudness in LUFS, `[points]`.

    The loudness is that of the preceding 3 s (less at the start) every 0.5 s. In signals of more than 2,000 points, a
    point is the mean of 2, 4, 8 … values. A signal below 0.5 s has one point.
    """
    hop_powers = meter.hop_powers()
    num_steps = len(hop_powers) // _STEP_HOPS
    if not num_steps:
        num_points = min(1, meter.num_frames)  # none for an empty signal
        times_s = np.full(num_points, meter.num_frames / sample_rate)
        return times_s, _power_to_lufs(np.full(num_points, meter.mean_power()))
    powers = hop_powers[: num_steps * _STEP_HOPS].reshape(num_steps, _STEP_HOPS).mean(axis=1)
    sums = np.convolve(powers, np.ones(_SHORT_TERM_STEPS))[:num_steps]
    short_term_powers = sums / np.minimum(np.arange(1, num_steps + 1), _SHORT_TERM_STEPS)
    steps_per_point = 1
    while num_steps // steps_per_point >= MAX_POINTS:
        steps_per_point *= 2
    num_points = num_steps // steps_per_point
    point_powers = short_term_powers[: num_points * steps_per_point].reshape(num_points, steps_per_point).mean(axis=1)
    times_s = _STEP_S * steps_per_point * np.arange(1, num_points + 1)
    return times_s, _power_to_lufs(point_powers)


def _power_to_lufs(power: np.ndarray) -> np.ndarray:
    return _levels_db(power / lufs_to_power(0.0))


def _levels_db(power: np.ndarray, floor: float = -math.inf) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(10.0 * np.log10(power), floor)
