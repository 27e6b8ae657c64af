"""The compressor with one step of the recursion per sample: slow, for tests and benchmarks of `compressor`."""

from __future__ import annotations

from jaxtyping import Float

from nmjax.dsp.block_recursion import HIGHEST_PRECISION
from nmjax.dsp.compressor import (
    COMPRESSOR_LIMITS,
    Compressor,
    control_hop,
    level_window,
    overshoot_db,
    sine_level_db,
)
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.validation import check_settings
from nmjax.runtime.lazy_jax import Array, jax, jnp


def overshoot_per_sample_db(
    audio: Float[Array, "batch time channel"], settings: Compressor, sample_rate: float
) -> Float[Array, "batch time"]:
    """The overshoot at each sample in dB: the input of the reference recursion in `compress_per_sample`."""
    power = jnp.mean(audio * audio, axis=2)
    window = level_window(control_hop(sample_rate), audio.dtype)
    level_power = jax.vmap(lambda p: jnp.convolve(p, window[::-1], precision=HIGHEST_PRECISION)[: p.shape[0]])(power)
    return overshoot_db(sine_level_db(level_power), settings)


def compress_per_sample(
    audio: Float[Array, "batch time channel"], settings: Compressor, sample_rate: float
) -> tuple[Float[Array, "batch time channel"], Float[Array, "batch time"]]:
    """Reference form of `nmjax.dsp.compress`: one step of the recursion per sample, from rest; slow.

    Returns:
        the compressed signal, and the gain in dB at each sample.
    """
    check_settings(settings, COMPRESSOR_LIMITS, audio.shape[0])
    settings = jax.tree.map(lambda x: x.astype(audio.dtype), settings)
    overshoot = overshoot_per_sample_db(audio, settings, sample_rate)
    attack, release = (-jnp.expm1(-1e3 / (t * sample_rate)) for t in (settings.attack_ms, settings.release_ms))

    def step(envelope, current):
        envelope = envelope + jnp.where(current > envelope, attack, release) * (current - envelope)
        return envelope, envelope

    _, envelope = jax.lax.scan(step, jnp.zeros_like(overshoot[:, 0]), overshoot.T)
    gain_db = settings.makeup_db[:, None] - settings.slope[:, None] * envelope.T
    return audio * db_to_amplitude(gain_db)[:, :, None], gain_db
