"""The curve that undoes a saturator, as numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_MIN_CEILING_RISE_DB = 2.0


class Curve(NamedTuple):
    """Magnitudes, ascending, and what they become in the positive and in the negative half; full scale ±1."""

    levels: Float[np.ndarray, " points"]
    positive: Float[np.ndarray, " points"]
    negative: Float[np.ndarray, " points"]


def with_ceiling(
    curve: Curve, ceiling: Float[np.ndarray, "half channel"]
) -> tuple[Curve, Float[np.ndarray, "half channel"]]:
    """The curve below the levels at which peaks are cut off, and what these levels become.

    Where they rise by less than 2 dB, the clipper was a hard one, and the curve below them is straight.

    Args:
        curve: that undoes a saturator.
        ceiling: infinite where nothing is cut off.
    """
    is_cut = np.isfinite(ceiling)
    values = np.stack([
        np.interp(half, [0.0, *curve.levels], [0.0, *changed])
        for half, changed in zip(np.where(is_cut, ceiling, 0.0), (curve.positive, curve.negative), strict=True)
    ])  # fmt: skip
    rise_db = 20.0 * np.log10(values[is_cut] / ceiling[is_cut])
    if np.median(rise_db) < _MIN_CEILING_RISE_DB:
        return Curve(curve.levels, curve.levels, curve.levels), ceiling
    return curve, np.where(is_cut, values, np.inf)
