"""From a table of errors to what can be said: ratios to the input's error with intervals by song, and who is worse."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

_BOOTSTRAP_SAMPLES = 2000
_INTERVAL_PERCENTILES = (2.5, 97.5)  # per cent


@dataclasses.dataclass(frozen=True)
class ErrorRatio:
    """A system's mean error over the input's: low and high are the ends of its 95 % interval, by song.

    worse: share of the items whose error grew. worse_by: by how much in the median there (0 if there are none).
    worst: mean change over the tenth of the items that fared worst. items: how many there are.
    """

    value: float
    ci_low: float
    ci_high: float
    worse_share: float
    worse_median: float
    worst_tenth_change: float
    num_examples: int


def error_ratio(
    error: Float[np.ndarray, " items"], input_error: Float[np.ndarray, " items"], songs: list[str], seed: int = 0
) -> ErrorRatio:
    """How a system's errors stand beside the input's on the same items; pairs with a NaN are left out.

    The interval is a percentile bootstrap (Efron 1979): songs are drawn with replacement, with all their items. No
    items at all give NaN.
    """
    usable = np.isfinite(error) & np.isfinite(input_error)
    error, input_error = error[usable], input_error[usable]
    if not len(error) or np.sum(input_error) == 0.0:
        return ErrorRatio(*[float("nan")] * 6, num_examples=len(error))
    _, song_index = np.unique(np.array(songs)[usable], return_inverse=True)
    sums = np.stack([np.bincount(song_index, x) for x in (error, input_error)])
    sampled = np.random.default_rng(seed).integers(sums.shape[1], size=(_BOOTSTRAP_SAMPLES, sums.shape[1]))
    system_sums, input_sums = sums[0][sampled].sum(axis=1), sums[1][sampled].sum(axis=1)
    low, high = np.percentile(system_sums / np.maximum(input_sums, 1e-300), _INTERVAL_PERCENTILES)
    change = error - input_error
    worse = change > 0.0
    worst_tenth = np.sort(change)[-max(1, len(change) // 10) :]
    return ErrorRatio(
        value=float(np.sum(error) / np.sum(input_error)),
        ci_low=float(low),
        ci_high=float(high),
        worse_share=float(np.mean(worse)),
        worse_median=float(np.median(change[worse])) if worse.any() else 0.0,
        worst_tenth_change=float(np.mean(worst_tenth)),
        num_examples=len(error),
    )
