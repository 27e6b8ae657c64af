"""The cost of filters as a sum of squares: its terms by plain formulas and SciPy, its slopes by finite differences."""

import dataclasses

import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.filter_fit import FilterCost, Filters, filters_from_params
from nmjax.reference.limits import NO_LIMITS, ResponseLimits
from tests.dsp.oracles import peaking_sos

FILTERS = Filters(
    np.array([45.0, 700.0, 780.0, 9000.0]), np.array([9.0, -6.0, 0.05, 7.0]), np.array([0.7, 2.0, 1.0, 0.9])
)
TARGET_DB = 5.0 * np.sin(np.arange(NUM_BANDS) / 5.0)
WEIGHT = np.linspace(0.5, 2.0, NUM_BANDS)
SHARE = np.full(NUM_BANDS, 0.5 / NUM_BANDS)
LIMITS = {
    "none": NO_LIMITS,
    "of gains": ResponseLimits(3.0, 6.0, cut_db=4.0, mid_share=SHARE, side_share=SHARE),
    "of the bass": ResponseLimits(np.inf, np.inf, min_bass_db=-1.0),
    "of empty ranges": ResponseLimits(3.0, 6.0, lowest_hz=60.0, highest_hz=7000.0),
}


def cost(limits=NO_LIMITS, gain_penalty=0.02):
    return FilterCost(CENTERS_HZ, TARGET_DB, WEIGHT, gain_penalty, limits)


def curve_db(filters, freq_hz):
    sections = np.stack([peaking_sos(*row, 44_100) for row in np.stack(filters, axis=1)])
    return 20 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=44_100)[1]))


@pytest.mark.parametrize("limits", LIMITS.values(), ids=list(LIMITS))
def test_slopes_are_those_of_finite_differences(limits):
    objective, params = cost(limits), FILTERS.params()
    errors, jacobian = objective.errors_and_jacobian(params)
    for i in range(len(params)):
        step = np.zeros_like(params)
        step[i] = 1e-6
        above, below = (objective.errors_and_jacobian(params + x)[0] for x in (step, -step))
        np.testing.assert_allclose((above - below) / 2e-6, jacobian[:, i], atol=1e-5)
    assert len(errors) == len(jacobian)


def test_the_cost_is_the_weighted_residual_and_the_penalties():
    residual = TARGET_DB - curve_db(FILTERS, CENTERS_HZ)
    residual -= np.average(residual, weights=WEIGHT)
    gains = np.sum(np.sqrt(FILTERS.gain_db**2 + 0.01) - 0.1)
    distance = np.log2(780.0 / 700.0) / (1.3 / 6.0)
    expected = (
        np.average(residual**2, weights=WEIGHT)
        + 0.02 * (gains + 4 * 0.3 + np.sum(np.log(FILTERS.q) ** 2) / 4)
        + 2.0 * (1 - distance) ** 2
    )
    assert cost().of(FILTERS) == pytest.approx(expected, rel=1e-9)


def test_a_response_beyond_its_limits_costs():
    inside = Filters(np.array([1000.0]), np.array([4.0]), np.array([1.0]))
    objective = cost(ResponseLimits(3.0, 6.0), gain_penalty=0.0)
    assert objective.of(inside) == pytest.approx(cost(gain_penalty=0.0).of(inside))
    loud = inside._replace(gain_db=np.array([9.0]))
    points_hz = np.concatenate([CENTERS_HZ, [12.0, 15.0, 18.0, 21.0, 16_000.0, 18_000.0, 20_000.0, 1000.0]])
    excess_db = np.maximum(curve_db(loud, points_hz) - np.where(points_hz < 60.0, 3.0, 6.0) + 0.45, 0.0)
    expected = cost(gain_penalty=0.0).of(loud) + 30.0 * np.mean(excess_db**2)
    assert objective.of(loud) == pytest.approx(expected, rel=1e-6)


def test_optimized_filters_are_a_minimum_within_their_ranges():
    objective = dataclasses.replace(cost(), target_db=curve_db(FILTERS, CENTERS_HZ) * 3.0)
    start = Filters(FILTERS.freq_hz * 1.1, np.zeros(4), np.ones(4))
    fit = objective.optimize(start, 60)
    assert np.abs(fit.filters.gain_db).max() <= 12.0 and fit.filters.q.min() >= 0.5 and fit.filters.q.max() <= 5.0
    rng, params = np.random.default_rng(0), fit.filters.params()
    nearby = [params + 0.05 * rng.standard_normal(len(params)) for _ in range(200)]
    low, high = np.array([12.0, 12.0, 5.0]), np.array([-12.0, -12.0, 0.5])
    costs = [
        objective.of(filters_from_params(x))
        for x in nearby
        if np.all(np.abs(x[4:8]) <= low[1]) and np.all((np.exp(x[8:]) >= high[2]) & (np.exp(x[8:]) <= low[2]))
    ]
    assert costs and fit.cost < objective.of(start) and fit.cost <= 1.001 * min(costs)
    np.testing.assert_allclose(fit.residual_db @ WEIGHT, 0.0, atol=1e-9)
