"""Gradient descent finds a minimum and returns the best iterate, not the last."""

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.reference.gradient_descent import minimize


def test_finds_the_minimum_of_a_quadratic():
    bottom = jnp.array([[1.0, -2.0], [0.5, 3.0]])
    position, cost = minimize(lambda x: jnp.sum((x - bottom) ** 2), jnp.zeros((2, 2)), 400, 0.1)
    np.testing.assert_allclose(position, bottom, atol=1e-2)
    assert float(cost) == pytest.approx(float(jnp.sum((position - bottom) ** 2)), abs=1e-6)


def test_returns_the_best_iterate():
    """The gradient leads away from the start, which has the least cost."""
    position, cost = minimize(lambda x: jnp.where(x[0] == 0.0, 0.0, 5.0) - x[0], jnp.zeros(1), 20, 0.1)
    assert (float(position[0]), float(cost)) == (0.0, 0.0)
