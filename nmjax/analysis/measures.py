"""What is measured of a track while the network listens to it: what z may be asked for afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmjax.audio.streams import AudioChunks
from nmjax.data.catalog import LEVEL_BLOCK_SECONDS, Recording
from nmjax.data.scan import FLOOR_DB, THIRD_OCTAVE_CENTERS_HZ

DESCRIPTOR_UNITS = {"loudness": "LUFS", "tilt": "dB/octave", "crest": "dB", "width": "dB", "range": "LU"}  # name → unit
_MIN_TILT_HZ = 40.0  # of the tilt
_MIN_WIDTH_RATIO = 1e-6  # side over mid, as a power: −60 dB
_RANGE_GATE_LU = 20.0  # below the track's loudness, where a half second does not count for the range


class DescriptorMeter:
    """Hears a track in pieces; `result` after the last one.

    loudness: LUFS of the file. tilt: slope of the long-term third octaves from 40 Hz to 16 kHz. crest: peak over RMS of
    all channels. width: power of side over mid of the first two channels, held at −60 dB. range: the 10th to the 95th
    percentile of the level of half seconds that lie within 20 LU of the loudness.
    """

    def __init__(self, recording: Recording):
        self._recording = recording
        self._peak, self._energy, self._num_samples = 0.0, 0.0, 0
        self._mid_energy, self._side_energy = 0.0, 0.0

    def measure_chunks(self, pieces: AudioChunks) -> Iterator[np.ndarray]:
        """The same signal, measured on the way."""
        for piece in pieces:
            self._peak = max(self._peak, float(np.abs(piece).max(initial=0.0)))
            channel_gram = (piece.T @ piece).astype(np.float64)
            self._energy += float(np.trace(channel_gram))
            self._num_samples += piece.size
            right = 1 if piece.shape[1] > 1 else 0
            channel_energy, cross = channel_gram[0, 0] + channel_gram[right, right], 2.0 * channel_gram[0, right]
            self._mid_energy, self._side_energy = (
                self._mid_energy + channel_energy + cross,
                self._side_energy + max(channel_energy - cross, 0.0),
            )
            yield piece

    def result(self) -> dict[str, float]:
        """By the names of NAMES; NaN where silence has none."""
        power = self._energy / max(self._num_samples, 1)
        nan, is_audible = float("nan"), power > 0.0
        return {
            "loudness": float(self._recording.loudness_lufs) if np.isfinite(self._recording.loudness_lufs) else nan,
            "tilt": spectral_tilt_db_per_octave(self._recording.spectrum_db),
            "crest": float(20.0 * np.log10(self._peak) - 10.0 * np.log10(power)) if is_audible else nan,
            "width": float(10.0 * np.log10(max(self._side_energy / self._mid_energy, _MIN_WIDTH_RATIO)))
            if self._mid_energy > 0.0
            else nan,
            "range": _level_range_lu(self._recording),
        }


def spectral_tilt_db_per_octave(spectrum: np.ndarray) -> float:
    """dB per octave of the line through the third octaves of `nmjax.data.scan` that hold anything; NaN for fewer
    than three."""
    is_valid = (spectrum > FLOOR_DB) & (THIRD_OCTAVE_CENTERS_HZ >= _MIN_TILT_HZ)
    if np.sum(is_valid) < 3:
        return float("nan")
    return float(np.polyfit(np.log2(THIRD_OCTAVE_CENTERS_HZ[is_valid]), spectrum[is_valid].astype(np.float64), 1)[0])


def _level_range_lu(recording: Recording) -> float:
    levels = recording.levels_lufs[recording.levels_lufs > recording.loudness_lufs - _RANGE_GATE_LU].astype(np.float64)
    return float(np.diff(np.percentile(levels, [10, 95]))[0]) if len(levels) else float("nan")


def window_loudness_lufs(recording: Recording, edges_s: np.ndarray) -> np.ndarray:
    """LUFS of each window between `edges_s` (s, `[windows + 1]`), without gates, from the index's half seconds in whole
    dB, held at −120; a window shorter than a half second has that of the half second in which it lies."""
    power = 10.0 ** (recording.levels_lufs.astype(np.float64) / 10.0)
    total = np.concatenate([[0.0], np.cumsum(power)])
    first = np.minimum((edges_s[:-1] / LEVEL_BLOCK_SECONDS).astype(int), len(power) - 1)
    last = np.clip(np.rint(edges_s[1:] / LEVEL_BLOCK_SECONDS).astype(int), first + 1, len(power))
    return 10.0 * np.log10(np.maximum((total[last] - total[first]) / (last - first), 1e-12))
