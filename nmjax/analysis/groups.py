"""Groups beside each other: means with bootstrap intervals, and which differences are more than chance.

The unit is the track: tracks are drawn with replacement for intervals and exchanged between groups for tests. Tracks of
one album are more alike than two of a genre, so that what is significant here may be the album's and not the genre's.
"""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
from jaxtyping import Float

LEAST = 4  # tracks of a group that is compared
_DRAWN, _PERMUTED = 2000, 4999
SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class Mean:
    """Of a group, with the ends of its 95 % interval; each `[columns]`."""

    value: Float[np.ndarray, "columns"]
    low: Float[np.ndarray, "columns"]
    high: Float[np.ndarray, "columns"]


def comparable(groups: np.ndarray) -> tuple[list[str], dict[str, int]]:
    """The groups that have enough tracks, by name, and the sizes of those that have not ("" is no group)."""
    sizes = Counter(str(g) for g in groups if g)
    return sorted(g for g in sizes if sizes[g] >= LEAST), {g: n for g, n in sorted(sizes.items()) if n < LEAST}


def mean_of(values: Float[np.ndarray, "tracks columns"], seed: int = 0) -> Mean:
    """The mean over tracks with a percentile bootstrap's interval (SciPy's)."""
    from scipy.stats import bootstrap

    if len(values) < 2:
        return Mean(values.mean(axis=0), *[np.full(values.shape[1], np.nan)] * 2)
    draw = np.random.default_rng(seed)
    ends = bootstrap((values,), np.mean, n_resamples=_DRAWN, axis=0, method="percentile", rng=draw, batch=100)
    return Mean(values.mean(axis=0), ends.confidence_interval.low, ends.confidence_interval.high)


@dataclasses.dataclass(frozen=True)
class Test:
    """A column's p-values. plain: by itself. corrected: for all columns that were tested together."""

    plain: Float[np.ndarray, "columns"]
    corrected: Float[np.ndarray, "columns"]


def any_difference(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray, seed: int = 0) -> Test:
    """Whether the groups' means of each column differ at all: a permutation test of the F ratio between groups.

    Corrected by the distribution of the largest ratio of all columns under the same permutations (Westfall and Young
    1993), which knows that bands go together.
    """
    from scipy.stats import permutation_test

    samples = [values[groups == g] for g in comparable(groups)[0]]
    if len(samples) < 2:
        raise ValueError("there must be two groups to compare")
    found = permutation_test(
        samples, _f_ratio, permutation_type="independent", vectorized=True, n_resamples=_PERMUTED, axis=0,
        alternative="greater", rng=np.random.default_rng(seed), batch=500,
    )  # fmt: skip
    return Test(found.pvalue, _beside_largest(found.statistic, found.null_distribution))


def against_rest(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray, seed: int = 0) -> dict[str, Test]:
    """Whether each group's mean of each column differs from that of all other tracks that are compared.

    Corrected for all columns (as `any_difference`) and for all groups (Bonferroni).
    """
    from scipy.stats import permutation_test

    names, found = comparable(groups)[0], {}
    compared = np.isin(groups, names)
    for name in names:
        samples = (values[groups == name], values[compared & (groups != name)])
        result = permutation_test(
            samples, lambda a, b, axis: np.sqrt(_f_ratio(a, b, axis=axis)), permutation_type="independent",
            vectorized=True, n_resamples=_PERMUTED, axis=0, alternative="greater", rng=np.random.default_rng(seed),
            batch=500,
        )  # fmt: skip
        corrected = _beside_largest(result.statistic, result.null_distribution)
        found[name] = Test(result.pvalue, np.minimum(1.0, len(names) * corrected))
    return found


def _f_ratio(*samples: np.ndarray, axis: int) -> np.ndarray:
    """The variance between groups over that within; 0 where nothing varies."""
    sizes = [x.shape[axis] for x in samples]
    means = [x.mean(axis=axis) for x in samples]
    whole = sum(n * m for n, m in zip(sizes, means, strict=True)) / sum(sizes)
    between = sum(n * (m - whole) ** 2 for n, m in zip(sizes, means, strict=True)) / max(len(samples) - 1, 1)
    within = sum(x.var(axis=axis) * n for x, n in zip(samples, sizes, strict=True)) / max(sum(sizes) - len(sizes), 1)
    return np.where(within > 1e-20, between / np.maximum(within, 1e-20), 0.0)


def _beside_largest(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """The share of permutations (and the data as they are) whose largest statistic is as large as each observed one."""
    largest = null.max(axis=1)
    near = observed[None] - 1e-9 * np.abs(observed[None])  # equal but for rounding counts as equal
    return (1 + np.sum(largest[:, None] >= near, axis=0)) / (1 + len(largest))


def explained(values: Float[np.ndarray, "tracks columns"], groups: np.ndarray) -> Float[np.ndarray, "columns"]:
    """ω²: the share of each column's variance that lies between the groups, bias taken off (Hays 1963), from 0 on."""
    names = comparable(groups)[0]
    kept = values[np.isin(groups, names)]
    own = groups[np.isin(groups, names)]
    between = sum(np.sum(own == g) * (kept[own == g].mean(axis=0) - kept.mean(axis=0)) ** 2 for g in names)
    total = np.sum((kept - kept.mean(axis=0)) ** 2, axis=0)
    within = (total - between) / max(len(kept) - len(names), 1)
    share = (between - (len(names) - 1) * within) / np.maximum(total + within, 1e-20)
    return np.where(total > 1e-20, np.maximum(share, 0.0), 0.0)
