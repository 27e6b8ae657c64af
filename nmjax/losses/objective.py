"""The training objective: weighted sums of named terms, one function for signals and one for settings."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.config import LossConfig
from nmjax.losses.loudness import lufs_loss, match_loudness
from nmjax.losses.regularizers import gain_l1, gate_entropy, gate_l1, neutrality, q_deviation
from nmjax.losses.spectral import a_weighted_loss, mr_stft_loss

LossTerms = dict[str, Array]  # scalar terms before their weights, by the names of the fields of LossConfig


def signal_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    sample_rate: float,
    config: LossConfig,
) -> tuple[Float[Array, ""], LossTerms]:
    """Weighted sum of the terms lufs, mr_stft and a_weighted on output and target.

    A term with weight 0 is not computed. With `config.match_level` all terms but lufs compare the output at the
    loudness of the target.

    Args:
        output: mono or stereo, any length.
        target: of the same shape.
        sample_rate: Hz.
        config: the weights, named like the terms, and the terms' settings.

    Returns:
        the weighted sum, and the terms before their weights.
    """
    terms: LossTerms = {}
    if config.lufs:
        terms["lufs"] = lufs_loss(output, target, sample_rate)
    if config.match_level:
        output = match_loudness(target, output, sample_rate)
    if config.mr_stft:
        terms["mr_stft"] = mr_stft_loss(output, target, sample_rate, config.fft_sizes, config.max_hz)
    if config.a_weighted:
        terms["a_weighted"] = a_weighted_loss(output, target, sample_rate, max_hz=config.max_hz)
    return sum((getattr(config, name) * term for name, term in terms.items()), start=jnp.zeros(())), terms


def regularization(
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    gate_logit: Float[Array, "batch bands"] | None,
    config: LossConfig,
    gate_l1_ramp: Float[Array, ""],
    neutral_distance: Float[Array, "batch settings"] | None = None,
) -> tuple[Float[Array, ""], LossTerms]:
    """Weighted sum of the regularizers of the predicted settings.

    Args:
        gain_db: gains of the bands.
        q: quality factors of the bands.
        gate_logit: logits of the gates; None for a model without gates.
        config: the weights, named like the terms.
        gate_l1_ramp: 0 to 1, the warm-up of the weight of `gate_l1`.
        neutral_distance: distance of the processors' settings from neutral, relative to their ranges
            (`nmjax.models.processors.distance_from_neutral`); None for a model without processors.

    Returns:
        the weighted sum, and the terms before their weights.
    """
    terms = {"gain": gain_l1(gain_db), "q": q_deviation(q)}
    total = config.gain * terms["gain"] + config.q * terms["q"]
    if gate_logit is not None:
        terms |= {"gate_l1": gate_l1(gate_logit), "gate_entropy": gate_entropy(gate_logit)}
        total += config.gate_l1 * gate_l1_ramp * terms["gate_l1"] + config.gate_entropy * terms["gate_entropy"]
    if neutral_distance is not None:
        terms["neutrality"] = neutrality(neutral_distance)
        total += config.neutrality * terms["neutrality"]
    return jnp.asarray(total), terms
