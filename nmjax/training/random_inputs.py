"""Chance by excerpt: every random number of the training's data follows from a key and the excerpt's own number."""

from __future__ import annotations

import math

import jax
from jaxtyping import Array, Float, Int, Key

_MAX_SIGMAS = 2.5


def draw_uniforms(
    key: Key[Array, ""], excerpt_numbers: Int[Array, " batch"], count: int
) -> Float[Array, "batch count"]:
    """Uniform numbers in [0, 1), a row an excerpt, each from `key` and the excerpt's number in the whole stream, so
    that they do not depend on how a batch is spread over devices and hosts.

    All of an excerpt's chance comes from one draw: on the CPU every draw in a program costs a second of compilation.
    """
    return jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i), (count,)))(excerpt_numbers)


def normal_from_uniform(uniform: Float[Array, "..."]) -> Float[Array, "..."]:
    """A standard normal, cut at ±2.5 (so its variance is 0.91), from a uniform number."""
    coverage = math.erf(_MAX_SIGMAS * math.sqrt(0.5))
    return math.sqrt(2.0) * jax.scipy.special.erfinv(coverage * (2.0 * uniform - 1.0))
