"""Inverse curve: what a saturator did to the waveform without memory, undone without memory.

z sets the slopes of a piecewise linear curve, for the positive and the negative half each, relative to the top of the
signal (see `amplitude_encoder`). It can be read, drawn and stored as a table.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from nmjax.models.layers import DEFAULT_PRECISION

# Knots of each half, relative to the top: dense where a saturator bends most.
KNOTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98)
_HIDDEN = 128


class InverseCurve(nn.Module):
    """z `[batch, 512]` → the change of slope at each knot, `[batch, 2, knots]` (positive, negative); untrained, 0.

    Attributes:
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
    """

    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"]) -> Float[Array, "batch 2 knots"]:
        hidden = nn.relu(nn.Dense(_HIDDEN, precision=self.precision, name="hidden")(z))
        slopes = nn.Dense(2 * len(KNOTS), kernel_init=nn.initializers.zeros, precision=self.precision, name="out")(
            hidden
        )
        return slopes.reshape(-1, 2, len(KNOTS))


def apply_curve(
    x: Float[Array, "batch time channel"], slope_changes: Float[Array, "batch 2 knots"]
) -> Float[Array, "batch time channel"]:
    """What the curve adds to x, whose top is 1: the sum over the knots of slope change · (|x| − knot) above it."""
    magnitude, sign = jnp.abs(x)[..., None], jnp.sign(x)
    half = (x < 0.0).astype(jnp.int32)[..., None]
    changes = jnp.where(half == 0, slope_changes[:, None, None, 0], slope_changes[:, None, None, 1])
    return sign * jnp.sum(changes * jnp.maximum(magnitude - jnp.asarray(KNOTS)[None, None, None], 0.0), axis=-1)
