"""Descent: a bowl's bottom is found, and the best place on the way is given, not the last."""

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.reference.descent import least


def test_the_bottom_of_a_bowl():
    bottom = jnp.array([[1.0, -2.0], [0.5, 3.0]])
    place, cost = least(lambda x: jnp.sum((x - bottom) ** 2), jnp.zeros((2, 2)), 400, 0.1)
    np.testing.assert_allclose(place, bottom, atol=1e-2)
    assert float(cost) == pytest.approx(float(jnp.sum((place - bottom) ** 2)), abs=1e-6)


def test_the_best_place_on_the_way():
    """A slope that only leads away from where it starts well: a step against the gradient of another function."""
    place, cost = least(lambda x: jnp.where(x[0] == 0.0, 0.0, 5.0) - x[0], jnp.zeros(1), 20, 0.1)
    assert (float(place[0]), float(cost)) == (0.0, 0.0)
