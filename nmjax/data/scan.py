"""The scan of a music file: integrated loudness, level over time and long-term spectrum."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float, Int8

from nmjax.audio import reader
from nmjax.audio.loudness_meter import BLOCK_HOPS, LoudnessMeter, power_to_lufs

# Third octaves of IEC 61260, 25 Hz to 16 kHz. `nmjax.dsp.filterbanks.THIRD_OCTAVES_HZ` has one more at each end; these
# 29 are the columns of users' index files.
THIRD_OCTAVE_CENTERS_HZ = 1000.0 * 10.0 ** (np.arange(-16, 13) / 10.0)
FLOOR_DB = -150.0  # level of an empty band
_LEVEL_HOPS = 5  # levels are of half seconds, metered in hops of 100 ms
_MAX_CHANNELS = 2  # the model reads no more
_RESOLUTION_HZ = 3.0  # of the spectrum: the lowest band is 5.8 Hz wide


@dataclasses.dataclass(frozen=True)
class FileScan:
    """What a scan measures.

    Attributes:
        frames: length of the file.
        loudness_lufs: integrated loudness, −inf for silence; ungated below 400 ms.
        levels_lufs: K-weighted level of each half second, in whole LUFS, −128 for silence.
        spectrum_db: mean square in each third octave of `THIRD_OCTAVE_CENTERS_HZ`, in dB.
    """

    frames: int
    loudness_lufs: float
    levels_lufs: Int8[np.ndarray, " half_seconds"]
    spectrum_db: Float[np.ndarray, " bands"]


class FileScanner:
    """Scans a file chunk by chunk, in memory that grows by ten numbers a second.

    Loudness is that of the first two channels, the spectrum that of the mean of all channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._sample_rate = sample_rate
        self._meter = LoudnessMeter(sample_rate, np.ones(min(channels, _MAX_CHANNELS)))
        self._fft_size = 1 << math.ceil(math.log2(sample_rate / _RESOLUTION_HZ))
        self._tail = np.zeros(0, np.float32)
        self._power_sum, self._num_windows = np.zeros(self._fft_size // 2 + 1), 0

    @property
    def frames(self) -> int:
        """Frames scanned so far."""
        return self._meter.num_frames

    def update(self, chunk: Float[np.ndarray, "frames channel"]) -> None:
        """Scan the next chunk."""
        self._meter.update(chunk[:, :_MAX_CHANNELS])
        samples, hop = np.concatenate([self._tail, reader.to_mono(chunk)]), self._fft_size // 2
        count = max(0, (len(samples) - hop) // hop)
        if count:
            self._add_windows(np.lib.stride_tricks.sliding_window_view(samples, self._fft_size)[::hop])
        self._tail = samples[count * hop :]

    def result(self) -> FileScan:
        """The scan of all chunks, which together hold at least two frames."""
        if not self._num_windows:  # shorter than one window
            self._add_windows(self._tail[None])
        levels_lufs = np.clip(np.rint(power_to_lufs(self._meter.interval_powers(_LEVEL_HOPS))), -128, 127)
        is_short = len(self._meter.hop_powers()) < BLOCK_HOPS
        lufs = float(power_to_lufs(self._meter.mean_power())) if is_short else self._meter.integrated_lufs()
        power = self._power_sum / self._num_windows @ _third_octave_weights(self._sample_rate, self._fft_size)
        spectrum_db = 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DB / 10.0)))
        return FileScan(self.frames, lufs, levels_lufs.astype(np.int8), spectrum_db.astype(np.float32))

    def _add_windows(self, windows: Float[np.ndarray, "windows frames"]) -> None:
        """Add periodograms of Hann windows; windows shorter than the transform are padded."""
        num_windows, frames = windows.shape
        hann = (0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(frames) + 0.5) / frames)).astype(np.float32)
        spectra = np.fft.rfft(windows * hann, self._fft_size, axis=1)
        scale = 2.0 / (self._fft_size * float(np.sum(hann * hann)))
        self._power_sum += scale * np.sum(spectra.real**2 + spectra.imag**2, axis=0, dtype=np.float64)
        self._num_windows += num_windows


@functools.cache
def _third_octave_weights(sample_rate: int, fft_size: int) -> Float[np.ndarray, "bins bands"]:
    """The fraction of each bin of the transform within each third octave."""
    width = sample_rate / fft_size
    low, high = THIRD_OCTAVE_CENTERS_HZ * 10.0**-0.05, THIRD_OCTAVE_CENTERS_HZ * 10.0**0.05
    bins = width * np.arange(fft_size // 2 + 1)[:, None]
    return np.clip(np.minimum(bins + width / 2, high) - np.maximum(bins - width / 2, low), 0.0, width) / width
