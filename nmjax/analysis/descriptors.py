"""Track descriptors, the targets of linear probes, measured while the track is streamed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nmjax.audio.streams import AudioChunks
from nmjax.data.catalog import LEVEL_BLOCK_SECONDS, Recording
from nmjax.data.scan import FLOOR_DB, THIRD_OCTAVE_CENTERS_HZ

DESCRIPTORS = ("loudness_lufs", "tilt_db_per_octave", "crest_db", "width_db", "level_range_lu")
_MIN_TILT_HZ = 40.0
_MIN_WIDTH_RATIO = 1e-6  # power of side over mid: −60 dB
_RANGE_GATE_LU = 20.0  # half seconds further below the track's loudness are ignored by the level range


class DescriptorMeter:
    """Measures a stream of chunks; `result` has the descriptors after the last one.

    loudness_lufs: integrated loudness of the file. tilt_db_per_octave: slope of the long-term third-octave spectrum
    from 40 Hz to 16 kHz. crest_db: peak over RMS of all channels. width_db: power of side over mid of the first two
    channels, at least −60 dB. level_range_lu: from the 10th to the 95th percentile of the level of half seconds that
    are at most 20 LU below the loudness.
    """

    def __init__(self, recording: Recording):
        self._recording = recording
        self._peak, self._energy, self._num_samples = 0.0, 0.0, 0
        self._mid_energy, self._side_energy = 0.0, 0.0

    def measure_chunks(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """Measure chunks and pass them on unchanged."""
        for chunk in chunks:
            self._peak = max(self._peak, float(np.abs(chunk).max(initial=0.0)))
            channel_gram = (chunk.T @ chunk).astype(np.float64)
            self._energy += float(np.trace(channel_gram))
            self._num_samples += chunk.size
            right = 1 if chunk.shape[1] > 1 else 0
            channel_energy, cross = channel_gram[0, 0] + channel_gram[right, right], 2.0 * channel_gram[0, right]
            self._mid_energy = self._mid_energy + channel_energy + cross
            self._side_energy += max(channel_energy - cross, 0.0)
            yield chunk

    def result(self) -> dict[str, float]:
        """The descriptors by name; NaN where silence has none."""
        loudness_lufs, power = float(self._recording.loudness_lufs), self._energy / max(self._num_samples, 1)
        crest_db = width_db = math.nan
        if power > 0.0:
            crest_db = float(20.0 * np.log10(self._peak) - 10.0 * np.log10(power))
        if self._mid_energy > 0.0:
            width_db = float(10.0 * np.log10(max(self._side_energy / self._mid_energy, _MIN_WIDTH_RATIO)))
        return {
            "loudness_lufs": loudness_lufs if math.isfinite(loudness_lufs) else math.nan,
            "tilt_db_per_octave": spectral_tilt_db_per_octave(self._recording.spectrum_db),
            "crest_db": crest_db,
            "width_db": width_db,
            "level_range_lu": _level_range_lu(self._recording),
        }


def spectral_tilt_db_per_octave(spectrum: np.ndarray) -> float:
    """Slope of a line through the third-octave levels above `nmjax.data.scan`'s floor; NaN for fewer than three."""
    is_valid = (spectrum > FLOOR_DB) & (THIRD_OCTAVE_CENTERS_HZ >= _MIN_TILT_HZ)
    if np.sum(is_valid) < 3:
        return float("nan")
    return float(np.polyfit(np.log2(THIRD_OCTAVE_CENTERS_HZ[is_valid]), spectrum[is_valid].astype(np.float64), 1)[0])


def _level_range_lu(recording: Recording) -> float:
    levels = recording.levels_lufs[recording.levels_lufs > recording.loudness_lufs - _RANGE_GATE_LU].astype(np.float64)
    return float(np.diff(np.percentile(levels, [10, 95]))[0]) if len(levels) else float("nan")


def window_loudness_lufs(recording: Recording, edges_s: np.ndarray) -> np.ndarray:
    """Ungated loudness of each window, at least −120 LUFS, from the levels of half seconds in the index.

    Args:
        recording: an entry of the index.
        edges_s: `[windows + 1]`, the bounds of the windows in seconds. A window shorter than half a second has the
            loudness of the half second that contains it.
    """
    power = 10.0 ** (recording.levels_lufs.astype(np.float64) / 10.0)
    total = np.concatenate([[0.0], np.cumsum(power)])
    first = np.minimum((edges_s[:-1] / LEVEL_BLOCK_SECONDS).astype(int), len(power) - 1)
    last = np.clip(np.rint(edges_s[1:] / LEVEL_BLOCK_SECONDS).astype(int), first + 1, len(power))
    return 10.0 * np.log10(np.maximum((total[last] - total[first]) / (last - first), 1e-12))
