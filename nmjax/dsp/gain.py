"""Gains that bring signals to a target loudness."""

from __future__ import annotations

from jaxtyping import Float

from nmjax.dsp.loudness import integrated_loudness
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.runtime.lazy_jax import Array, jax, jnp


def loudness_gain_db(
    audio: Float[Array, "batch time channel"], sample_rate: float, target_lufs: float
) -> Float[Array, " batch"]:
    """The gain in dB that brings each signal to `target_lufs`, without a gradient.

    It is 0 dB for silence and for signals shorter than 400 ms, whose loudness is not defined.
    """
    loudness_lufs = jax.lax.stop_gradient(integrated_loudness(audio, sample_rate))
    return jnp.where(jnp.isfinite(loudness_lufs), target_lufs - loudness_lufs, 0.0)


def apply_gain_db(
    audio: Float[Array, "batch time channel"], gain_db: Float[Array, " batch"]
) -> Float[Array, "batch time channel"]:
    """Each signal multiplied by its gain in dB."""
    return audio * db_to_amplitude(gain_db)[:, None, None]
