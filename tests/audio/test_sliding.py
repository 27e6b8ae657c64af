"""Sliding windows against SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from nmjax.audio.sliding import medians_around, sliding_maximum, sliding_mean, step_maxima


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal(1000)


@pytest.mark.parametrize("size", [1, 3, 5, 31, 401])
def test_maximum_and_mean(values, size):
    np.testing.assert_array_equal(sliding_maximum(values, size), ndimage.maximum_filter1d(values, size))
    np.testing.assert_allclose(
        sliding_mean(values, size), ndimage.uniform_filter1d(values, size, mode="nearest"), atol=1e-12
    )


def test_maximum_of_several_columns(values):
    columns = values.reshape(250, 4)
    np.testing.assert_array_equal(sliding_maximum(columns, 7), ndimage.maximum_filter1d(columns, 7, axis=0))


def test_medians(values):
    index = np.array([0, 3, 500, 999])
    np.testing.assert_array_equal(
        medians_around(values, index, 21), ndimage.median_filter(values, 21, mode="nearest")[index]
    )
    assert medians_around(values, np.zeros(0, int), 21).shape == (0,)


def test_mean_of_nothing():
    assert sliding_mean(np.zeros(0), 7).shape == (0,)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 1000])
def test_step_maxima(values, count):
    values = np.abs(values[:count])
    expected = [values[i : i + 32].max() for i in range(0, count, 32)]
    np.testing.assert_array_equal(step_maxima(values, 32), expected)
