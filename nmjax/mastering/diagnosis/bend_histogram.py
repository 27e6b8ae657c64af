"""How often cells of the waveform have which level of the highest frequencies, and how wide their spikes are then."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt16

STEP_DB = 0.5
_MIN_DB, _MAX_DB = -89.0, 10.0
EDGES_DB = np.arange(_MIN_DB, _MAX_DB, STEP_DB)
_BEND_GAIN = 6.0  # power of the second difference of white noise over that of the noise


class BendHistogram:
    """Counts of cells by the level of white noise with their second difference. Its memory does not grow.

    Attributes:
        num_cells: cells that are not silent, with levels outside the histogram, too.
        counts: cells between neighboring `EDGES_DB`.
        width_counts: of channels of these cells, by the width of their spikes in samples.

    Args:
        frames: of a cell.
    """

    def __init__(self, frames: int):
        self.num_cells, self._frames = 0, frames
        self.counts: Int[np.ndarray, " levels"] = np.zeros(len(EDGES_DB) - 1, np.int64)
        self.width_counts: Int[np.ndarray, "levels widths"] = np.zeros((len(self.counts), frames + 1), np.int64)

    def update(self, bend_power: Float[np.ndarray, " cells"], widths: UInt16[np.ndarray, "cells channel"]) -> None:
        """Add cells.

        Args:
            bend_power: mean square of the second difference.
            widths: of the spikes, at most the frames of a cell.
        """
        is_sound = bend_power > 0.0
        level_db = 10.0 * np.log10(bend_power[is_sound] / _BEND_GAIN)
        level = np.searchsorted(EDGES_DB, level_db, side="right") - 1
        is_inside = (level >= 0) & (level < len(self.counts))
        self.num_cells += len(level)
        level, inside_widths = level[is_inside], widths[is_sound][is_inside]
        self.counts += np.bincount(level, minlength=len(self.counts))
        pairs = (level[:, None] * (self._frames + 1) + inside_widths).ravel()
        self.width_counts += np.bincount(pairs, minlength=self.width_counts.size).reshape(self.width_counts.shape)

    def median_width(self, first: int, stop: int) -> float:
        """The median width of the spikes of cells in some of the levels, as a share of a cell."""
        total = np.cumsum(self.width_counts[first:stop].sum(axis=0))
        return float(np.searchsorted(total, 0.5 * total[-1])) / self._frames
