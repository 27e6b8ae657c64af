"""Ratios and their intervals where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmjax.evaluation.statistics import ratio


def test_a_constant_ratio_has_no_width():
    before = np.random.default_rng(0).uniform(1, 3, 40)
    found = ratio(0.8 * before, before, [f"song {i // 2}" for i in range(40)])
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.8, 0.8))
    assert (found.worse, found.worse_by, found.items) == (0.0, 0.0, 40)


def test_who_is_worse_and_by_how_much():
    before = np.ones(10)
    error = np.array([0.5] * 7 + [1.1, 1.3, 1.6])
    found = ratio(error, before, [str(i) for i in range(10)])
    assert found.value == pytest.approx(0.75)
    assert found.worse == pytest.approx(0.3)
    assert found.worse_by == pytest.approx(0.3)
    assert found.worst == pytest.approx(0.6)


def test_the_interval_is_by_song_and_not_by_item():
    """Twenty items of each of five songs are five facts: the interval is as wide as with one item a song."""
    draw = np.random.default_rng(3)
    effect = draw.uniform(0.5, 1.5, 5)
    one = ratio(effect, np.ones(5), list("abcde"))
    many = ratio(np.repeat(effect, 20), np.ones(100), [s for s in "abcde" for _ in range(20)])
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=1e-9)
    assert one.low < one.value < one.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    draw, hits = np.random.default_rng(1), 0
    for trial in range(200):
        error = draw.gamma(4.0, 0.25, 40)  # mean 1
        found = ratio(error, np.ones(40), [str(i) for i in range(40)], seed=trial)
        hits += found.low <= 1.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_nan_pairs_are_left_out_and_nothing_gives_nan():
    found = ratio(np.array([1.0, np.nan]), np.array([2.0, 1.0]), ["a", "b"])
    assert (found.value, found.items) == (0.5, 1)
    assert math.isnan(ratio(np.array([np.nan]), np.array([1.0]), ["a"]).value)
