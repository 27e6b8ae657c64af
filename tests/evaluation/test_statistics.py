"""Error ratios and their confidence intervals for known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmjax.evaluation.statistics import error_ratio


def test_a_constant_ratio_has_an_interval_of_zero_width():
    before = np.random.default_rng(0).uniform(1, 3, 40)
    result = error_ratio(0.8 * before, before, [f"song {i // 2}" for i in range(40)])
    assert (result.value, result.ci_low, result.ci_high) == pytest.approx((0.8, 0.8, 0.8))
    assert (result.worse_share, result.worse_median, result.num_examples) == (0.0, 0.0, 40)


def test_share_and_size_of_increased_errors():
    before = np.ones(10)
    error = np.array([0.5] * 7 + [1.1, 1.3, 1.6])
    result = error_ratio(error, before, [str(i) for i in range(10)])
    assert result.value == pytest.approx(0.75)
    assert result.worse_share == pytest.approx(0.3)
    assert result.worse_median == pytest.approx(0.3)
    assert result.worst_tenth_change == pytest.approx(0.6)


def test_the_bootstrap_is_over_songs_and_not_over_examples():
    """Twenty equal examples of each of five songs give the interval of one example of each."""
    rng = np.random.default_rng(3)
    effect = rng.uniform(0.5, 1.5, 5)
    one = error_ratio(effect, np.ones(5), list("abcde"))
    many = error_ratio(np.repeat(effect, 20), np.ones(100), [s for s in "abcde" for _ in range(20)])
    assert many.ci_high - many.ci_low == pytest.approx(one.ci_high - one.ci_low, rel=1e-9)
    assert one.ci_low < one.value < one.ci_high


def test_the_interval_covers_the_true_ratio_with_its_nominal_frequency():
    rng, hits, trials = np.random.default_rng(1), 0, 100
    for trial in range(trials):
        error = rng.gamma(4.0, 0.25, 40)  # mean 1
        result = error_ratio(error, np.ones(40), [str(i) for i in range(40)], seed=trial)
        hits += result.ci_low <= 1.0 <= result.ci_high
    assert 0.88 <= hits / trials <= 0.99


def test_nan_pairs_are_left_out_and_nothing_gives_nan():
    result = error_ratio(np.array([1.0, np.nan]), np.array([2.0, 1.0]), ["a", "b"])
    assert (result.value, result.num_examples) == (0.5, 1)
    assert math.isnan(error_ratio(np.array([np.nan]), np.array([1.0]), ["a"]).value)
