"""The cost of filters: its Jacobian against finite differences, its terms by hand, the response by SciPy."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.filter_cost import FilterCost, TargetCurve, to_filters
from nmjax.reference.limits import NO_LIMITS, ResponseLimits
from nmjax.reference.peaking_response import Filters, peaking_response
from tests.dsp.oracles import peaking_sos

RNG = np.random.default_rng(4)
TARGET = TargetCurve(CENTERS_HZ, 6.0 * RNG.standard_normal(NUM_BANDS), RNG.uniform(0.2, 2.0, NUM_BANDS))
SHARES = np.full(NUM_BANDS, 0.5 / NUM_BANDS)
LIMITS = ResponseLimits(1.0, 2.0, 3.0, SHARES, 0.5 * SHARES, min_bass_db=-1.0, lowest_hz=40.0, highest_hz=9_000.0)
FILTERS = Filters(
    freq_hz=np.array([45.0, 48.0, 300.0, 2_000.0, 7_000.0, 12_000.0]),
    gain_db=np.array([5.0, -7.0, 0.03, 9.0, -11.0, 4.0]),
    q=np.array([0.6, 1.0, 3.0, 1.4, 2.0, 4.5]),
)
PARAMS = np.concatenate([np.log(FILTERS.freq_hz), FILTERS.gain_db, np.log(FILTERS.q)])


@pytest.mark.parametrize("limits", [NO_LIMITS, LIMITS, NO_LIMITS._replace(highest_hz=9_000.0)])
def test_the_jacobian_is_that_of_finite_differences(limits):
    cost = FilterCost(TARGET, 0.02, limits)
    steps = 1e-6 * np.eye(len(PARAMS))
    expected = [(cost.residuals(PARAMS + step)[0] - cost.residuals(PARAMS - step)[0]) / 2e-6 for step in steps]
    np.testing.assert_allclose(cost.residuals(PARAMS)[1], np.stack(expected, axis=1), atol=2e-6)


def test_the_response_is_scipys():
    sections = np.stack([peaking_sos(*row, 44_100) for row in zip(*FILTERS, strict=True)])
    expected = 20 * np.log10(np.abs(sosfreqz(sections, CENTERS_HZ, fs=44_100)[1]))
    np.testing.assert_allclose(peaking_response(FILTERS, CENTERS_HZ).response_db, expected, atol=1e-9)


def test_the_cost_is_the_residual_and_what_gains_and_neighbors_cost():
    cost = FilterCost(TARGET, 0.02, NO_LIMITS)
    residuals, _ = cost.residuals(PARAMS)
    error = np.average(cost.residual_db(FILTERS) ** 2, weights=TARGET.weight)
    gains = np.sum(np.sqrt(FILTERS.gain_db**2 + 0.01) - 0.1) + np.sum(np.log(FILTERS.q) ** 2 / 4)
    closeness = (1 - np.log2(48.0 / 45.0) / (1.3 / 6)) ** 2
    assert residuals @ residuals == pytest.approx(error + 0.02 * gains + 2.0 * closeness, rel=1e-9)
    assert np.average(cost.residual_db(FILTERS), weights=TARGET.weight) == pytest.approx(0.0, abs=1e-9)


def test_the_fit_is_better_than_predicted_starts_and_in_the_ranges():
    cost = FilterCost(TARGET, 0.02, LIMITS)
    fitted = cost.minimize(FILTERS, 1e-6)
    assert fitted.cost < cost.minimize(FILTERS, 0.5).cost
    assert fitted.filters.freq_hz.min() >= 19.99 and fitted.filters.freq_hz.max() <= 20_001.0
    assert np.abs(fitted.filters.gain_db).max() <= 12.0
    assert fitted.filters.q.min() >= 0.4999 and fitted.filters.q.max() <= 5.001
    np.testing.assert_allclose(to_filters(PARAMS).q, FILTERS.q)


def test_a_fit_of_filters_imports_no_jax():
    script = (
        "import sys, numpy as np; from nmjax.dsp import Bands; from nmjax.reference.eq_fit import fit_bands; "
        "from nmjax.reference.bands import CENTERS_HZ as hz; from nmjax.reference import side_eq, target_eq; "
        "from nmjax.reference.limits import ResponseLimits; "
        "flat, weight = Bands(*np.array([[[1e3]], [[0.0]], [[1.0]]])), np.ones(len(hz)); "
        "bands = fit_bands(flat, hz, 3 * np.sin(np.log(hz)), weight, 0.02, limits=ResponseLimits(3.0, 6.0)); "
        "print(bands.q.shape[1] > 1, 'jax' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert result.stdout == "True False\n", result.stderr
