"""Every parameter that can affect the output learns: it gets a gradient within three steps of an untrained phase."""

from __future__ import annotations

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nmjax.models import PHASES
from nmjax.models.phases import GATED

from .helpers import QUICKLY, noise, untrained

STEPS = 3


def idle(name):
    """A convolution's bias directly before a BatchNorm, which takes it away again."""
    return name.endswith("conv/bias")


def named(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


@functools.cache
def gradients(phase):
    """Of each step: parameter name → gradient, learning to imitate a signal that was filtered."""
    model, variables = untrained(phase)
    rest = {name: tree for name, tree in variables.items() if name != "params"}
    source = noise((2, 240, 2), seed=1)
    target = source - 0.7 * jnp.roll(source, 1, axis=1)
    optimiser = optax.adam(1e-2)
    vector, unravel = jax.flatten_util.ravel_pytree(variables["params"])  # for Adam, one array compiles faster than 100

    def step(vector, state, key):
        def loss(vector):
            trained = {"params": unravel(vector), **rest}
            (output, _), _ = model.apply(trained, source, train=True, rngs={"dropout": key}, mutable="batch_stats")
            return jnp.mean((output - target) ** 2)

        gradient = jax.grad(loss)(vector)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(vector, updates), state, unravel(gradient)

    step, state, found = jax.jit(step, compiler_options=QUICKLY), optimiser.init(vector), []
    for key in jax.random.split(jax.random.key(3), STEPS):
        vector, state, gradient = step(vector, state, key)
        found.append(named(gradient))
    return found


# What 1a and 1c have, 1b and 2 have as well.
FAST = ("1b", "2")


@pytest.mark.parametrize("phase", [pytest.param(x, marks=[] if x in FAST else [pytest.mark.slow]) for x in PHASES])
def test_every_parameter_gets_a_gradient_within_three_steps(phase):
    steps = gradients(phase)
    assert all(np.all(np.isfinite(x)) for step in steps for x in step.values())
    silent = {name for name in steps[0] if not any(np.any(step[name]) for step in steps)}
    assert not {name for name in silent if not idle(name)}


def alive(steps, name):
    """For each of a parameter's last axis, whether anything along the others got a gradient in some step."""
    return np.any([np.any(step[name].reshape(-1, step[name].shape[-1]), axis=0) for step in steps], axis=0)


@pytest.mark.parametrize("phase", PHASES)
def test_every_band_gets_a_gradient_in_every_head(phase):
    heads = ("frequency", "gain", "q", "gate")[: 4 if phase in GATED else 3]
    for name in (f"decoder/{head}/dense/{part}" for head in heads for part in ("kernel", "bias")):
        found = alive(gradients(phase), name)
        assert found.size == (10 if phase in GATED else 5)
        assert np.all(found), name


@pytest.mark.parametrize("phase", PHASES)
def test_most_channels_live(phase):
    """A layer most of whose channels get no gradient is dead weight that a look for one non-zero number misses."""
    steps = gradients(phase)
    for name in steps[0]:
        if name.endswith("kernel"):
            assert np.mean(alive(steps, name)) >= 0.5, name
