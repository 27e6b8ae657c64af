"""The distance between responses: known values, invariance to gain, and its gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.losses import eq_response_loss


def test_known_values_and_invariance_to_a_gain():
    result = jnp.array([[1.0, -1.0, 1.0, -1.0], [3.0, 3.0, 3.0, 3.0]])
    assert eq_response_loss(result, jnp.zeros_like(result)) == 0.5
    assert eq_response_loss(result + 7.0, jnp.zeros_like(result)) == 0.5


def test_gradient_is_that_of_finite_differences_and_zero_at_equality():
    with jax.enable_x64(True):
        draw = np.random.default_rng(0)
        a, b = (jnp.asarray(draw.standard_normal((2, 5))) for _ in range(2))
        slope = np.asarray(jax.grad(eq_response_loss)(a, b))
        for position in np.ndindex(2, 5):
            step = np.zeros((2, 5))
            step[position] = 1e-6
            difference = (eq_response_loss(a + step, b) - eq_response_loss(a - step, b)) / 2e-6
            np.testing.assert_allclose(slope[position], difference, atol=1e-8)
        assert not np.any(np.asarray(jax.grad(eq_response_loss)(a, a)))
