"""What a listener notes while a sound passes: its long-term spectrum, loudness over time, level.

NumPy and SciPy, not JAX: a report's numbers need no gradient, and this costs less than a second of CPU for a song.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.audio.streams import AudioChunks
from nmjax.dsp.filterbanks import band_filterbank
from nmjax.dsp.loudness import channel_weights, lufs_to_power

CENTERS_HZ = 1000.0 * 2.0 ** (np.arange(-68, 53) / 12.0)  # twelfths of an octave, 19.7 Hz to 20.2 kHz
FLOOR_DB = -150.0  # of a band in which there is nothing
MAX_POINTS = 2000  # of loudness over time
_RESOLUTION_HZ = 3.0  # of the spectrum; a narrower band gets its share of a bin
_HOPS_PER_BLOCK = 8  # windows are transformed in batches of so many
_STEP_HOPS = 5  # hops of 100 ms in half a second
_SHORT_TERM_STEPS = 6  # half seconds of the short-term loudness's 3 s


@dataclasses.dataclass(frozen=True)
class SignalAnalysis:
    """What was heard of a whole signal; all levels in dB of a mean square of 1, so a mono sine of full scale reads −3.

    freq_hz: `[bands]`, centres of those twelfths of an octave of `CENTRES_HZ` that end below half the rate. total_db:
    `[bands]`, the channels' mean power. mid_db: that of the channels' mean. side_db: that of half of left − right, None
    unless stereo. All three from −150 on.
    seconds: `[points]`, ends of the stretches of which short_term is the loudness, at most 2,000, half a second apart
    or, in longer tracks, 1, 2, 4 … s. short_term: `[points]`, LUFS of the 3 s up to there (of what there is at the
    start), −inf for silence.
    rms_db, peak_db: of the whole, all channels; −inf for silence.
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
        """Seconds."""
        return self.num_frames / self.sample_rate

    @property
    def crest_db(self) -> float:
        """How far the largest sample lies above the root mean square, in dB; NaN for silence."""
        return self.peak_db - self.rms_db if math.isfinite(self.rms_db) else math.nan


