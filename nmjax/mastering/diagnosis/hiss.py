"""Hiss: steady broadband noise that remains when the music is quiet."""

from __future__ import annotations

import numpy as np

from nmjax.audio.units import power_to_db
from nmjax.mastering.diagnosis.bend_histogram import EDGES_DB, STEP_DB, BendHistogram
from nmjax.mastering.diagnosis.cells import CellStatistics
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.runtime.number_format import format_fixed

_CLUSTER_STEPS = 4  # 2 dB: levels of 3 ms of steady noise vary by about 0.8 dB
_DISTANCE_STEPS = 8  # 4 dB: below steady noise there is nothing, below music there always is something
_MIN_CLUSTER_RATIO = 60.0  # at most 31 on forty training songs, over 100 on most with hiss 40 dB below the music
_FLOOR_SHARE = 0.001  # of all cells: a fade-out may pass below the hiss
_MIN_CELLS = 3_000  # 9 s
_NOISE_WIDTH = (0.35, 0.65)  # share of samples over a quarter of the largest: a sine has 0.84, a pulse next to none
_MIN_RELATIVE_DB = -65.0  # to the music: less is masked
_MAX_RELATIVE_DB = -15.0  # more is part of the music
_WARNING_RELATIVE_DB = -50.0


def find_hiss(cells: CellStatistics) -> list[Finding]:
    """Steady noise, where the levels of the highest frequencies end abruptly toward the bottom.

    The second difference of the signal shows the highest frequencies. With hiss, many cells have its level, within
    2 dB, and hardly any cell is 3 to 5 dB lower.
    """
    bends = cells.bends
    floor = _floor(bends) if bends.num_cells >= _MIN_CELLS else None
    if floor is None:
        return []
    floor_db = float(EDGES_DB[floor] + 0.5 * STEP_DB * _CLUSTER_STEPS)
    width = bends.median_width(floor, floor + _CLUSTER_STEPS)
    if not _NOISE_WIDTH[0] <= width <= _NOISE_WIDTH[1]:
        return []
    relative_db = floor_db - power_to_db(float(cells.power.mean()))
    if not _MIN_RELATIVE_DB <= relative_db <= _MAX_RELATIVE_DB:
        return []
    return [
        Finding(
            name="hiss",
            value=floor_db,
            unit="dBFS",
            severity=Severity.WARNING if relative_db >= _WARNING_RELATIVE_DB else Severity.INFO,
            sentence=f"Steady hiss at {format_fixed(floor_db, 'dBFS', digits=0)} remains where the music is quiet.",
            remedy="Find the noisy track or plug-in and remove the noise there, before the mix is made louder.",
        )
    ]


def _floor(bends: BendHistogram) -> int | None:
    """The first level of the lowest cluster that ends abruptly; None where there is none."""
    sums = np.concatenate([[0], np.cumsum(bends.counts)])
    counts = sums[_CLUSTER_STEPS:] - sums[:-_CLUSTER_STEPS]  # within 2 dB above each edge
    ratio = counts[_DISTANCE_STEPS:] / (counts[:-_DISTANCE_STEPS] + _FLOOR_SHARE * bends.num_cells)
    best = int(np.argmax(ratio))
    return None if ratio[best] < _MIN_CLUSTER_RATIO else best + _DISTANCE_STEPS
