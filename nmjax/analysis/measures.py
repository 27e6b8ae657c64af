"""What is measured of a track while the network listens to it: what z may be asked for afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nmjax.data.measure import CENTRES_HZ, FLOOR_DB
from nmjax.data.songs import BLOCK_SECONDS, Sound
from nmjax.inference.stream import Pieces

NAMES = {"loudness": "LUFS", "tilt": "dB/octave", "crest": "dB", "width": "dB", "range": "LU"}  # name → unit
_LOWEST_HZ = 40.0  # of the tilt
_LEAST_WIDTH = 1e-6  # side over mid, as a power: −60 dB
_QUIET_LU = 20.0  # below the track's loudness, where a half second does not count for the range


class Measures:
    """Hears a track in pieces; `result` after the last one.

    loudness: LUFS of the file. tilt: slope of the long-term third octaves from 40 Hz to 16 kHz. crest: peak over RMS of
    all channels. width: power of side over mid of the first two channels, held at −60 dB. range: the 10th to the 95th
    percentile of the level of half seconds that lie within 20 LU of the loudness.
    """

    def __init__(self, sound: Sound):
        self._sound = sound
        self._peak, self._power, self._values = 0.0, 0.0, 0
        self._mid, self._side = 0.0, 0.0

    def watch(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """The same signal, measured on the way."""
        for piece in pieces:
            self._peak = max(self._peak, float(np.abs(piece).max(initial=0.0)))
            gram = (piece.T @ piece).astype(np.float64)
            self._power += float(np.trace(gram))
            self._values += piece.size
            right = 1 if piece.shape[1] > 1 else 0
            both, cross = gram[0, 0] + gram[right, right], 2.0 * gram[0, right]
            self._mid, self._side = self._mid + both + cross, self._side + max(both - cross, 0.0)
            yield piece

    def result(self) -> dict[str, float]:
        """By the names of NAMES; NaN where silence has none."""
        power = self._power / max(self._values, 1)
        nan, sounds = float("nan"), power > 0.0
        return {
            "loudness": float(self._sound.loudness) if np.isfinite(self._sound.loudness) else nan,
            "tilt": tilt_of(self._sound.spectrum),
            "crest": float(20.0 * np.log10(self._peak) - 10.0 * np.log10(power)) if sounds else nan,
            "width": float(10.0 * np.log10(max(self._side / self._mid, _LEAST_WIDTH))) if self._mid > 0.0 else nan,
            "range": _range_of(self._sound),
        }


def tilt_of(spectrum: np.ndarray) -> float:
    """dB per octave of the line through the third octaves of `nmjax.data.measure` that hold anything; NaN for fewer
    than three."""
    used = (spectrum > FLOOR_DB) & (CENTRES_HZ >= _LOWEST_HZ)
    if np.sum(used) < 3:
        return float("nan")
    return float(np.polyfit(np.log2(CENTRES_HZ[used]), spectrum[used].astype(np.float64), 1)[0])


def _range_of(sound: Sound) -> float:
    levels = sound.levels[sound.levels > sound.loudness - _QUIET_LU].astype(np.float64)
    return float(np.diff(np.percentile(levels, [10, 95]))[0]) if len(levels) else float("nan")


def window_loudness(sound: Sound, edges_s: np.ndarray) -> np.ndarray:
    """LUFS of each window between `edges_s` (s, `[windows + 1]`), without gates, from the index's half seconds in whole
    dB, held at −120; a window shorter than a half second has that of the half second in which it lies."""
    power = 10.0 ** (sound.levels.astype(np.float64) / 10.0)
    total = np.concatenate([[0.0], np.cumsum(power)])
    first = np.minimum((edges_s[:-1] / BLOCK_SECONDS).astype(int), len(power) - 1)
    last = np.clip(np.rint(edges_s[1:] / BLOCK_SECONDS).astype(int), first + 1, len(power))
    return 10.0 * np.log10(np.maximum((total[last] - total[first]) / (last - first), 1e-12))
