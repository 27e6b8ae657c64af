"""From the unbounded values at the end of a decoder to the equalizer's settings, in JAX or in NumPy."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.dsp.namespace import namespace
from nmjax.models.parameters import EqSettings
from nmjax.runtime.lazy_jax import Array, jax

MIN_FREQ_HZ, MAX_FREQ_HZ = 20.0, 20_000.0
MAX_GAIN_DB = 12.0
MIN_Q, MAX_Q = 0.5, 5.0


def eq_from_raw(
    freq: Float[Array, "batch bands"],
    gain: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    frequency_map: str,
) -> EqSettings:
    """The settings of bands without gates.

    Args:
        freq, gain, q: Unbounded values.
        frequency_map: See `freq_from_raw`.
    """
    xp = namespace(gain)
    gain_db = MAX_GAIN_DB * xp.tanh(gain)
    return EqSettings(
        freq_hz=freq_from_raw(freq, frequency_map),
        gain_db=gain_db,
        q=MIN_Q + (MAX_Q - MIN_Q) * sigmoid(q),
        gate=xp.ones_like(gain_db),
    )


def freq_from_raw(raw: Float[Array, "batch bands"], frequency_map: str) -> Float[Array, "batch bands"]:
    """Band frequencies in Hz from unbounded raw values r.

    Args:
        raw: Unbounded values.
        frequency_map: `log` for 20·1000^sigmoid(r), or `linear` for 20 + 19980·sigmoid(r).

    Raises:
        ValueError: `frequency_map` is neither.
    """
    fraction = sigmoid(raw)
    if frequency_map == "log":
        return MIN_FREQ_HZ * namespace(raw).exp(fraction * math.log(MAX_FREQ_HZ / MIN_FREQ_HZ))
    if frequency_map != "linear":
        raise ValueError(f"frequency_map must be 'log' or 'linear'; it is '{frequency_map}'")
    return MIN_FREQ_HZ + (MAX_FREQ_HZ - MIN_FREQ_HZ) * fraction


def sigmoid(x: Float[Array, "batch values"]) -> Float[Array, "batch values"]:
    """1/(1 + e^−x)."""
    if namespace(x) is not np:
        return jax.nn.sigmoid(x)
    with np.errstate(over="ignore"):  # e^−x is infinite for a very negative x, whose result is 0
        return 1.0 / (1.0 + np.exp(-x))
