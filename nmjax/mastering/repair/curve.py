"""The curve that undoes a saturator, as numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.mastering.diagnosis.ceiling import Ceiling, CeilingStatistics, density_after

# Chosen on 27 training songs, confirmed on 23 of other packages: 6 s each, damaged by `nmjax.evaluation.damage`.
_HARD_RISE_DB = 0.4  # of the ceiling, for each unit of density: mostly below 0.25 behind hard clippers, above 0.4 else
_CUT_OFF_DENSITY = 1.7  # that the undone curve leaves at the ceiling: mostly 0.9 to 1.5 behind saturators


class Curve(NamedTuple):
    """Magnitudes, ascending, and what they become in the positive and in the negative half; full scale ±1."""

    levels: Float[np.ndarray, " points"]
    positive: Float[np.ndarray, " points"]
    negative: Float[np.ndarray, " points"]

    def undo(self, magnitudes: Float[np.ndarray, "half ..."]) -> Float[np.ndarray, "half ..."]:
        """What magnitudes become in each half; beyond the last point the curve continues with its last slope."""
        levels = np.array([0.0, *self.levels])
        beyond = np.maximum(magnitudes - levels[-1], 0.0)
        return np.stack([
            np.interp(magnitude, levels, [0.0, *values]) + (values[-1] - values[-2]) / (levels[-1] - levels[-2]) * over
            for magnitude, values, over in zip(magnitudes, (self.positive, self.negative), beyond, strict=True)
        ])  # fmt: skip


def with_ceiling(
    curve: Curve, statistics: CeilingStatistics, ceiling: Ceiling
) -> tuple[Curve, Float[np.ndarray, "half channel"]]:
    """The curve below the levels at which peaks are cut off, and what these levels become; infinite where none is.

    A clipper that is hard collects samples at its ceiling and bends little below it: where the curve raises the ceiling
    by little for its density, it is a straight line. One that is soft may bend and cut off: where the undone curve
    leaves no more samples at a ceiling than below it, nothing was cut off there.

    Args:
        curve: that undoes a saturator.
        statistics: of the signal.
        ceiling: of the same signal.
    """
    cut_levels = ceiling.cut_levels.T
    is_cut = np.isfinite(cut_levels)
    if not is_cut.any():
        return curve, cut_levels
    undone = curve.undo(np.where(is_cut, cut_levels, 0.0))
    rise_db = 20.0 * np.log10(undone[is_cut] / cut_levels[is_cut])
    if np.median(np.abs(rise_db)) < _HARD_RISE_DB * ceiling.density:
        return Curve(curve.levels, curve.levels, curve.levels), cut_levels
    is_cut_off = density_after(statistics, ceiling, curve.undo).T >= _CUT_OFF_DENSITY
    return curve, np.where(is_cut_off, undone, np.inf)
