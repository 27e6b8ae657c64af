"""What is measured of a sound while it is read through: loudness, its course in time, the long-term spectrum."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from nmjax.audio import reader
from nmjax.audio.k_weighting import gated_loudness, k_weighting_sos, power_to_lufs

THIRD_OCTAVE_CENTERS_HZ = 1000.0 * 10.0 ** (np.arange(-16, 13) / 10.0)  # third octaves of IEC 61260, 25 Hz to 16 kHz
FLOOR_DB = -150.0  # of a band in which there is nothing
_STEPS_PER_BLOCK = 5  # levels are of half seconds, energies are summed by tenths, as gating needs them
_RESOLUTION_HZ = 3.0  # of the spectrum: the lowest band is 5.8 Hz wide


@dataclasses.dataclass(frozen=True)
class FileScan:
    """loudness: integrated, LUFS, −inf for silence. levels: `[half seconds]` int8, K-weighted, LUFS in whole dB.
    spectrum: `[bands]` float32, dB of the mean square in each third octave of `CENTRES_HZ`."""

    frames: int
    loudness_lufs: float
    levels_lufs: np.ndarray
    spectrum_db: np.ndarray


class FileScanner:
    """Hears a sound in pieces; its memory does not depend on the length but for ten numbers a second.

    Loudness after ITU-R BS.1770-4 of the first two channels, which are those that training hears; the spectrum is
    that of the mean of all channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._sample_rate = sample_rate
        self.frames = 0  # heard so far
        self._k_sections = k_weighting_sos(sample_rate)
        self._k_state = np.zeros((len(self._k_sections), 2, min(channels, 2)))
        self._step_energies: list[float] = []
        self._fft_size = 1 << math.ceil(math.log2(sample_rate / _RESOLUTION_HZ))
        self._tail = np.zeros(0, np.float32)
        self._power_sum, self._window_count = np.zeros(self._fft_size // 2 + 1), 0

    def update(self, chunk: np.ndarray) -> None:
        """The next piece, `[frames, channel]` float32."""
        self._add_energy(chunk[:, :2])
        self._add_spectrum(reader.to_mono(chunk))
        self.frames += len(chunk)

    def result(self) -> FileScan:
        """Of all that was heard, which must be two frames at least."""
        if not self._window_count:  # shorter than one window
            self._add_windows(self._tail[None])
        step_edges = np.minimum(self._step_start(np.arange(len(self._step_energies) + 1)), self.frames)
        energy, step_sizes = np.array(self._step_energies), np.diff(step_edges)
        block_starts = np.arange(0, len(energy), _STEPS_PER_BLOCK)
        levels_lufs = power_to_lufs(np.add.reduceat(energy, block_starts) / np.add.reduceat(step_sizes, block_starts))
        levels_lufs = np.clip(np.rint(levels_lufs), -128, 127).astype(np.int8)
        complete_steps = int(np.sum(self._step_start(np.arange(1, len(step_edges))) <= self.frames))
        loudness_lufs = (
            gated_loudness(energy[:complete_steps], step_sizes[:complete_steps])
            if complete_steps >= 4
            else float(power_to_lufs(energy.sum() / self.frames))
        )
        power = self._power_sum / self._window_count
        spectrum_db = 10.0 * np.log10(
            np.maximum(power @ _third_octave_weights(self._sample_rate, self._fft_size), 10.0 ** (FLOOR_DB / 10.0))
        )
        return FileScan(self.frames, loudness_lufs, levels_lufs, spectrum_db.astype(np.float32))

    def _step_start(self, step):
        """The frame at which a tenth of a second begins."""
        return (step * self._sample_rate + 5) // 10

    def _add_energy(self, chunk: np.ndarray) -> None:
        from scipy.signal import sosfilt  # a second of importing, which a start without new files can do without

        weighted, self._k_state = sosfilt(self._k_sections, chunk.astype(np.float64), axis=0, zi=self._k_state)
        self._k_state[np.abs(self._k_state) < 1e-30] = (
            0.0  # in silence it would fade into denormal numbers, which are slow
        )
        end, step = self.frames + len(chunk), len(self._step_energies)
        starts = [self.frames]
        while (edge := self._step_start(step)) < end:
            if edge > self.frames:
                starts.append(edge)
            step += 1
        sums = np.add.reduceat(np.einsum("tc,tc->t", weighted, weighted), np.array(starts) - self.frames).tolist()
        if self._step_energies and self._step_start(len(self._step_energies)) > self.frames:
            self._step_energies[-1] += sums.pop(0)
        self._step_energies += sums

    def _add_spectrum(self, mono: np.ndarray) -> None:
        samples, hop = np.concatenate([self._tail, mono]), self._fft_size // 2
        count = max(0, (len(samples) - hop) // hop)
        if count:
            self._add_windows(np.lib.stride_tricks.sliding_window_view(samples, self._fft_size)[::hop])
        self._tail = samples[count * hop :]

    def _add_windows(self, windows: np.ndarray) -> None:
        """Mean square by bin of `[windows, frames]`; shorter ones than the transform are padded."""
        count, frames = windows.shape
        hann = (0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(frames) + 0.5) / frames)).astype(np.float32)
        spectra = np.fft.rfft(windows * hann, self._fft_size, axis=1)
        scale = 2.0 / (self._fft_size * float(np.sum(hann * hann)))
        self._power_sum += scale * np.sum(spectra.real**2 + spectra.imag**2, axis=0, dtype=np.float64)
        self._window_count += count


@functools.cache
def _third_octave_weights(sample_rate: int, fft_size: int) -> np.ndarray:
    """`[bins, bands]`: the share of each bin of the transform that lies in each third octave."""
    width = sample_rate / fft_size
    low, high = THIRD_OCTAVE_CENTERS_HZ * 10.0**-0.05, THIRD_OCTAVE_CENTERS_HZ * 10.0**0.05
    bins = width * np.arange(fft_size // 2 + 1)[:, None]
    return np.clip(np.minimum(bins + width / 2, high) - np.maximum(bins - width / 2, low), 0.0, width) / width
