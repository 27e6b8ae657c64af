"""Adam on a few parameters, as one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float, Int

from nmjax.runtime.lazy_jax import Array, jax, jnp


class Minimum(NamedTuple):
    """The best iterate and its cost."""

    params: Float[Array, "*shape"]
    cost: Float[Array, ""]


def minimize(
    cost: Callable[[Array], Array], start: Float[Array, "*shape"], steps: int | Int[Array, ""], learning_rate: float
) -> Minimum:
    """Minimize `cost` by Adam and return the best iterate, which need not be the last.

    Args:
        cost: differentiable function of the parameters, returns a scalar.
        start: initial parameters.
        steps: number of gradient steps; a traced one serves any number with one program.
        learning_rate: of the first step; it decays to 0 along half a cosine.
    """
    import optax  # where there is a reference; otherwise nobody waits for it

    adam = optax.adam(lambda count: 0.5 * learning_rate * (1.0 + jnp.cos(jnp.pi * count / steps)))

    def step(_, loop_state):
        params, state, best, best_cost = loop_state
        value, gradient = jax.value_and_grad(cost)(params)
        best = jnp.where(value < best_cost, params, best)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(params, updates), state, best, jnp.minimum(value, best_cost)

    _, _, best, best_cost = jax.lax.fori_loop(0, steps, step, (start, adam.init(start), start, jnp.float32(jnp.inf)))
    return Minimum(best, best_cost)
