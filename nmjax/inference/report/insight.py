"""What a listener notes while a sound passes: its long-term spectrum, loudness over time, level.

NumPy and SciPy, not JAX: a report's numbers need no gradient, and this costs less than a second of CPU for a song.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.dsp.auditory import band_shares
from nmjax.dsp.loudness import channel_weights, power_of_loudness
from nmjax.inference.stream import Pieces
from nmjax.loudness import k_weighting

CENTRES_HZ = 1000.0 * 2.0 ** (np.arange(-68, 53) / 12.0)  # twelfths of an octave, 19.7 Hz to 20.2 kHz
FLOOR_DB = -150.0  # of a band in which there is nothing
MOST_POINTS = 2000  # of loudness over time
_RESOLUTION_HZ = 3.0  # of the spectrum; a narrower band gets its share of a bin
_HOPS_A_BLOCK = 8  # windows are transformed in batches of so many
_HALVES = 6  # half seconds of the short-term loudness's 3 s


@dataclasses.dataclass(frozen=True)
class Heardings:
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
    frames: int
    freq_hz: Float[np.ndarray, "bands"]
    total_db: Float[np.ndarray, "bands"]
    mid_db: Float[np.ndarray, "bands"]
    side_db: Float[np.ndarray, "bands"] | None
    seconds: Float[np.ndarray, "points"]
    short_term: Float[np.ndarray, "points"]
    rms_db: float
    peak_db: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate

    @property
    def crest_db(self) -> float:
        """How far the largest sample lies above the root mean square, in dB; NaN for silence."""
        return self.peak_db - self.rms_db if math.isfinite(self.rms_db) else math.nan


class Listener:
    """Hears a signal as it passes; `result` after the last piece. Memory does not depend on the length, and the result
    does not depend on the pieces.

    Args:
        sample_rate: Hz, 8,000 to 192,000.
        channels: 1 to 8.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._rate, self._channels, self._frames = sample_rate, channels, 0
        size = 1 << math.ceil(math.log2(sample_rate / _RESOLUTION_HZ))
        self._spectrum = _Spectrum(size, channels)
        self._loudness = _ShortTerm(sample_rate, channels)
        self._square, self._peak = 0.0, 0.0
        self._block = np.zeros((channels, _HOPS_A_BLOCK * size // 2), np.float32)
        self._filled = 0

    def watch(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """The same pieces, `[frames, channel]`, heard on the way."""
        for piece in pieces:
            self._take(piece)
            yield piece

    def result(self) -> Heardings:
        """What was heard so far; nothing can be heard after it."""
        self._hear(self._block[:, : self._filled])
        self._filled = 0
        freq_hz, powers = self._spectrum.result(self._rate)
        total, mid, side = (_decibels(power, FLOOR_DB) for power in powers)
        seconds, short_term = self._loudness.result()
        mean_square = self._square / max(1, self._frames * self._channels)
        return Heardings(
            self._rate, self._channels, self._frames, freq_hz, total, mid, side if self._channels == 2 else None,
            seconds, short_term, float(_decibels(mean_square)), float(_decibels(self._peak**2)),
        )  # fmt: skip

    def _take(self, piece: np.ndarray) -> None:
        start = 0
        while start < len(piece):
            part = piece[start : start + self._block.shape[1] - self._filled]
            self._block[:, self._filled : self._filled + len(part)] = part.T
            self._filled, start = self._filled + len(part), start + len(part)
            if self._filled == self._block.shape[1]:
                self._hear(self._block)
                self._filled = 0

    def _hear(self, block: np.ndarray) -> None:
        """The next samples, `[channel, frames]`."""
        if not block.shape[1]:
            return
        wide = block.astype(np.float64)
        self._square += float(np.einsum("ct,ct->", wide, wide))  # a library of matrices would start threads for it
        self._peak = max(self._peak, float(block.max()), -float(block.min()))
        self._frames += block.shape[1]
        self._loudness.hear(wide)
        self._spectrum.hear(block)


class _Spectrum:
    """Welch's mean of periodograms: Hann windows that overlap by half."""

    def __init__(self, size: int, channels: int):
        self._size = size
        self._hann = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)).astype(np.float32)
        self._powers = np.zeros((3, size // 2 + 1))
        self._windows = 0
        self._tail = np.zeros((channels, 0), np.float32)

    def hear(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """What does not fill a window waits for more."""
        heard, hop = np.concatenate([self._tail, block], axis=1), self._size // 2
        count = max(0, heard.shape[1] // hop - 1)
        if count:
            views = np.lib.stride_tricks.sliding_window_view(heard, self._size, axis=1)[:, ::hop]
            self._add(views * self._hann)
        self._tail = heard[:, count * hop :].copy()

    def result(self, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
        """Centres `[bands]` in Hz and powers `[3, bands]`: the channels' mean, mid, side."""
        if not self._windows and self._tail.shape[1]:  # shorter than one window: as much of it as there is
            count = self._tail.shape[1]
            hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(count) + 0.5) / count)
            scale = math.sqrt(float(np.vdot(self._hann, self._hann)) / float(np.vdot(hann, hann)))
            padded = np.zeros((len(self._tail), 1, self._size), np.float32)
            padded[:, 0, :count] = self._tail * (hann * scale)
            self._add(padded)
        reach = 2.0 ** (1.0 / 24.0)
        freq_hz = CENTRES_HZ[reach * CENTRES_HZ <= sample_rate / 2]
        shares = band_shares(freq_hz / reach, freq_hz * reach, self._size, sample_rate)
        scale = 2.0 / (self._size * float(np.vdot(self._hann, self._hann)) * max(1, self._windows))
        return freq_hz, scale * self._powers @ shares

    def _add(self, windowed: Float[np.ndarray, "channel windows size"]) -> None:
        lines = np.fft.rfft(windowed, axis=2)
        first, last = lines[0], lines[-1]
        mean = first if len(lines) == 1 else lines.mean(axis=0)
        total = sum(_energy(line) for line in lines) / len(lines)
        self._powers += np.stack([total, _energy(mean), _energy(first - last) / 4.0])
        self._windows += windowed.shape[1]


def _energy(lines: np.ndarray) -> np.ndarray:
    """Squared magnitudes by bin, summed over `[windows, bins]`."""
    return np.sum(lines.real**2 + lines.imag**2, axis=0, dtype=np.float64)


class _ShortTerm:
    """Loudness of 3 s every half second, after BS.1770's weights (ITU-R BS.1770, EBU Tech 3341)."""

    def __init__(self, sample_rate: int, channels: int):
        self._step = sample_rate // 2
        self._sections = k_weighting(sample_rate)
        self._state = np.zeros((len(self._sections), channels, 2))
        self._weights = channel_weights(channels).astype(np.float64)
        self._open = np.zeros(0)  # energies of the half second that is not full yet
        self._recent = np.zeros(0)  # powers of the last half seconds
        self._points: list[float] = []
        self._spacing = 1  # half seconds between points
        self._pending: list[float] = []
        self._rate = sample_rate

    def hear(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """The next samples in float64."""
        from scipy.signal import sosfilt  # a second of importing, which a run without a report can do without

        weighted, self._state = sosfilt(self._sections, block, axis=1, zi=self._state)
        self._state[np.abs(self._state) < 1e-30] = 0.0  # in silence it would fade into denormal numbers, which are slow
        energy = np.concatenate([self._open, np.einsum("c,ct,ct->t", self._weights, weighted, weighted)])
        halves = len(energy) // self._step
        for power in energy[: halves * self._step].reshape(halves, self._step).mean(axis=1):
            self._add(float(power))
        self._open = energy[halves * self._step :].copy()

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in seconds and loudness in LUFS, `[points]`."""
        if not self._points and not self._pending and len(self._open):  # less than half a second is one point
            return np.array([len(self._open) / self._rate]), _lufs(np.array([self._open.mean()]))
        seconds = 0.5 * self._spacing * np.arange(1, len(self._points) + 1)
        return seconds, _lufs(np.array(self._points))

    def _add(self, power: float) -> None:
        self._recent = np.append(self._recent, power)[-_HALVES:]
        self._pending.append(float(self._recent.mean()))
        if len(self._pending) == self._spacing:
            self._points.append(float(np.mean(self._pending)))
            self._pending = []
        if len(self._points) == MOST_POINTS:
            self._points = np.array(self._points).reshape(-1, 2).mean(axis=1).tolist()
            self._spacing *= 2


def _lufs(power: np.ndarray) -> np.ndarray:
    return _decibels(power / power_of_loudness(0.0))


def _decibels(power: np.ndarray | float, floor: float = -math.inf) -> np.ndarray | np.float64:
    with np.errstate(divide="ignore"):
        return np.maximum(10.0 * np.log10(power), floor)
