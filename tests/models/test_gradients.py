"""Every parameter that can affect the output gets a gradient within the first three steps of an untrained phase."""

from __future__ import annotations

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nmjax.models import PHASES

from .helpers import FAST_COMPILE, init_phase, noise

STEPS = 3


def has_no_effect(name):
    """A convolution's bias directly before a BatchNorm, which subtracts it again."""
    return name.endswith("conv/bias")


def flatten_names(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


@functools.cache
def training_gradients(phase):
    """Parameter name → gradient for each step of a training that imitates a filtered signal."""
    model, variables = init_phase(phase, seed=7)
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    source = noise((2, 240, 2), seed=1)
    target = source - 0.7 * jnp.roll(source, 1, axis=1)
    optimizer = optax.adam(1e-2)
    vector, unravel = jax.flatten_util.ravel_pytree(variables["params"])  # for Adam, one array compiles faster than 100

    def step(vector, state, key):
        def loss(vector):
            trained = {"params": unravel(vector), **rest}
            (output, _), _ = model.apply(trained, source, train=True, rngs={"dropout": key}, mutable="batch_stats")
            return jnp.mean((output - target) ** 2)

        gradient = jax.grad(loss)(vector)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(vector, updates), state, unravel(gradient)

    step, state, result = jax.jit(step, compiler_options=FAST_COMPILE), optimizer.init(vector), []
    for key in jax.random.split(jax.random.key(3), STEPS):
        vector, state, gradient = step(vector, state, key)
        result.append(flatten_names(gradient))
    return result


# 1b and 2 together contain every module of 1a and 1c.
FAST_PHASES = ("1b", "2")
each_phase = pytest.mark.parametrize(
    "phase", [pytest.param(name, marks=[] if name in FAST_PHASES else [pytest.mark.slow]) for name in PHASES]
)


@each_phase
def test_every_parameter_gets_a_gradient_within_three_steps(phase):
    steps = training_gradients(phase)
    assert all(np.all(np.isfinite(x)) for step in steps for x in step.values())
    silent = {name for name in steps[0] if not any(np.any(step[name]) for step in steps)}
    assert not {name for name in silent if not has_no_effect(name)}


def has_gradient(steps, name):
    """For each of a parameter's last axis, whether anything along the others got a gradient in some step."""
    return np.any([np.any(step[name].reshape(-1, step[name].shape[-1]), axis=0) for step in steps], axis=0)


@each_phase
def test_every_band_gets_a_gradient_in_every_head(phase):
    heads = ("frequency", "gain", "q", *["gate"] * PHASES[phase].has_gates)
    for name in (f"decoder/{head}/dense/{part}" for head in heads for part in ("kernel", "bias")):
        result = has_gradient(training_gradients(phase), name)
        assert result.size == PHASES[phase].num_bands
        assert np.all(result), name


@each_phase
def test_most_channels_get_a_gradient(phase):
    """A layer whose channels mostly get no gradient is useless, although some of its gradients are not zero."""
    steps = training_gradients(phase)
    for name in steps[0]:
        if name.endswith("kernel"):
            assert np.mean(has_gradient(steps, name)) >= 0.5, name
