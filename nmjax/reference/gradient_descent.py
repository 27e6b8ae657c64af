"""Gradient descent on few numbers, as one compiled loop."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float


def minimize(
    cost: Callable[[Array], Array], start: Float[Array, "*shape"], steps: int, learning_rate: float
) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
    """The point of least cost on the way that Adam takes from `start`, and its cost. rate: of the first step; it falls
    to 0 along half a cosine."""
    adam = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def step(carry, _):
        params, state, best, best_cost = carry
        value, gradient = jax.value_and_grad(cost)(params)
        best = jnp.where(value < best_cost, params, best)
        updates, state = adam.update(gradient, state)
        return (optax.apply_updates(params, updates), state, best, jnp.minimum(value, best_cost)), None

    (_, _, best, best_cost), _ = jax.lax.scan(step, (start, adam.init(start), start, jnp.inf), None, steps)
    return best, best_cost
