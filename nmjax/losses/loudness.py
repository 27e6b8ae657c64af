"""Distance in loudness, and what is left without it."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.gain import apply_gain_db
from nmjax.dsp.loudness import clamped_loudness
from nmjax.dsp.numerics import clip_level, soft_gradient_abs

_LINEAR_GRADIENT_LU = (
    0.5  # less is not heard; input and target start at one level, where |·| has no sign but rounding's
)


def lufs_loss(
    output: Float[Array, "batch time channel"], target: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, ""]:
    """Mean |LUFS(output) − LUFS(target)| in LU, each held at −70 with gradient 0 below (silence, less than 400 ms).

    Within 0.5 LU the gradient shrinks in proportion to the distance.
    """
    return jnp.mean(soft_gradient_abs(_loudness_difference_lu(output, target, sample_rate), _LINEAR_GRADIENT_LU))


def match_loudness(
    target: Float[Array, "batch time channel"], output: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, "batch time channel"]:
    """The output at the target's loudness, both held at −70 LUFS. The gain carries its gradient: otherwise every
    spectral loss would ask for more or less of all frequencies, which has no effect."""
    return apply_gain_db(output, -_loudness_difference_lu(output, target, sample_rate))


def _loudness_difference_lu(output: Array, target: Array, sample_rate: float) -> Float[Array, " batch"]:
    output_lufs, target_lufs = (clamped_loudness(clip_level(x), sample_rate) for x in (output, target))
    return output_lufs - target_lufs
