"""Loudness difference between two signals, and loudness matching."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.gain import apply_gain_db
from nmjax.dsp.loudness import clamped_loudness
from nmjax.dsp.numerics import clip_level, soft_gradient_abs

# Below this difference, which is inaudible, the gradient shrinks linearly to 0. Input and target start at one level,
# where the sign of the difference is that of the rounding error.
_LINEAR_GRADIENT_LU = 0.5


def lufs_loss(
    output: Float[Array, "batch time channel"], target: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, ""]:
    """Mean |LUFS(output) − LUFS(target)| in LU.

    Both loudnesses are clamped to at least −70 LUFS, with gradient 0 below (silence, signals shorter than 400 ms).
    Within 0.5 LU the gradient is proportional to the difference.
    """
    return jnp.mean(soft_gradient_abs(_loudness_difference_lu(output, target, sample_rate), _LINEAR_GRADIENT_LU))


def match_loudness(
    target: Float[Array, "batch time channel"], output: Float[Array, "batch time channel"], sample_rate: float
) -> Float[Array, "batch time channel"]:
    """The output scaled to the loudness of the target, both clamped to at least −70 LUFS.

    The gain has a gradient. Without it, every spectral loss would push all frequencies up or down together, which has
    no effect on the matched output.
    """
    return apply_gain_db(output, -_loudness_difference_lu(output, target, sample_rate))


def _loudness_difference_lu(output: Array, target: Array, sample_rate: float) -> Float[Array, " batch"]:
    output_lufs, target_lufs = (clamped_loudness(clip_level(x), sample_rate) for x in (output, target))
    return output_lufs - target_lufs
