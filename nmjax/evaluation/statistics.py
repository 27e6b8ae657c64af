"""Error ratios with bootstrap confidence intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_BOOTSTRAP_SAMPLES = 2000
_INTERVAL_PERCENTILES = (2.5, 97.5)


@dataclasses.dataclass(frozen=True)
class ErrorRatio:
    """A system's mean error over that of the input or of another system, on the same examples.

    Attributes:
        value: the ratio.
        ci_low: lower end of its 95 % confidence interval.
        ci_high: upper end.
        worse_share: share of the examples whose error increases.
        worse_median: median increase over these examples; 0 if there are none.
        worst_tenth_change: mean change over the tenth of the examples with the largest increase.
        num_examples: number of examples.
    """

    value: float
    ci_low: float
    ci_high: float
    worse_share: float
    worse_median: float
    worst_tenth_change: float
    num_examples: int


def error_ratio(
    error: Float[np.ndarray, " examples"],
    base_error: Float[np.ndarray, " examples"],
    songs: Sequence[str],
    seed: int = 0,
) -> ErrorRatio:
    """Ratio of two mean errors, with a percentile bootstrap over songs (Efron 1979).

    Songs are drawn with replacement, each with all its examples.

    Args:
        error: the system's errors; pairs with a NaN are ignored.
        base_error: errors of the input, or of another system, on the same examples.
        songs: song of each example.
        seed: of the bootstrap.

    Returns:
        NaN everywhere if there are no examples.
    """
    usable = np.isfinite(error) & np.isfinite(base_error)
    error, base_error = error[usable], base_error[usable]
    if not len(error) or np.sum(base_error) == 0.0:
        unknown = ("value", "ci_low", "ci_high", "worse_share", "worse_median", "worst_tenth_change")
        return ErrorRatio(**dict.fromkeys(unknown, math.nan), num_examples=len(error))
    _, song_index = np.unique(np.array(songs)[usable], return_inverse=True)
    sums = np.stack([np.bincount(song_index, x) for x in (error, base_error)])
    sampled = np.random.default_rng(seed).integers(sums.shape[1], size=(_BOOTSTRAP_SAMPLES, sums.shape[1]))
    system_sums, base_sums = sums[0][sampled].sum(axis=1), sums[1][sampled].sum(axis=1)
    low, high = np.percentile(system_sums / np.maximum(base_sums, 1e-300), _INTERVAL_PERCENTILES)
    change = error - base_error
    worse = change > 0.0
    worst_tenth = np.sort(change)[-max(1, len(change) // 10) :]
    return ErrorRatio(
        value=float(np.sum(error) / np.sum(base_error)),
        ci_low=float(low),
        ci_high=float(high),
        worse_share=float(np.mean(worse)),
        worse_median=float(np.median(change[worse])) if worse.any() else 0.0,
        worst_tenth_change=float(np.mean(worst_tenth)),
        num_examples=len(error),
    )
