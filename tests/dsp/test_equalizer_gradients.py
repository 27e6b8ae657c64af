"""Derivatives of the equalizer against float64 finite differences and against the per-sample recursion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.cascade import cascade_per_sample
from nmjax.dsp.equalizer import Bands, equalize
from nmjax.dsp.svf import peaking

from .oracles import error_db, noise, random_bands

BATCH, TIME, CHANNELS, BANDS = 2, 150, 2, 2  # two blocks and a remainder
INPUTS = ["audio", "freq_hz", "gain_db", "q", "state"]


def inputs(dtype=jnp.float64):
    """A point away from rest and from the identity; frequencies where 150 samples hold a few periods."""
    freq_hz, gain_db, q = random_bands(1, BATCH, BANDS)
    values = noise(2, BATCH, TIME, CHANNELS), 300.0 + freq_hz / 2, gain_db, q, noise(3, BATCH, CHANNELS, BANDS, 2)
    return {name: jnp.asarray(x, dtype) for name, x in zip(INPUTS, values, strict=True)}


def directions():
    """One random direction for each input, in proportion to the input's size."""
    rng = np.random.default_rng(4)
    return {name: jnp.asarray(rng.standard_normal(x.shape) * np.abs(x)) for name, x in inputs().items()}


@jax.jit
def outputs(at):
    """The output of the equalizer and its final state."""
    return equalize(at["audio"], Bands(at["freq_hz"], at["gain_db"], at["q"]), 44_100.0, at["state"])


def outputs_by_sample(at):
    return cascade_per_sample(at["audio"], peaking(at["freq_hz"], at["gain_db"], at["q"], 44_100.0), at["state"])


@functools.partial(jax.jit, static_argnums=1)
def scalar_loss(at, form=outputs, state_share=1.0):
    """A scalar that depends on every sample and, scaled by `state_share`, on every state."""
    y, last = form(at)
    signal_term = jnp.sum(jnp.asarray(noise(5, *y.shape), y.dtype) * y)
    return signal_term + state_share * jnp.sum(jnp.asarray(noise(6, *last.shape), y.dtype) * last)


gradient = jax.jit(jax.grad(scalar_loss), static_argnums=1)


def central_difference(function, direction, step=1e-5):
    """(f(x + h·d) − f(x − h·d)) / 2h, at the point of the tests."""

    def moved(by):
        return jax.tree.map(lambda x, d: x + by * d, inputs(), direction)

    return jax.tree.map(lambda a, b: (a - b) / (2 * step), function(moved(step)), function(moved(-step)))


def single_direction(name):
    """The random direction for one input, 0 for the others."""
    return {key: d * (key == name) for key, d in directions().items()}


@pytest.mark.parametrize("name", INPUTS)
def test_the_gradient_is_the_finite_difference(name):
    with jax.enable_x64(True):
        slope = jnp.vdot(gradient(inputs())[name], directions()[name])
        np.testing.assert_allclose(slope, central_difference(scalar_loss, single_direction(name)), rtol=1e-6)


@pytest.mark.parametrize("name", INPUTS)
def test_gradient_matches_the_per_sample_recursion(name):
    with jax.enable_x64(True):
        assert error_db(gradient(inputs())[name], gradient(inputs(), outputs_by_sample)[name]) <= -200.0


@pytest.mark.parametrize("name", INPUTS)
def test_float32_gradient_matches_float64(name):
    single = gradient(inputs(jnp.float32), outputs, 1.0)[name]
    with jax.enable_x64(True):
        assert error_db(single, gradient(inputs())[name]) <= -105.0


@pytest.mark.parametrize("name", INPUTS)
def test_forward_mode_is_the_finite_difference(name):
    with jax.enable_x64(True):
        _, (y, last) = jax.jvp(outputs, (inputs(),), (single_direction(name),))
        reference, reference_last = central_difference(outputs, single_direction(name))
        assert error_db(y, reference) <= -140.0
        assert error_db(last, reference_last) <= -140.0


def test_second_order_is_the_finite_difference_of_the_gradient():
    with jax.enable_x64(True):
        _, turned = jax.jvp(gradient, (inputs(),), (directions(),))
        reference = central_difference(gradient, directions())
    for name in INPUTS:
        np.testing.assert_allclose(turned[name], reference[name], rtol=1e-5, atol=1e-7 * np.abs(reference[name]).max())


def test_gains_have_a_gradient_at_the_identity():
    """All gains zero is where training starts: the gains have a gradient there, frequency and Q none."""
    slopes = gradient(inputs(jnp.float32) | {"gain_db": jnp.zeros((BATCH, BANDS))}, outputs, 0.0)
    assert np.all(np.abs(slopes["gain_db"]) > 1e-5)
    np.testing.assert_array_equal(slopes["freq_hz"], 0.0)
    np.testing.assert_array_equal(slopes["q"], 0.0)
