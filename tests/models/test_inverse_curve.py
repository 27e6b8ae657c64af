"""The inverse curve: against NumPy's interpolation, its two halves, and the residual that has one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models.inverse_curve import KNOTS, InverseCurve, apply_curve
from nmjax.models.residual import Residual

from .helpers import init_shapes, noise, peak_error_db, random_variables

Z = noise((2, 512), seed=5)


def test_the_curve_is_linear_between_its_knots():
    changes = np.asarray(noise((2, 2, len(KNOTS)), seed=3))
    x = np.asarray(noise((2, 300, 2), seed=4)) * 0.7
    added = apply_curve(jnp.asarray(x), jnp.asarray(changes))
    knots = np.array([*KNOTS, 5.0])
    for i in range(2):
        slopes = np.cumsum(changes[i], axis=1)
        heights = np.concatenate([np.zeros((2, 1)), np.cumsum(slopes * np.diff(knots), axis=1)], axis=1)
        up, down = (np.interp(np.abs(x[i]), knots, h) for h in heights)
        np.testing.assert_allclose(added[i], np.where(x[i] < 0.0, -down, up), atol=2e-5)


def test_untrained_it_changes_nothing():
    variables = InverseCurve().init(jax.random.key(0), Z)
    np.testing.assert_array_equal(InverseCurve().apply(variables, Z), np.zeros((2, 2, len(KNOTS))))


@pytest.mark.parametrize("parts", ["curve", "curve_and_unet"])
def test_the_residual_scales_with_the_level_in_z(parts):
    """The first entry of z is the logarithm of the level that the signal is divided by and its residual multiplied."""
    model = Residual(width=0.1, parts=parts)
    audio = noise((2, 403, 2))
    variables = random_variables(init_shapes(model, audio[:1, :64], Z[:1]), seed=2)
    # FiLM and the curve see z's first entry, too; without its weights, only the scale depends on it.
    for layer in variables["params"].values():
        for dense in [d for d in ("gamma", "beta", "hidden") if d in layer]:
            kernel = np.array(layer[dense]["kernel"])
            kernel[0] = 0.0
            layer[dense]["kernel"] = kernel
    plain, louder = (Z.at[:, 0].set(value) for value in (0.0, np.log(3.0)))
    result = model.apply(variables, audio, plain)
    assert np.abs(result).max() > 1e-3
    assert peak_error_db(model.apply(variables, 3.0 * audio, louder), 3.0 * result) <= -90.0


def test_beyond_the_end_of_a_signal_the_residual_is_zero():
    model = Residual(width=0.1, parts="curve_and_unet")
    audio = noise((2, 403, 2))
    variables = random_variables(init_shapes(model, audio[:1, :64], Z[:1]), seed=2)
    lengths = jnp.array([403, 200])
    result = model.apply(variables, audio, Z, lengths)
    assert np.abs(result[1, :200]).max() > 1e-3 and np.abs(result[1, 200:]).max() == 0.0
    changed = audio.at[1, 200:].set(5.0)
    np.testing.assert_array_equal(model.apply(variables, changed, Z, lengths), result)
