"""The relative error: closed forms, the floor of an undamaged input, finite gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.losses import relative_error_loss


def noise(seed):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((2, 1000, 2)), jnp.float32)


def test_it_is_1_for_doing_nothing_and_0_for_the_target_and_a_half_halfway():
    target, source = noise(0), noise(0) + 0.5 * noise(1)
    assert relative_error_loss(source, target, source) == pytest.approx(1.0, abs=6e-3)
    assert relative_error_loss(target, target, source) == 0.0
    assert relative_error_loss(0.5 * (source + target), target, source) == pytest.approx(0.5, abs=3e-3)


def test_an_undamaged_input_costs_the_error_against_minus_26_db():
    target = noise(0)
    assert relative_error_loss(target + 0.05 * noise(1), target, target) == pytest.approx(1.0, rel=0.05)


def test_gradients_are_finite_at_the_target_and_for_silence():
    gradient = jax.grad(relative_error_loss)
    target, silence = noise(0), jnp.zeros((2, 1000, 2))
    for output, source in ((target, target), (target, noise(1)), (noise(1), target)):
        assert np.isfinite(gradient(output, target, source)).all()
    assert np.isfinite(gradient(silence, silence, silence)).all()
