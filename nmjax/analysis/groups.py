"""Groups beside each other: means with bootstrap intervals, and which differences are more than chance.

The unit is the track: tracks are drawn with replacement for intervals and exchanged between groups for tests. Tracks of
one album are more alike than two of a genre, so that what is significant here may be the album's and not the genre's.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from jaxtyping import Float

MIN_GROUP_TRACKS = 4  # tracks of a group that is compared
_NUM_BOOTSTRAP, _NUM_PERMUTATIONS = 2000, 4999
SIGNIFICANCE_LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class MeanInterval:
    """Of a group, with the ends of its 95 % interval; each `[columns]`."""

    mean: Float[np.ndarray, " columns"]
    ci_low: Float[np.ndarray, " columns"]
    ci_high: Float[np.ndarray, " columns"]


def comparable_groups(groups: np.ndarray) -> tuple[list[str], dict[str, int]]:
    """The groups that have enough tracks, by name, and the sizes of those that have not ("" is no group)."""
    sizes = Counter(str(g) for g in groups if g)
    return sorted(g for g in sizes if sizes[g] >= MIN_GROUP_TRACKS), {
        g: n for g, n in sorted(sizes.items()) if n < MIN_GROUP_TRACKS
    }


def bootstrap_mean(values: Float[np.ndarray, "tracks columns"], seed: int = 0) -> MeanInterval:
    """The mean over tracks with a percentile bootstrap's interval (SciPy's)."""
    from scipy.stats import bootstrap

    if len(values) < 2:
        return MeanInterval(values.mean(axis=0), *[np.full(values.shape[1], np.nan)] * 2)
    rng = np.random.default_rng(seed)
    result = bootstrap((values,), np.mean, n_resamples=_NUM_BOOTSTRAP, axis=0, method="percentile", rng=rng, batch=100)
    return MeanInterval(values.mean(axis=0), result.confidence_interval.low, result.confidence_interval.high)


@dataclasses.dataclass(frozen=True)
class PValues:
    """A column's p-values. plain: by itself. corrected: for all columns that were tested together."""

    uncorrected: Float[np.ndarray, " columns"]
    corrected: Float[np.ndarray, " columns"]


def permutation_f_test(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray, seed: int = 0) -> PValues:
    """Whether the groups' means of each column differ at all: a permutation test of the F ratio between groups.

    Corrected by the distribution of the largest ratio of all columns under the same permutations (Westfall and Young
    1993), which knows that bands go together.
    """
    from scipy.stats import permutation_test

    samples = [values[groups == g] for g in comparable_groups(groups)[0]]
    if len(samples) < 2:
        raise ValueError("there must be two groups to compare")
    result = permutation_test(
        samples, _f_ratio, permutation_type="independent", vectorized=True, n_resamples=_NUM_PERMUTATIONS, axis=0,
        alternative="greater", rng=np.random.default_rng(seed), batch=500,
    )  # fmt: skip
    return PValues(result.pvalue, _max_statistic_p_values(result.statistic, result.null_distribution))


def one_vs_rest_tests(
    values: Float[np.ndarray, "tracks columns"], groups: np.ndarray, seed: int = 0
) -> dict[str, PValues]:
    """Whether each group's mean of each column differs from that of all other tracks that are compared.

    Corrected for all columns (as `any_difference`) and for all groups (Bonferroni).
    """
    from scipy.stats import permutation_test

    names, p_values = comparable_groups(groups)[0], {}
    in_comparison = np.isin(groups, names)
    for name in names:
        samples = (values[groups == name], values[in_comparison & (groups != name)])
        result = permutation_test(
            samples, lambda a, b, axis: np.sqrt(_f_ratio(a, b, axis=axis)), permutation_type="independent",
            vectorized=True, n_resamples=_NUM_PERMUTATIONS, axis=0, alternative="greater", rng=np.random.default_rng(seed),
            batch=500,
        )  # fmt: skip
        corrected = _max_statistic_p_values(result.statistic, result.null_distribution)
        p_values[name] = PValues(result.pvalue, np.minimum(1.0, len(names) * corrected))
    return p_values


def _f_ratio(*samples: np.ndarray, axis: int) -> np.ndarray:
    """The variance between groups over that within; 0 where nothing varies."""
    sizes = [x.shape[axis] for x in samples]
    means = [x.mean(axis=axis) for x in samples]
    grand_mean = sum(n * m for n, m in zip(sizes, means, strict=True)) / sum(sizes)
    between = sum(n * (m - grand_mean) ** 2 for n, m in zip(sizes, means, strict=True)) / max(len(samples) - 1, 1)
    within = sum(x.var(axis=axis) * n for x, n in zip(samples, sizes, strict=True)) / max(sum(sizes) - len(sizes), 1)
    return np.where(within > 1e-20, between / np.maximum(within, 1e-20), 0.0)


def _max_statistic_p_values(observed: np.ndarray, null_distribution: np.ndarray) -> np.ndarray:
    """The share of permutations (and the data as they are) whose largest statistic is as large as each observed one."""
    largest = null_distribution.max(axis=1)
    tolerance_floor = observed[None] - 1e-9 * np.abs(observed[None])  # equal but for rounding counts as equal
    return (1 + np.sum(largest[:, None] >= tolerance_floor, axis=0)) / (1 + len(largest))


def omega_squared(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray) -> Float[np.ndarray, " columns"]:
    """ω²: the share of each column's variance that lies between the groups, bias taken off (Hays 1963), from 0 on."""
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
