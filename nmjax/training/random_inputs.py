"""Random numbers per example: all of them follow from a key and the example's own number.

A function that needs random numbers declares them as a struct with one field per quantity. `draw_uniforms` fills the
whole struct from a single draw: on the CPU, each additional draw in a program costs a second of compilation.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

_MAX_SIGMAS = 2.5

T = TypeVar("T")  # a struct (any pytree)


def per_example(*shape: int) -> Any:
    """The shape of a field for one example; stands for the array `[batch, *shape]` in a struct of shapes."""
    return shape


def _flatten_shapes(shapes: Any) -> tuple[list[tuple[int, ...]], Any]:
    return jax.tree.flatten(shapes, is_leaf=lambda x: type(x) is tuple)


def num_uniforms(shapes: Any) -> int:
    """Uniform numbers per example that a struct takes.

    Args:
        shapes: The struct with `per_example` shapes in place of its arrays.
    """
    return sum(math.prod(shape) for shape in _flatten_shapes(shapes)[0])


def split_uniforms(uniforms: Float[Array, "batch count"], shapes: T) -> T:
    """The struct of named fields, each `[batch, *shape]`, from the columns of one array, in the order of the fields.

    Args:
        uniforms: One row per example, `num_uniforms(shapes)` columns.
        shapes: As for `num_uniforms`.
    """
    leaf_shapes, structure = _flatten_shapes(shapes)
    ends = np.cumsum([math.prod(shape) for shape in leaf_shapes])
    fields = [
        uniforms[:, end - math.prod(shape) : end].reshape(len(uniforms), *shape)
        for shape, end in zip(leaf_shapes, ends, strict=True)
    ]
    return jax.tree.unflatten(structure, fields)


def draw_uniforms(key: Key[Array, ""], example_numbers: Int[Array, " batch"], shapes: T) -> T:
    """Uniform numbers in [0, 1) for each example, as a struct of named fields, each `[batch, *shape]`.

    An example's numbers depend on `key` and on its number in the stream, not on its position in the batch. So they do
    not change with the distribution of a batch over devices and hosts.

    Args:
        key: Random key.
        example_numbers: Number of each example in the stream.
        shapes: As for `num_uniforms`.
    """
    count = num_uniforms(shapes)
    uniforms = jax.vmap(lambda i: jax.random.uniform(jax.random.fold_in(key, i), (count,)))(example_numbers)
    return split_uniforms(uniforms, shapes)


def normal_from_uniform(uniform: Float[Array, "..."]) -> Float[Array, "..."]:
    """A standard normal, truncated to ±2.5 (variance 0.91), from a uniform number in [0, 1)."""
    coverage = math.erf(_MAX_SIGMAS * math.sqrt(0.5))
    return math.sqrt(2.0) * jax.scipy.special.erfinv(coverage * (2.0 * uniform - 1.0))


def log_uniform(uniform: Float[Array, "..."], bounds: tuple[float, float]) -> Float[Array, "..."]:
    """A number between positive bounds, uniform on a log scale, from a uniform number in [0, 1)."""
    low, high = (math.log(b) for b in bounds)
    return jnp.exp(low + (high - low) * uniform)
