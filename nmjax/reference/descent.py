"""Gradient descent on few numbers, as one compiled loop."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def least(
    cost: Callable[[Array], Array], start: Float[Array, "*shape"], steps: int, rate: float
) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
    """The point of least cost on the way that Adam takes from `start`, and its cost. rate: of the first step; it falls
    to 0 along half a cosine."""
    adam = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def step(carried, _):
        place, state, best, lowest = carried
        value, slope = jax.value_and_grad(cost)(place)
        best = jnp.where(value < lowest, place, best)
        updates, state = adam.update(slope, state)
        return (optax.apply_updates(place, updates), state, best, jnp.minimum(value, lowest)), None

    (_, _, best, lowest), _ = jax.lax.scan(step, (start, adam.init(start), start, jnp.inf), None, steps)
    return best, lowest
