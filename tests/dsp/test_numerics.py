"""Values and gradients where the plain formulas have no finite ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.numerics import amplitude_to_db, db_to_amplitude, safe_log, safe_sqrt, smooth_abs

X = jnp.array([0.0, 1e-12, 1e-6, 0.02, 0.5, 1.0, 40.0])


def gradients(function, x):
    return jax.grad(lambda x: jnp.sum(function(x)))(x)


def test_safe_sqrt_is_the_root_and_flat_at_0():
    np.testing.assert_allclose(safe_sqrt(X), np.sqrt(X), rtol=1e-6)
    np.testing.assert_allclose(gradients(safe_sqrt, X)[1:], 0.5 / np.sqrt(X[1:]), rtol=1e-6)
    assert gradients(safe_sqrt, X)[0] == 0.0


@pytest.mark.parametrize(
    "function, plain, slope",
    [(safe_sqrt, np.sqrt, lambda x: 0.5 / np.sqrt(x)), (safe_log, np.log, lambda x: 1.0 / x)],
    ids=["sqrt", "log"],
)
def test_a_floor_clamps_the_value_and_stops_the_gradient(function, plain, slope):
    floor, x = 1e-4, np.asarray(X, np.float64)
    np.testing.assert_allclose(function(X, floor), plain(np.maximum(x, floor)), rtol=1e-6)
    expected = np.where(x > floor, slope(np.maximum(x, floor)), 0.0)
    np.testing.assert_allclose(gradients(lambda x: function(x, floor), X), expected, rtol=1e-6)


def test_smooth_abs_is_the_rounded_absolute_value():
    x = np.concatenate([-np.asarray(X, np.float64)[:0:-1], np.asarray(X, np.float64)])
    reference = np.sqrt(x * x + 0.01) - 0.1
    np.testing.assert_allclose(smooth_abs(jnp.asarray(x, jnp.float32)), reference, rtol=1e-5, atol=1e-16)
    np.testing.assert_allclose(gradients(smooth_abs, jnp.asarray(x, jnp.float32)), x / np.sqrt(x * x + 0.01), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(jax.grad(smooth_abs))(0.0), 10.0, rtol=1e-6)  # 1/width


def test_smooth_abs_keeps_the_digits_of_small_values():
    """x²/(2·width) for x far below the width; √(x² + width²) − width would give 0 in float32."""
    np.testing.assert_allclose(smooth_abs(jnp.array(1e-6)), 5e-12, rtol=1e-5)


def test_decibels_and_amplitude_are_inverse():
    gains = jnp.array([-120.0, -6.0206, 0.0, 12.0])
    np.testing.assert_allclose(db_to_amplitude(gains), 10.0 ** (np.asarray(gains, np.float64) / 20.0), rtol=1e-5)
    np.testing.assert_allclose(amplitude_to_db(db_to_amplitude(gains)), gains, atol=1e-4)
    assert db_to_amplitude(jnp.array(0.0)) == 1.0
    assert amplitude_to_db(jnp.array(0.0)) == -np.inf
