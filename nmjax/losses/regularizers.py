"""Regularizers of the predicted settings, averaged over the batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.numerics import smooth_abs


def gain_l1(gain_db: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Mean |gain| in dB, smooth at 0 (the gradient of an L2 norm is undefined at the identity)."""
    return jnp.mean(smooth_abs(gain_db))


def neutrality(neutral_distance: Float[Array, "batch settings"]) -> Float[Array, ""]:
    """Mean |distance from neutral| of the processors' settings, each relative to its range; smooth at 0."""
    return jnp.mean(smooth_abs(neutral_distance, 0.01))


def q_deviation(q: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Mean (q − 1)²."""
    return jnp.mean((q - 1.0) ** 2)


def gate_l1(gate_logit: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Sparsity of the gates: Σ sigmoid(logit) over the bands."""
    return jnp.mean(jnp.sum(jax.nn.sigmoid(gate_logit), axis=1))


def gate_entropy(gate_logit: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Binary entropy of the gates in nats: Σ −(w ln w + (1 − w) ln(1 − w)) over the bands, w = sigmoid(logit).

    Computed from the logit, −ln w = softplus(−logit) and −ln(1 − w) = softplus(logit), so it is finite for saturated
    gates.
    """
    gate = jax.nn.sigmoid(gate_logit)
    entropy = gate * jax.nn.softplus(-gate_logit) + (1.0 - gate) * jax.nn.softplus(gate_logit)
    return jnp.mean(jnp.sum(entropy, axis=1))
