"""Distance in loudness."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.loudness import floored_loudness
from nmjax.dsp.numerics import held_level, settling_abs

_SETTLED_LU = 0.5  # less is not heard; input and target start at one level, where |·| has no sign but rounding's


def lufs_distance(
    output: Float[Array, "batch time channel"], target: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, ""]:
    """Mean |LUFS(output) − LUFS(target)| in LU, each held at −70 with gradient 0 below (silence, less than 400 ms).

    Within 0.5 LU the gradient shrinks in proportion to the distance.
    """
    heard, wanted = (floored_loudness(held_level(x), sample_rate) for x in (output, target))
    return jnp.mean(settling_abs(heard - wanted, _SETTLED_LU))
