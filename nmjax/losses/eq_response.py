"""Distance between the response of an equalizer and a target response."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def eq_response_loss(
    response_db: Float[Array, "batch points"], target_db: Float[Array, "batch points"]
) -> Float[Array, ""]:
    """Variance over the points of the difference in dB, averaged over the batch, in dB².

    A constant gain costs nothing: loudness is set separately from tone. As for any squared error, the best prediction
    of an uncertain target is its mean.
    """
    return jnp.mean(jnp.var(response_db - target_db, axis=1))
