"""What is measured of a sound while it is read through: loudness, its course in time, the long-term spectrum."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from nmjax import io
from nmjax.loudness import gated_loudness, k_weighting, loudness_of_power

CENTRES_HZ = 1000.0 * 10.0 ** (np.arange(-16, 13) / 10.0)  # third octaves of IEC 61260, 25 Hz to 16 kHz
FLOOR_DB = -150.0  # of a band in which there is nothing
_STEPS_A_BLOCK = 5  # levels are of half seconds, energies are summed by tenths, as gating needs them
_RESOLUTION_HZ = 3.0  # of the spectrum: the lowest band is 5.8 Hz wide


@dataclasses.dataclass(frozen=True)
class Measured:
    """loudness: integrated, LUFS, −inf for silence. levels: `[half seconds]` int8, K-weighted, LUFS in whole dB.
    spectrum: `[bands]` float32, dB of the mean square in each third octave of `CENTRES_HZ`."""

    frames: int
    loudness: float
    levels: np.ndarray
    spectrum: np.ndarray


class Meter:
    """Hears a sound in pieces; its memory does not depend on the length but for ten numbers a second.

    Loudness after ITU-R BS.1770-4 of the first two channels, which are those that training hears; the spectrum is
    that of the mean of all channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._rate = sample_rate
        self.frames = 0  # heard so far
        self._sections = k_weighting(sample_rate)
        self._state = np.zeros((len(self._sections), 2, min(channels, 2)))
        self._energy: list[float] = []
        self._size = 1 << math.ceil(math.log2(sample_rate / _RESOLUTION_HZ))
        self._tail = np.zeros(0, np.float32)
        self._power, self._windows = np.zeros(self._size // 2 + 1), 0

    def hear(self, piece: np.ndarray) -> None:
        """The next piece, `[frames, channel]` float32."""
        self._add_energy(piece[:, :2])
        self._add_spectrum(io.mono(piece))
        self.frames += len(piece)

    def result(self) -> Measured:
        """Of all that was heard, which must be two frames at least."""
        if not self._windows:  # shorter than one window
            self._add_windows(self._tail[None])
        edges = np.minimum(self._edge(np.arange(len(self._energy) + 1)), self.frames)
        energy, sizes = np.array(self._energy), np.diff(edges)
        every = np.arange(0, len(energy), _STEPS_A_BLOCK)
        levels = loudness_of_power(np.add.reduceat(energy, every) / np.add.reduceat(sizes, every))
        levels = np.clip(np.rint(levels), -128, 127).astype(np.int8)
        whole = int(np.sum(self._edge(np.arange(1, len(edges))) <= self.frames))
        loudness = (
            gated_loudness(energy[:whole], sizes[:whole])
            if whole >= 4
            else float(loudness_of_power(energy.sum() / self.frames))
        )
        power = self._power / self._windows
        bands = 10.0 * np.log10(np.maximum(power @ _bands(self._rate, self._size), 10.0 ** (FLOOR_DB / 10.0)))
        return Measured(self.frames, loudness, levels, bands.astype(np.float32))

    def _edge(self, step):
        """The frame at which a tenth of a second begins."""
        return (step * self._rate + 5) // 10

    def _add_energy(self, piece: np.ndarray) -> None:
        from scipy.signal import sosfilt  # a second of importing, which a start without new files can do without

        weighted, self._state = sosfilt(self._sections, piece.astype(np.float64), axis=0, zi=self._state)
        self._state[np.abs(self._state) < 1e-30] = 0.0  # in silence it would fade into denormal numbers, which are slow
        end, step = self.frames + len(piece), len(self._energy)
        starts = [self.frames]
        while (edge := self._edge(step)) < end:
            if edge > self.frames:
                starts.append(edge)
            step += 1
        sums = np.add.reduceat(np.einsum("tc,tc->t", weighted, weighted), np.array(starts) - self.frames).tolist()
        if self._energy and self._edge(len(self._energy)) > self.frames:
            self._energy[-1] += sums.pop(0)
        self._energy += sums

    def _add_spectrum(self, mono: np.ndarray) -> None:
        heard, hop = np.concatenate([self._tail, mono]), self._size // 2
        count = max(0, (len(heard) - hop) // hop)
        if count:
            self._add_windows(np.lib.stride_tricks.sliding_window_view(heard, self._size)[::hop])
        self._tail = heard[count * hop :]

    def _add_windows(self, windows: np.ndarray) -> None:
        """Mean square by bin of `[windows, frames]`; shorter ones than the transform are padded."""
        count, frames = windows.shape
        hann = (0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(frames) + 0.5) / frames)).astype(np.float32)
        lines = np.fft.rfft(windows * hann, self._size, axis=1)
        scale = 2.0 / (self._size * float(np.sum(hann * hann)))
        self._power += scale * np.sum(lines.real**2 + lines.imag**2, axis=0, dtype=np.float64)
        self._windows += count


@functools.cache
def _bands(sample_rate: int, size: int) -> np.ndarray:
    """`[bins, bands]`: the share of each bin of the transform that lies in each third octave."""
    width = sample_rate / size
    low, high = CENTRES_HZ * 10.0**-0.05, CENTRES_HZ * 10.0**0.05
    bins = width * np.arange(size // 2 + 1)[:, None]
    return np.clip(np.minimum(bins + width / 2, high) - np.maximum(bins - width / 2, low), 0.0, width) / width
