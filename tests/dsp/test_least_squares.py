"""The bounded fit against SciPy's."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from nmjax.dsp.least_squares import minimize_squares, predicted_cost

X = np.linspace(0.0, 4.0, 60)


def decay(params):
    """Residuals and Jacobian of a decaying oscillation with frequency 2, decay 0.7 and amplitude 1.5."""
    frequency, rate, amplitude = params
    envelope = np.exp(-rate * X)
    target = 1.5 * np.exp(-0.7 * X) * np.cos(2.0 * X)
    residuals = amplitude * envelope * np.cos(frequency * X) - target
    columns = [
        -amplitude * X * envelope * np.sin(frequency * X),
        -amplitude * X * envelope * np.cos(frequency * X),
        envelope * np.cos(frequency * X),
    ]
    return residuals, np.stack(columns, axis=1)


@pytest.mark.parametrize("high", [(9.0, 9.0, 9.0), (9.0, 0.5, 9.0), (1.8, 9.0, 1.2)])
def test_finds_scipys_minimum_within_bounds(high):
    start, low = np.array([1.7, 0.3, 1.0]), np.array([0.1, 0.0, 0.1])
    found = minimize_squares(decay, start, low, np.array(high)).params
    expected = least_squares(
        lambda x: decay(x)[0], start, jac=lambda x: decay(x)[1], bounds=(low, high), xtol=1e-14, ftol=1e-14, gtol=1e-14
    ).x
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert (found >= low).all() and (found <= high).all()


def test_a_start_beyond_the_bounds_is_moved_into_them():
    found = minimize_squares(decay, np.array([99.0, -5.0, 1.0]), np.zeros(3), np.full(3, 3.0)).params
    assert (found >= 0.0).all() and (found <= 3.0).all()


def test_the_cost_at_the_minimum_is_returned():
    params, cost = minimize_squares(decay, np.array([1.7, 0.3, 1.0]), np.zeros(3), np.full(3, 1.9))
    residuals, _ = decay(params)
    assert cost == pytest.approx(residuals @ residuals, rel=1e-12)


def test_the_predicted_cost_is_exact_where_the_residuals_are_linear():
    """Damping of a tenth along each of two independent directions leaves (0.1 / 1.1)² of the cost."""

    def linear(params):
        return 2.0 * params - np.array([4.0, 6.0]), 2.0 * np.eye(2)

    predicted = predicted_cost(linear, np.zeros(2), np.full(2, -9.0), np.full(2, 9.0))
    assert predicted == pytest.approx(52.0 * (0.1 / 1.1) ** 2)
    assert predicted_cost(linear, np.zeros(2), np.full(2, -9.0), np.ones(2)) == pytest.approx(2.0**2 + 4.0**2)
