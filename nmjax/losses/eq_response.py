"""How far an equaliser's curve is from the one that was wanted."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def eq_response_loss(
    response_db: Float[Array, "batch points"], target_db: Float[Array, "batch points"]
) -> Float[Array, ""]:
    """Mean over the batch of the variance of their difference over the points, dB²: a gain alone is no error, since
    loudness is set apart from tone. Its minimum over what cannot be known is the mean of the wanted curves."""
    return jnp.mean(jnp.var(response_db - target_db, axis=1))
