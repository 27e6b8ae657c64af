"""Least squares of a compressor's raw parameters: slopes, limits and starts."""

from functools import partial

import numpy as np
import pytest

from nmjax.reference.compressor_fit import (
    NUM_PARAMETERS,
    PARAMETERS,
    RATIO_INDEX,
    compressor_from_raw,
    fit_raw_parameters,
    raw_parameters,
    with_slopes,
)

MATRIX = np.random.default_rng(0).standard_normal((20, NUM_PARAMETERS)).astype(np.float32)
FREE = [i for i, row in enumerate(PARAMETERS) if row.name in ("threshold_db", "ratio", "attack_ms", "release_ms")]


def errors_of(goal):
    """Errors that are 0 at a goal, curved along every parameter."""
    return lambda raw: (np.tanh(0.3 * raw) - np.tanh(0.3 * np.asarray(goal))) @ MATRIX.T


def test_slopes_are_the_derivatives_by_the_parameters_that_are_fitted():
    raw = np.float32([0.5, -1.0, 0.3, 2.0, 0.0, 1.0])
    values, slopes = with_slopes(errors_of(np.zeros(NUM_PARAMETERS)), raw)
    expected = MATRIX.astype(np.float64) * (0.3 / np.cosh(0.3 * raw) ** 2)
    np.testing.assert_allclose(slopes, expected.T[FREE], atol=0.01)
    np.testing.assert_allclose(values, MATRIX @ np.tanh(0.3 * raw), atol=1e-5)


def test_the_fit_finds_the_goal_and_leaves_knee_and_make_up_gain():
    goal = np.array([1.5, -2.0, 0.5, 3.0, 0.0, 0.0])
    start = np.array([0.0, 0.0, 0.0, 0.0, 0.7, -0.4])
    goal[4:] = start[4:]
    errors = partial(with_slopes, errors_of(goal))
    found = fit_raw_parameters(errors, start, proximity_weight=1e-8)
    np.testing.assert_allclose(found, goal, atol=0.02)
    assert list(found[4:]) == list(start[4:])


def test_a_limit_holds_and_the_others_make_the_best_of_it():
    goal = np.array([1.0, -2.0, 0.5, 1.0, 0.0, 0.0])
    errors = partial(with_slopes, errors_of(goal))
    low = np.full(NUM_PARAMETERS, -6.0)
    low[RATIO_INDEX] = 0.0
    found = fit_raw_parameters(errors, np.zeros(NUM_PARAMETERS), 1e-8, low)
    assert found[RATIO_INDEX] == 0.0
    others = [i for i in FREE if i != RATIO_INDEX]
    gradient = np.asarray(errors(found)[1]) @ np.asarray(errors(found)[0])
    assert np.abs(gradient[[FREE.index(i) for i in others]]).max() < 0.05


def test_a_heavy_weight_keeps_the_start():
    errors = partial(with_slopes, errors_of(np.full(NUM_PARAMETERS, 2.0)))
    found = fit_raw_parameters(errors, np.ones(NUM_PARAMETERS), proximity_weight=1e6)
    np.testing.assert_allclose(found, 1.0, atol=1e-3)


def test_raw_parameters_and_settings_are_inverse():
    settings = compressor_from_raw(np.array([[0.5, 1.0, -1.0, 2.0, 0.0, 0.0]]))
    np.testing.assert_allclose(raw_parameters(settings)[:4], [0.5, 1.0, -1.0, 2.0], atol=1e-3)
    assert list(raw_parameters(None)) == [0.0] * NUM_PARAMETERS


def test_make_up_gain_stays_within_its_range():
    limit = PARAMETERS[-1].high
    assert float(compressor_from_raw(np.zeros((1, NUM_PARAMETERS)), 99.0).makeup_db[0]) == pytest.approx(limit)
