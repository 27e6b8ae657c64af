"""From a table of errors to what can be said: ratios to the input's error with intervals by song, and who is worse."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

_RESAMPLED = 2000
_INTERVAL = (2.5, 97.5)  # per cent


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A system's mean error over the input's: low and high are the ends of its 95 % interval, by song.

    worse: share of the items whose error grew. worse_by: by how much in the median there (0 if there are none).
    worst: mean change over the tenth of the items that fared worst. items: how many there are.
    """

    value: float
    low: float
    high: float
    worse: float
    worse_by: float
    worst: float
    items: int


def ratio(
    error: Float[np.ndarray, "items"], before: Float[np.ndarray, "items"], songs: list[str], seed: int = 0
) -> Ratio:
    """How a system's errors stand beside the input's on the same items; pairs with a NaN are left out.

    The interval is a percentile bootstrap (Efron 1979): songs are drawn with replacement, with all their items. No
    items at all give NaN.
    """
    usable = np.isfinite(error) & np.isfinite(before)
    error, before = error[usable], before[usable]
    if not len(error) or np.sum(before) == 0.0:
        return Ratio(*[float("nan")] * 6, items=len(error))
    _, song = np.unique(np.array(songs)[usable], return_inverse=True)
    sums = np.stack([np.bincount(song, x) for x in (error, before)])
    drawn = np.random.default_rng(seed).integers(sums.shape[1], size=(_RESAMPLED, sums.shape[1]))
    above, below = sums[0][drawn].sum(axis=1), sums[1][drawn].sum(axis=1)
    low, high = np.percentile(above / np.maximum(below, 1e-300), _INTERVAL)
    change = error - before
    worse = change > 0.0
    tenth = np.sort(change)[-max(1, len(change) // 10) :]
    return Ratio(
        value=float(np.sum(error) / np.sum(before)),
        low=float(low),
        high=float(high),
        worse=float(np.mean(worse)),
        worse_by=float(np.median(change[worse])) if worse.any() else 0.0,
        worst=float(np.mean(tenth)),
        items=len(error),
    )
