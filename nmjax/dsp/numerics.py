"""Formulas that are written in an unusual way for their gradient's sake, and why."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_sqrt(x: Float[Array, "..."], floor: float = 0.0) -> Float[Array, "..."]:
    """√x for x above `floor`, √floor elsewhere with gradient 0 (plain √ has an infinite gradient at 0).

    The inner `where` keeps the untaken branch finite: an infinite derivative times 0 is NaN.
    """
    above = x > floor
    return jnp.where(above, jnp.sqrt(jnp.where(above, x, 1.0)), math.sqrt(floor))


def safe_log(x: Float[Array, "..."], floor: float) -> Float[Array, "..."]:
    """ln x for x above `floor` (> 0), ln floor elsewhere with gradient 0."""
    above = x > floor
    return jnp.where(above, jnp.log(jnp.where(above, x, 1.0)), math.log(floor))


def smooth_abs(x: Float[Array, "..."], width: float = 0.1) -> Float[Array, "..."]:
    """|x| rounded at 0: √(x² + width²) − width, written as x²/(√(x² + width²) + width) so that small x keeps its
    digits."""
    return x * x / (jnp.sqrt(x * x + width * width) + width)


def soft_gradient_abs(x: Float[Array, "..."], width: float) -> Float[Array, "..."]:
    """|x| with gradient x/width within ±width, so that at 0 it is not rounding that decides between −1 and 1."""
    parabola = x * x / (2.0 * width)
    return jnp.where(jnp.abs(x) < width, parabola + jax.lax.stop_gradient(jnp.abs(x) - parabola), jnp.abs(x))


def clip_level(audio: Float[Array, "..."]) -> Float[Array, "..."]:
    """Held within ±1e12 (+240 dBFS) with gradient 0 beyond, so that squares of it, and sums of those over any track,
    stay in float32's range."""
    return jnp.clip(audio, -1e12, 1e12)


def log10_or_neg_inf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log10 x; 0 gives −inf with gradient 0, so that it spoils nobody's gradient beside it."""
    above = x > 0
    return jnp.where(above, jnp.log10(jnp.where(above, x, 1.0)), jnp.where(jnp.isnan(x), x, -jnp.inf))


def amplitude_to_db(amplitude: Float[Array, "..."]) -> Float[Array, "..."]:
    """20·log10 of an amplitude; 0 gives −inf with gradient 0."""
    return 20.0 * log10_or_neg_inf(amplitude)


def db_to_amplitude(gain_db: Float[Array, "..."]) -> Float[Array, "..."]:
    """10^(gain_db/20)."""
    return jnp.exp(gain_db * (math.log(10.0) / 20.0))
