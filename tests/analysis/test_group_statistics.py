"""Statistics of groups with known differences, against SciPy and against all permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from nmjax.analysis.group_statistics import (
    bootstrap_mean,
    comparable_groups,
    omega_squared,
    one_vs_rest_tests,
    permutation_f_test,
)


def group_values(effect: float, seed: int = 0):
    draw = np.random.default_rng(seed)
    groups = np.repeat(["a", "b", "c"], 12)
    values = draw.standard_normal((36, 6))
    values[groups == "b", 2] += effect
    return values, groups


def test_the_band_and_the_group_that_differ_are_found():
    values, groups = group_values(3.0)
    result = permutation_f_test(values, groups)
    assert result.corrected[2] < 0.01
    assert np.all(np.delete(result.corrected, 2) > 0.05)
    assert np.all(result.corrected >= result.uncorrected - 1e-12)
    vs_rest = one_vs_rest_tests(values, groups)
    assert vs_rest["b"].corrected[2] < 0.01
    assert vs_rest["a"].corrected[[0, 1, 3, 4, 5]].min() > 0.05


def test_the_false_positive_rate_is_that_of_the_significance_level():
    """Of 30 collections without differences, 5 % may have a significant one in any of six bands."""
    positives = sum(
        permutation_f_test(*group_values(0.0, seed), seed=seed).corrected.min() < 0.05 for seed in range(30)
    )
    assert positives <= 5  # binomial: more with a probability of 0.3 %


def test_the_uncorrected_p_value_matches_all_permutations():
    values = np.array([1.0, 2.5, 0.3, 4.0, 2.2, 3.1, 5.0, 0.9])
    groups = np.array(list("aaaabbbb"))
    observed = stats.f_oneway(values[:4], values[4:]).statistic
    ratios = []
    for chosen in itertools.combinations(range(8), 4):
        rest = [i for i in range(8) if i not in chosen]
        ratios.append(stats.f_oneway(values[list(chosen)], values[rest]).statistic)
    exact = np.mean(np.array(ratios) >= observed - 1e-9)
    assert permutation_f_test(values[:, None], groups).uncorrected[0] == pytest.approx(exact, abs=0.02)


def test_a_constant_band_is_not_a_difference():
    values, groups = group_values(0.0)
    values[:, 0] = 1.0
    result = permutation_f_test(values, groups)
    assert result.corrected[0] == 1.0
    assert omega_squared(values, groups)[0] == 0.0


def test_the_interval_of_a_mean_is_close_to_the_normal_one():
    values = np.random.default_rng(1).standard_normal((60, 2)) + np.array([0.0, 5.0])
    result = bootstrap_mean(values)
    half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(60)
    np.testing.assert_allclose(result.mean, values.mean(axis=0))
    np.testing.assert_allclose(result.ci_high - result.ci_low, 2 * half, rtol=0.12)
    assert np.all((result.ci_low < result.mean) & (result.mean < result.ci_high))


def test_one_track_has_a_mean_and_no_interval():
    result = bootstrap_mean(np.array([[1.0, 2.0]]))
    assert list(result.mean) == [1.0, 2.0]
    assert np.isnan(result.ci_low).all()


def test_omega_squared_matches_the_formula():
    """ω² from SciPy's F: (F − 1)·(k − 1) / (F·(k − 1) + n − k + 1)."""
    values, groups = group_values(2.0)
    f = np.array([stats.f_oneway(*(values[groups == g, c] for g in "abc")).statistic for c in range(6)])
    expected = np.maximum(0.0, 2 * (f - 1) / (2 * f + 36 - 3 + 1))
    np.testing.assert_allclose(omega_squared(values, groups), expected, atol=1e-12)


def test_small_groups_are_named_and_no_group_is_none():
    names, small = comparable_groups(np.array(["b"] * 4 + ["a"] * 5 + ["c"] * 3 + [""] * 9))
    assert names == ["a", "b"]
    assert small == {"c": 3}
