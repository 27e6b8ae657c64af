"""Elementary functions written so that their gradients are finite where the plain formula's are not."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.dsp.namespace import namespace
from nmjax.runtime.lazy_jax import Array, jax, jnp


def safe_sqrt(x: Float[Array, "..."], floor: float = 0.0) -> Float[Array, "..."]:
    """√x above `floor`, and √floor with gradient 0 at or below it. (The gradient of plain √ is infinite at 0.)

    The inner `where` keeps the unselected branch finite: an infinite derivative times 0 is NaN.
    """
    xp, above = namespace(x), x > floor
    return xp.where(above, xp.sqrt(xp.where(above, x, 1.0)), math.sqrt(floor))


def safe_log(x: Float[Array, "..."], floor: float) -> Float[Array, "..."]:
    """ln x above `floor` (> 0), and ln floor with gradient 0 at or below it."""
    if namespace(x) is np:
        return np.log(np.fmax(x, floor))  # no gradient to care for; NaN becomes the floor, as below
    above = x > floor
    return jnp.where(above, jnp.log(jnp.where(above, x, 1.0)), math.log(floor))


def smooth_abs(x: Float[Array, "..."], width: float = 0.1) -> Float[Array, "..."]:
    """Smooth |x|: √(x² + width²) − width.

    Computed as x²/(√(x² + width²) + width), which does not cancel for small x.
    """
    return x * x / (jnp.sqrt(x * x + width * width) + width)


def soft_gradient_abs(x: Float[Array, "..."], width: float) -> Float[Array, "..."]:
    """|x|, with gradient x/width within ±width instead of sign(x), so that rounding noise near 0 has no effect."""
    parabola = x * x / (2.0 * width)
    return jnp.where(jnp.abs(x) < width, parabola + jax.lax.stop_gradient(jnp.abs(x) - parabola), jnp.abs(x))


def clip_level(audio: Float[Array, "..."]) -> Float[Array, "..."]:
    """Audio clipped to ±1e12 (+240 dBFS), with gradient 0 beyond.

    Sums of squares over a whole track then stay within the range of float32.
    """
    return jnp.clip(audio, -1e12, 1e12)


def log10_or_neg_inf(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """log10 x; −inf with gradient 0 at 0, so that masked elements do not produce NaN gradients."""
    xp, above = namespace(x), x > 0
    return xp.where(above, xp.log10(xp.where(above, x, 1.0)), xp.where(xp.isnan(x), x, -math.inf))


def amplitude_to_db(amplitude: Float[Array, "..."]) -> Float[Array, "..."]:
    """20·log10 of an amplitude in dB; −inf with gradient 0 at 0."""
    return 20.0 * log10_or_neg_inf(amplitude)


def db_to_amplitude(gain_db: Float[Array, "..."]) -> Float[Array, "..."]:
    """The amplitude factor 10^(gain_db/20)."""
    return namespace(gain_db).exp(gain_db * (math.log(10.0) / 20.0))
