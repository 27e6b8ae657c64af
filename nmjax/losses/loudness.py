"""Distance in loudness, and what is left without it."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.level import scaled_db
from nmjax.dsp.loudness import floored_loudness
from nmjax.dsp.numerics import held_level, settling_abs

_SETTLED_LU = 0.5  # less is not heard; input and target start at one level, where |·| has no sign but rounding's


def lufs_distance(
    output: Float[Array, "batch time channel"], target: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, ""]:
    """Mean |LUFS(output) − LUFS(target)| in LU, each held at −70 with gradient 0 below (silence, less than 400 ms).

    Within 0.5 LU the gradient shrinks in proportion to the distance.
    """
    return jnp.mean(settling_abs(_louder_lu(output, target, sample_rate), _SETTLED_LU))


def at_loudness_of(
    target: Float[Array, "batch time channel"], output: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, "batch time channel"]:
    """The output at the target's loudness, both held at −70 LUFS. The gain carries its gradient: otherwise every
    spectral loss would ask for more or less of all frequencies, which has no effect."""
    return scaled_db(output, -_louder_lu(output, target, sample_rate))


def _louder_lu(output: Array, target: Array, sample_rate: float) -> Float[Array, "batch"]:
    heard, wanted = (floored_loudness(held_level(x), sample_rate) for x in (output, target))
    return heard - wanted
