"""The one weighted sum."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.config import LossConfig
from nmjax.losses.loudness import lufs_loss, match_loudness
from nmjax.losses.regularizers import gain_l1, gate_entropy, gate_l1, neutrality, q_deviation
from nmjax.losses.spectral import a_weighted_loss, mr_stft_loss

LossTerms = dict[str, Array]


def signal_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    sample_rate: float,
    config: LossConfig,
) -> tuple[Float[Array, ""], LossTerms]:
    """What is heard: the weighted sum of the signal terms, and each term before its weight. A term of weight 0 is left
    out, and costs nothing. With `match_level` all but `lufs` judge the output at the target's loudness."""
    terms = {}
    if config.lufs:
        terms["lufs"] = lufs_loss(output, target, sample_rate)
    if config.match_level:
        output = match_loudness(target, output, sample_rate)
    if config.mr_stft:
        terms["mr_stft"] = mr_stft_loss(output, target, sample_rate, config.fft_sizes, config.max_hz)
    if config.a_weighted:
        terms["a_weighted"] = a_weighted_loss(output, target, sample_rate, max_hz=config.max_hz)
    return sum((getattr(config, name) * term for name, term in terms.items()), jnp.zeros(())), terms


def regularization(
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    gate_logit: Float[Array, "batch bands"] | None,
    config: LossConfig,
    gate_l1_ramp: Float[Array, ""],
    neutral_distance: Float[Array, "batch settings"] | None = None,
) -> tuple[Float[Array, ""], LossTerms]:
    """What the settings cost. `sparsity_share` (0 to 1) is how far the weight of the gates' sparsity has warmed up.
    processing: how far the stages behind the equaliser are from neutral (`nmjax.models.processors.processing`)."""
    terms = {"gain": gain_l1(gain_db), "q": q_deviation(q)}
    total = config.gain * terms["gain"] + config.q * terms["q"]
    if gate_logit is not None:
        terms |= {"gate_l1": gate_l1(gate_logit), "gate_entropy": gate_entropy(gate_logit)}
        total += config.gate_l1 * gate_l1_ramp * terms["gate_l1"] + config.gate_entropy * terms["gate_entropy"]
    if neutral_distance is not None:
        terms["neutrality"] = neutrality(neutral_distance)
        total += config.neutrality * terms["neutrality"]
    return jnp.asarray(total), terms
