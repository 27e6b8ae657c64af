"""Shared by the tests of the models: random weights for a module, signals, and the difference of two arrays."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.models import MasteringModel

WIDTH = 0.07  # few channels, different in every layer: 4, 9, 18, 36 in the encoder and 2, 4, 9, 18 in the residual

FAST_COMPILE = {"xla_backend_optimization_level": 0}  # compiler options, for programs that run only a few times


@functools.cache
def init_phase(phase, seed=4):
    """A phase's model and its untrained variables."""
    model = MasteringModel(phase, WIDTH)
    key = jax.random.key(seed, impl="rbg")  # the default generator takes three times as long to compile
    return model, jax.jit(model.init, compiler_options=FAST_COMPILE)(key, noise((1, 64, 1)))


@functools.cache
def jit_apply(model, **settings):
    """`model.apply` with arguments such as `train`, jitted once for all tests: most of their time is compilation."""
    return jax.jit(functools.partial(model.apply, **settings))


def noise(shape, seed=0):
    """Gaussian noise with unit variance, so that random weights depend on it and not only on their biases."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def init_shapes(module, *args):
    """Shapes of a module's variables; nothing is computed."""
    return jax.eval_shape(module.init, jax.random.key(0), *args)


def random_variables(shapes, seed=0):
    """Random values for every variable, scaled so that signals keep about their variance from layer to layer.

    A whole phase gets a z of about 0.3. It scales every layer of the residual and decides how narrow and how low the
    bands are: with a large z, float32 rounding alone would exceed −110 dB.
    """
    rng = np.random.default_rng(seed)

    def draw_order(item):
        collection, part, *_ = names = [part.key for part in item[0]]
        return ("batch_stats", "warm_start", "params").index(collection), part == "processors", names

    def fill(path, leaf):
        unit = rng.standard_normal(leaf.shape)
        names = [part.key for part in path]
        to_z = 0.05 if names[1:3] == ["encoder", "out"] else 1.0
        value = {
            "kernel": unit * np.sqrt(2.0 / max(1, np.prod(leaf.shape[:-1]))),
            "bias": 0.2 * unit + (names[-2] == "gamma"),
            "scale": 1.0 + 0.2 * unit,
            "mean": 0.2 * unit,
            "var": rng.uniform(0.3, 1.5, leaf.shape),
            "gain_divisor": rng.uniform(0.8, 1.0, leaf.shape),
        }[names[-1]]
        return jnp.asarray(to_z * value, jnp.float32)

    leaves, _ = jax.tree_util.tree_flatten_with_path(shapes)
    values = {path: fill(path, leaf) for path, leaf in sorted(leaves, key=draw_order)}
    return jax.tree_util.tree_map_with_path(lambda path, _: values[path], shapes)


def peak_error_db(result, expected):
    """Peak difference in dB relative to the expected array's peak; −inf if they are equal."""
    result, expected = np.asarray(result, np.float64), np.asarray(expected, np.float64)
    assert result.shape == expected.shape
    assert np.all(np.isfinite(result)), "not finite"
    peak = np.max(np.abs(expected))
    assert peak > 0.0, "nothing to compare with"
    with np.errstate(divide="ignore"):
        return 20.0 * np.log10(np.max(np.abs(result - expected)) / peak)


def positive_variables(variables):
    """Weights with which no path cancels another or ends at a ReLU: a gradient shows the whole receptive field."""

    def neutral(path, x):
        return jnp.full_like(x, float(path[-1].key == "var"))

    stats = jax.tree_util.tree_map_with_path(neutral, variables["batch_stats"])
    return {"params": jax.tree.map(jnp.abs, variables["params"]), "batch_stats": stats}


def receptive_fields(function, time):
    """First and last sample of a positive signal `[1, time, 1]` that change each output of the function."""
    gradients = jax.jit(jax.jacrev(function))(jnp.ones((1, time, 1)))
    positions = [np.flatnonzero(row) for row in np.asarray(gradients).reshape(-1, time)]
    return [(int(row[0]), int(row[-1])) for row in positions]


def assert_padding_has_no_effect(encoder, variables, samples, stride):
    """z of a signal is the same alone, with its length, and followed by samples beyond its length."""
    audio = 0.1 * noise((1, samples, 1), seed=samples)
    padded = jnp.pad(audio, ((0, 0), (0, 3 * stride), (0, 0)), constant_values=0.3)
    alone = encoder.apply(variables, audio, jnp.array([samples]))
    assert peak_error_db(encoder.apply(variables, padded, jnp.array([samples])), alone) <= -90.0
    assert peak_error_db(encoder.apply(variables, audio), alone) <= -90.0
