"""Bringing signals to a loudness."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.loudness import integrated_loudness
from nmjax.dsp.numerics import amplitude


def gain_to_lufs_db(
    audio: Float[Array, "batch time channel"], sample_rate: float, lufs: float
) -> Float[Array, "batch"]:
    """The gain in dB that brings each signal to `lufs`; 0 for silence and below 400 ms. It carries no gradient."""
    loudness = jax.lax.stop_gradient(integrated_loudness(audio, sample_rate))
    return jnp.where(jnp.isfinite(loudness), lufs - loudness, 0.0)


def scaled_db(
    audio: Float[Array, "batch time channel"], gain_db: Float[Array, "batch"]
) -> Float[Array, "batch time channel"]:
    """Each signal times its gain."""
    return audio * amplitude(gain_db)[:, None, None]
