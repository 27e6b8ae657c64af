"""From the unbounded values at the end of a decoder to the equalizer's settings, in JAX or in NumPy."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.dsp.namespace import namespace
from nmjax.models.parameters import EqSettings
from nmjax.runtime.lazy_jax import Array, jax, jnp

MIN_FREQ_HZ, MAX_FREQ_HZ = 20.0, 20_000.0
MAX_GAIN_DB = 12.0
MIN_Q, MAX_Q = 0.5, 5.0
_HARD_MIN, _HARD_MAX, _HARD_TEMPERATURE = -0.1, 1.1, 2.0 / 3.0  # of the hard concrete distribution
HARD_GATE_LOGIT_SHIFT = -_HARD_TEMPERATURE * math.log(-_HARD_MIN / _HARD_MAX)  # see `nonzero_logit`


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


def gated(eq: EqSettings, gate: Float[Array, "batch bands"], gain_divisor: Float[Array, " bands"]) -> EqSettings:
    """The settings with gates.

    Args:
        eq: Settings without gates.
        gate: 0 to 1.
        gain_divisor: Of each band's gain, see `AdaptiveDecoder`.
    """
    gain_db = namespace(eq.gain_db).clip(eq.gain_db / gain_divisor[None], -MAX_GAIN_DB, MAX_GAIN_DB)
    return eq.replace(gain_db=gain_db, gate=gate)


def soft_gate(logit: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
    """sigmoid(logit): never quite 0, so a large gain evades a price of the gate."""
    return sigmoid(logit)


def hard_gate(
    logit: Float[Array, "batch bands"], uniform: Float[Array, "batch bands"] | None = None
) -> Float[Array, "batch bands"]:
    """A gate that can be exactly 0 and exactly 1: a sigmoid stretched to −0.1 … 1.1 and clipped.

    Source: Louizos, Welling, Kingma, "Learning sparse neural networks through L0 regularization" (2018), equations 10
    to 13.

    Args:
        logit: log α of each gate.
        uniform: Random numbers in (0, 1), with which clipped gates get gradients in the mean; None for inference.
    """
    if uniform is None:
        share = sigmoid(logit)
    else:
        share = sigmoid((logit + jnp.log(uniform) - jnp.log1p(-uniform)) / _HARD_TEMPERATURE)
    return namespace(share).clip(_HARD_MIN + (_HARD_MAX - _HARD_MIN) * share, 0.0, 1.0)


def nonzero_logit(logit: Float[Array, "batch bands"]) -> Float[Array, "batch bands"]:
    """The logit of the probability that a random `hard_gate` is not 0 (equation 12 of the same source)."""
    return logit + HARD_GATE_LOGIT_SHIFT


def price_logit(logit: Float[Array, "batch bands"], kind: str) -> Float[Array, "batch bands"]:
    """The logits whose sigmoids have a price: of `soft` gates, or of the probability that `hard` ones are not 0."""
    return nonzero_logit(logit) if kind == "hard" else logit


GATES = {"soft": soft_gate, "hard": hard_gate}  # in inference