class SignalAnalyzer:
    """Hears a signal as it passes; `result` after the last piece. Memory grows by 80 bytes a second, and the
    result does not depend on the pieces.

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
        self._block = np.zeros((channels, _HOPS_PER_BLOCK * fft_size // 2), np.float32)
        self._num_buffered = 0

    def watch(self, pieces: AudioChunks) -> Iterator[np.ndarray]:
        """The same pieces, `[frames, channel]`, heard on the way."""
        for piece in pieces:
            self._buffer_piece(piece)
            yield piece

    def result(self) -> SignalAnalysis:
        """What was heard so far; nothing can be heard after it."""
        self._analyze_block(self._block[:, : self._num_buffered])
        self._num_buffered = 0
        freq_hz, powers = self._spectrum.result(self._sample_rate)
        total_db, mid_db, side_db = (_power_to_db(power, FLOOR_DB) for power in powers)
        times_s, short_term_lufs = _short_term_lufs(self._loudness_meter, self._sample_rate)
        mean_square = self._sum_squares / max(1, self._num_frames * self._channels)
        return SignalAnalysis(
            self._sample_rate, self._channels, self._num_frames, freq_hz, total_db, mid_db, side_db if self._channels == 2 else None,
            times_s, short_term_lufs, float(_power_to_db(mean_square)), float(_power_to_db(self._peak**2)),
        )  # fmt: skip

    def _buffer_piece(self, piece: np.ndarray) -> None:
        start = 0
        while start < len(piece):
            chunk = piece[start : start + self._block.shape[1] - self._num_buffered]
            self._block[:, self._num_buffered : self._num_buffered + len(chunk)] = chunk.T
            self._num_buffered, start = self._num_buffered + len(chunk), start + len(chunk)
            if self._num_buffered == self._block.shape[1]:
                self._analyze_block(self._block)
                self._num_buffered = 0

    def _analyze_block(self, block: np.ndarray) -> None:
        """The next samples, `[channel, frames]`."""
        if not block.shape[1]:
            return
        samples = block.astype(np.float64)
        self._sum_squares += float(
            np.einsum("ct,ct->", samples, samples)
        )  # a library of matrices would start threads for it
        self._peak = max(self._peak, float(block.max()), -float(block.min()))
        self._num_frames += block.shape[1]
        self._loudness_meter.update(samples.T)
        self._spectrum.update(block)


class _WelchSpectrum:
    """Welch's mean of periodograms: Hann windows that overlap by half."""

    def __init__(self, fft_size: int, channels: int):
        self._fft_size = fft_size
        self._window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(fft_size) / fft_size)).astype(np.float32)
        self._powers = np.zeros((3, fft_size // 2 + 1))
        self._num_windows = 0
        self._tail = np.zeros((channels, 0), np.float32)

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """What does not fill a window waits for more."""
        samples, hop = np.concatenate([self._tail, block], axis=1), self._fft_size // 2
        num_windows = max(0, samples.shape[1] // hop - 1)
        if num_windows:
            windows = np.lib.stride_tricks.sliding_window_view(samples, self._fft_size, axis=1)[:, ::hop]
            self._add_windows(windows * self._window)
        self._tail = samples[:, num_windows * hop :].copy()

    def result(self, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
        """Centres `[bands]` in Hz and powers `[3, bands]`: the channels' mean, mid, side."""
        if not self._num_windows and self._tail.shape[1]:  # shorter than one window: as much of it as there is
            num_samples = self._tail.shape[1]
            window = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(num_samples) + 0.5) / num_samples)
            scale = math.sqrt(float(np.vdot(self._window, self._window)) / float(np.vdot(window, window)))
            padded = np.zeros((len(self._tail), 1, self._fft_size), np.float32)
            padded[:, 0, :num_samples] = self._tail * (window * scale)
            self._add_windows(padded)
        half_band = 2.0 ** (1.0 / 24.0)
        freq_hz = CENTERS_HZ[half_band * CENTERS_HZ <= sample_rate / 2]
        bin_weights = band_filterbank(freq_hz / half_band, freq_hz * half_band, self._fft_size, sample_rate)
        scale = 2.0 / (self._fft_size * float(np.vdot(self._window, self._window)) * max(1, self._num_windows))
        return freq_hz, scale * self._powers @ bin_weights

    def _add_windows(self, windowed: Float[np.ndarray, "channel windows size"]) -> None:
        bins = np.fft.rfft(windowed, axis=2)
        left, right = bins[0], bins[-1]
        mean = left if len(bins) == 1 else bins.mean(axis=0)
        total = sum(_sum_power(channel_bins) for channel_bins in bins) / len(bins)
        self._powers += np.stack([total, _sum_power(mean), _sum_power(left - right) / 4.0])
        self._num_windows += windowed.shape[1]


def _sum_power(bins: np.ndarray) -> np.ndarray:
    """Squared magnitudes by bin, summed over `[windows, bins]`."""
    return np.sum(bins.real**2 + bins.imag**2, axis=0, dtype=np.float64)


def _short_term_lufs(meter: LoudnessMeter, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and short-term loudness in LUFS, `[points]` each: of the 3 s up to each half second, or of what
    there is at the start; beyond 2,000 points, means of 2, 4, 8 … neighbors."""
    hop_powers = meter.hop_powers()
    num_steps = len(hop_powers) // _STEP_HOPS
    if not num_steps:  # less than half a second is one point
        duration_s = meter.num_frames / sample_rate
        return np.full(min(1, meter.num_frames), duration_s), _power_to_lufs(
            np.full(min(1, meter.num_frames), meter.mean_power())
        )
    powers = hop_powers[: num_steps * _STEP_HOPS].reshape(num_steps, _STEP_HOPS).mean(axis=1)
    sums = np.convolve(powers, np.ones(_SHORT_TERM_STEPS))[:num_steps]
    short_term = sums / np.minimum(np.arange(1, num_steps + 1), _SHORT_TERM_STEPS)
    steps_per_point = 1
    while num_steps // steps_per_point >= MAX_POINTS:
        steps_per_point *= 2
    num_points = num_steps // steps_per_point
    points = short_term[: num_points * steps_per_point].reshape(num_points, steps_per_point).mean(axis=1)
    return 0.5 * steps_per_point * np.arange(1, num_points + 1), _power_to_lufs(points)


def _power_to_lufs(power: np.ndarray) -> np.ndarray:
    return _power_to_db(power / lufs_to_power(0.0))


def _power_to_db(power: np.ndarray | float, floor: float = -math.inf) -> np.ndarray | np.float64:
    with np.errstate(divide="ignore"):
        return np.maximum(10.0 * np.log10(power), floor)
