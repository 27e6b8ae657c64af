"""Levels of narrow bands from window to window, without the lines of notes.

A note is a few lines in the spectrum; a resonance also raises the noise between them. So all that is narrower than a
resonance is removed from the levels of each window: a minimum over the width of a line, then a maximum (morphological
opening: Serra, "Image analysis and mathematical morphology", 1982).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from nmjax.audio.sliding import sliding_maximum

_BANDS_PER_OCTAVE = 96
_BAND_OCTAVES = 1.0 / 64.0  # width of a band
_LINE_SHARE = 1.0 / 200.0  # of the frequency: what is narrower is a line
_ZONE_OCTAVES = 0.25  # in which lines have one width
_HIGHEST = 0.9  # of half the sample rate
_NEIGHBOR_STEP, _NEIGHBORS = 4, 17  # the median of 17 bands, 4 apart: a third of an octave on either side
_LOW_PERCENT = 5.0  # of the time
_QUIET_DB, _SILENT_DB = 40.0, -115.0  # windows this far below loud ones, or below this level, do not count
_OUTSIDE_DB = -200.0  # of bands that do not exist
_OTHERS = (12, 96)  # bands: from an eighth of an octave to an octave on either side
_MAX_WINDOWS = 2048  # 25 minutes; of more, evenly spaced ones tell as much about the share of the time


@dataclasses.dataclass(frozen=True, eq=False)
class NarrowLevels:
    """How narrow bands, without lines, stand out over the windows that are not quiet; 0 for silence.

    Attributes:
        freq_hz: centers of the bands.
        steady_prominence_db: how far a band is above its neighborhood for 95 % of the time.
        excess_db: how far its steady prominence exceeds that of all others within an octave.
        correlation: of its level with that of its neighborhood, over time; 0 where one of them never changes.
    """

    freq_hz: Float[np.ndarray, " bands"]
    steady_prominence_db: Float[np.ndarray, " bands"]
    excess_db: Float[np.ndarray, " bands"]
    correlation: Float[np.ndarray, " bands"]


def compare_levels(freq_hz: Float[np.ndarray, " bands"], level_db: Float[np.ndarray, "windows bands"]) -> NarrowLevels:
    """`NarrowLevels` from the levels of the bands in each window."""
    level_db = _without_quiet_windows(level_db)
    around_db = _neighborhood(level_db)
    prominence_db = np.zeros(len(freq_hz))
    if len(level_db):
        prominence_db = np.percentile(level_db - around_db, _LOW_PERCENT, axis=0)
    inner, outer = _OTHERS
    padded = np.pad(prominence_db, outer, constant_values=_OUTSIDE_DB)
    highest = np.lib.stride_tricks.sliding_window_view(padded, outer - inner).max(axis=1)
    count = len(freq_hz)
    excess_db = prominence_db - np.maximum(highest[:count], highest[outer + inner + 1 :][:count])
    return NarrowLevels(freq_hz, prominence_db, excess_db, _correlation(level_db, around_db))


def _without_quiet_windows(level_db: Float[np.ndarray, "windows bands"]) -> Float[np.ndarray, "loud bands"]:
    loudness_db = np.median(level_db, axis=1)
    loud_db = np.percentile(loudness_db, 95.0) if len(loudness_db) else 0.0
    return level_db[loudness_db >= max(_SILENT_DB, loud_db - _QUIET_DB)]


def _neighborhood(level_db: Float[np.ndarray, "windows bands"]) -> Float[np.ndarray, "windows bands"]:
    """The median of the bands around each band."""
    padded = np.pad(level_db[:, ::_NEIGHBOR_STEP], ((0, 0), (_NEIGHBORS // 2, _NEIGHBORS // 2)), mode="edge")
    sparse_db = np.median(np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBORS, axis=1), axis=2)
    bands = np.arange(level_db.shape[1])
    return np.reshape([np.interp(bands, bands[::_NEIGHBOR_STEP], row) for row in sparse_db], level_db.shape)


def _correlation(level_db: np.ndarray, around_db: np.ndarray) -> Float[np.ndarray, " bands"]:
    level_db, around_db = (x - x.mean(axis=0) if len(x) else x for x in (level_db, around_db))
    spread = np.sqrt((level_db**2).sum(axis=0) * (around_db**2).sum(axis=0))
    return (level_db * around_db).sum(axis=0) / (spread + 1e-3)


@dataclasses.dataclass(frozen=True)
class _Zone:
    """Bins in which lines have one width. around: with a margin for the filters; inside: the bins within it."""

    bins: slice
    around: slice
    inside: slice
    line_bins: int


class NarrowLevelScan:
    """Collects `NarrowLevels`. Memory grows by 2 kB per second, over 25 minutes.

    Args:
        bin_hz: spacing of the bins of the windows' spectra.
        num_bins: their number.
        low_hz, high_hz: range of the bands, which ends below half the sample rate.
    """

    def __init__(self, bin_hz: float, num_bins: int, low_hz: float, high_hz: float):
        high_hz = min(high_hz, _HIGHEST * num_bins * bin_hz)
        self._freq_hz = low_hz * 2.0 ** np.arange(0.0, math.log2(high_hz / low_hz), 1.0 / _BANDS_PER_OCTAVE)
        half_hz = np.maximum(self._freq_hz * (2.0 ** (0.5 * _BAND_OCTAVES) - 1.0), bin_hz)
        self._edges = np.stack([self._freq_hz - half_hz, self._freq_hz + half_hz]) / bin_hz + 0.5
        self._num_bins = min(num_bins, math.ceil(self._edges[1, -1]) + 1)
        self._zones = [*_zones(low_hz, high_hz, bin_hz, self._num_bins)]
        self._levels: list[np.ndarray] = []
        self._num_windows, self._stride = 0, 1  # of the windows, the first of each `stride` counts

    def add(self, level_db: Float[np.ndarray, " all_bins"]) -> None:
        """Add the levels of a window's bins."""
        self._num_windows += 1
        if (self._num_windows - 1) % self._stride:
            return
        if len(self._levels) == _MAX_WINDOWS:  # an even number, so that this window counts with the new stride, too
            self._levels, self._stride = self._levels[::2], 2 * self._stride
        opened = level_db[: self._num_bins].copy()
        for zone in self._zones:
            lowest = -sliding_maximum(-level_db[zone.around], zone.line_bins)
            opened[zone.bins] = sliding_maximum(lowest, zone.line_bins)[zone.inside]
        sums = np.concatenate([[0.0], np.cumsum(opened, dtype=np.float64)])
        low, high = np.interp(self._edges, np.arange(len(sums)), sums)
        self._levels.append(((high - low) / (self._edges[1] - self._edges[0])).astype(np.float32))

    def result(self) -> NarrowLevels:
        """How the bands compare over the windows so far."""
        return compare_levels(self._freq_hz, np.array(self._levels, np.float32).reshape(-1, len(self._freq_hz)))


def _zones(low_hz: float, high_hz: float, bin_hz: float, num_bins: int):
    """The zones whose lines are wider than a bin."""
    for octave in np.arange(0.0, math.log2(high_hz / low_hz) + _ZONE_OCTAVES, _ZONE_OCTAVES):
        edges_hz = low_hz * 2.0 ** np.array([octave, octave + _ZONE_OCTAVES])
        first, stop = (int(x) for x in np.minimum(edges_hz / bin_hz, num_bins))
        line_bins = int(_LINE_SHARE * math.sqrt(edges_hz.prod()) / bin_hz) // 2 * 2 + 1
        start = max(0, first - 2 * line_bins)
        if first < stop and line_bins > 1:
            around = slice(start, stop + 2 * line_bins)
            yield _Zone(slice(first, stop), around, slice(first - start, stop - start), line_bins)
