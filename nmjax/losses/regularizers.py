"""What keeps the settings moderate and the gates decided; all averaged over the batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.numerics import smooth_abs


def gain_l1(gain_db: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Mean |gain| in dB, smooth at 0 (an L2 norm has no gradient at the identity)."""
    return jnp.mean(smooth_abs(gain_db))


def neutrality(neutral_distance: Float[Array, "batch settings"]) -> Float[Array, ""]:
    """Mean |distance from neutral| of the stages' settings, each as a share of its range; smooth at 0."""
    return jnp.mean(smooth_abs(neutral_distance, 0.01))


def q_deviation(q: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Mean (q − 1)²."""
    return jnp.mean((q - 1.0) ** 2)


def gate_l1(gate_logit: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Sparsity: Σ gate over the bands."""
    return jnp.mean(jnp.sum(jax.nn.sigmoid(gate_logit), axis=1))


def gate_entropy(gate_logit: Float[Array, "batch bands"]) -> Float[Array, ""]:
    """Decisiveness: Σ −(w ln w + (1 − w) ln(1 − w)) over the bands, w = sigmoid(l), in nats.

    From the logit: −ln w = softplus(−l) and −ln(1 − w) = softplus(l), so that nothing is infinite at saturated gates.
    """
    gate = jax.nn.sigmoid(gate_logit)
    entropy = gate * jax.nn.softplus(-gate_logit) + (1.0 - gate) * jax.nn.softplus(gate_logit)
    return jnp.mean(jnp.sum(entropy, axis=1))
