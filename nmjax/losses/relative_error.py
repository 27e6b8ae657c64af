"""Error of the waveform, relative to that of the input."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.numerics import safe_sqrt

_FLOOR = 2.5e-3  # of the input's error power, relative to the target: −26 dB


def relative_error_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    source: Float[Array, "batch time channel"],
) -> Float[Array, ""]:
    """‖output − target‖ / ‖source − target‖, averaged over the batch: 1 for doing nothing, 0 for the target.

    The input's error counts as at least −26 dB of the target, so an undamaged input costs the output's own error
    against this level; with −40 dB, such inputs outweigh all others, and a network learns to do nothing. In an
    amplitude ratio light and heavy damage have the same weight, while a ratio in dB would favor light damage, whose
    logarithm any output raises most.

    Args:
        output: The model's output.
        target: What it should be; of the same shape, level and time as the others.
        source: The model's input.
    """

    def power(x):
        return jnp.mean(x**2, axis=(1, 2))

    reference = power(source - target) + _FLOOR * power(target) + 1e-12
    return jnp.mean(safe_sqrt(power(output - target) / reference))
