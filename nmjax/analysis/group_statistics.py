"""Statistics of groups of tracks: bootstrap intervals of means, permutation tests, effect sizes.

The unit is the track: tracks are resampled for intervals and permuted between groups for tests. Tracks of one album are
more alike than tracks of one genre, so a significant difference can be due to albums and not to genres.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

MIN_GROUP_TRACKS = 4  # smaller groups are not compared
_NUM_BOOTSTRAP, _NUM_PERMUTATIONS = 2000, 4999
SIGNIFICANCE_LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class MeanInterval:
    """The mean over a group with the ends of its 95 % confidence interval."""

    mean: Float[np.ndarray, " columns"]
    ci_low: Float[np.ndarray, " columns"]
    ci_high: Float[np.ndarray, " columns"]


def comparable_groups(groups: np.ndarray) -> tuple[list[str], dict[str, int]]:
    """The names of the groups with enough tracks, and the sizes of the smaller ones ("" is no group)."""
    sizes = Counter(str(g) for g in groups if g)
    return sorted(g for g in sizes if sizes[g] >= MIN_GROUP_TRACKS), {
        g: n for g, n in sorted(sizes.items()) if n < MIN_GROUP_TRACKS
    }


def bootstrap_mean(values: Float[np.ndarray, "tracks columns"], seed: int = 0) -> MeanInterval:
    """The mean over tracks with a percentile bootstrap interval; NaN bounds for a single track."""
    from scipy.stats import bootstrap

    if len(values) < 2:
        unknown = np.full(values.shape[1], np.nan)
        return MeanInterval(values.mean(axis=0), ci_low=unknown, ci_high=unknown)
    rng = np.random.default_rng(seed)
    result = bootstrap((values,), np.mean, n_resamples=_NUM_BOOTSTRAP, axis=0, method="percentile", rng=rng, batch=100)
    return MeanInterval(values.mean(axis=0), result.confidence_interval.low, result.confidence_interval.high)


@dataclasses.dataclass(frozen=True)
class PValues:
    """p-values of each column, uncorrected and corrected for all columns that are tested together."""

    uncorrected: Float[np.ndarray, " columns"]
    corrected: Float[np.ndarray, " columns"]


def permutation_f_test(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray, seed: int = 0) -> PValues:
    """Permutation test of the F ratio: do the means of the groups differ, in each column?

    Corrected by the distribution of the maximum over all columns under the same permutations (max-T, Westfall and Young
    1993), which accounts for correlation between bands.

    Raises:
        ValueError: fewer than two groups with enough tracks.
    """
    samples = [values[groups == g] for g in comparable_groups(groups)[0]]
    if len(samples) < 2:
        raise ValueError("there must be two groups to compare")
    return _permutation_test(samples, _f_ratio, seed)


def one_vs_rest_tests(
    values: Float[np.ndarray, "tracks columns"], groups: np.ndarray, seed: int = 0
) -> dict[str, PValues]:
    """Permutation tests of each group against all other compared tracks, in each column.

    Corrected for all columns as in `permutation_f_test`, and for the number of groups (Bonferroni).
    """
    names, p_values = comparable_groups(groups)[0], {}
    in_comparison = np.isin(groups, names)
    for name in names:
        samples = [values[groups == name], values[in_comparison & (groups != name)]]
        test = _permutation_test(samples, lambda a, b, axis: np.sqrt(_f_ratio(a, b, axis=axis)), seed)
        p_values[name] = PValues(test.uncorrected, np.minimum(1.0, len(names) * test.corrected))
    return p_values


def _permutation_test(samples: list[np.ndarray], statistic: Callable[..., np.ndarray], seed: int) -> PValues:
    """SciPy's test of independent samples, one-sided, with the max-T correction for the number of columns."""
    from scipy.stats import permutation_test

    result = permutation_test(
        samples,
        statistic,
        permutation_type="independent",
        vectorized=True,
        n_resamples=_NUM_PERMUTATIONS,
        axis=0,
        alternative="greater",
        rng=np.random.default_rng(seed),
        batch=500,
    )
    corrected = _max_statistic_p_values(np.asarray(result.statistic), result.null_distribution)
    return PValues(uncorrected=np.asarray(result.pvalue), corrected=corrected)


def _f_ratio(*samples: np.ndarray, axis: int) -> np.ndarray:
    """The variance between groups over that within groups; 0 where nothing varies within."""
    sizes = [x.shape[axis] for x in samples]
    means = [x.mean(axis=axis) for x in samples]
    grand_mean = sum(n * m for n, m in zip(sizes, means, strict=True)) / sum(sizes)
    between = sum(n * (m - grand_mean) ** 2 for n, m in zip(sizes, means, strict=True)) / max(len(samples) - 1, 1)
    within = sum(x.var(axis=axis) * n for x, n in zip(samples, sizes, strict=True)) / max(sum(sizes) - len(sizes), 1)
    return np.where(within > 1e-20, between / np.maximum(within, 1e-20), 0.0)


def _max_statistic_p_values(observed: np.ndarray, null_distribution: np.ndarray) -> np.ndarray:
    """The share of permutations, the identity included, whose maximum statistic is at least the observed one."""
    largest = null_distribution.max(axis=1)
    tolerance_floor = observed[None] - 1e-9 * np.abs(observed[None])  # equal up to rounding
    return (1 + np.sum(largest[:, None] >= tolerance_floor, axis=0)) / (1 + len(largest))


def omega_squared(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray) -> Float[np.ndarray, " columns"]:
    """ω², the bias-corrected share of each column's variance that is between groups, at least 0 (Hays 1963)."""
    names = comparable_groups(groups)[0]
    compared = values[np.isin(groups, names)]
    compared_groups = groups[np.isin(groups, names)]
    between = sum(
        np.sum(compared_groups == g) * (compared[compared_groups == g].mean(axis=0) - compared.mean(axis=0)) ** 2
        for g in names
    )
    total = np.sum((compared - compared.mean(axis=0)) ** 2, axis=0)
    within = (total - between) / max(len(compared) - len(names), 1)
    effect_size = (between - (len(names) - 1) * within) / np.maximum(total + within, 1e-20)
    return np.where(total > 1e-20, np.maximum(effect_size, 0.0), 0.0)
