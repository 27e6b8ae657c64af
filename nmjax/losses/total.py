"""The one weighted sum."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.config import LossConfig
from nmjax.losses.loudness import at_loudness_of, lufs_distance
from nmjax.losses.regularisers import gain_size, gate_entropy, gate_sum, processing_size, q_spread
from nmjax.losses.spectral import a_weighted, mr_stft

Terms = dict[str, Array]


def signal_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    sample_rate: float,
    config: LossConfig,
) -> tuple[Float[Array, ""], Terms]:
    """What is heard: the weighted sum of the signal terms, and each term before its weight. A term of weight 0 is left
    out, and costs nothing. With `match_level` all but `lufs` judge the output at the target's loudness."""
    terms = {}
    if config.lufs:
        terms["lufs"] = lufs_distance(output, target, sample_rate)
    if config.match_level:
        output = at_loudness_of(target, output, sample_rate)
    if config.mr_stft:
        terms["mr_stft"] = mr_stft(output, target, sample_rate, config.windows, config.highest_hz)
    if config.a_weighted:
        terms["a_weighted"] = a_weighted(output, target, sample_rate, highest_hz=config.highest_hz)
    return sum((getattr(config, name) * term for name, term in terms.items()), jnp.zeros(())), terms


def regularisation(
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    gate_logit: Float[Array, "batch bands"] | None,
    config: LossConfig,
    sparsity_share: Float[Array, ""],
    processing: Float[Array, "batch settings"] | None = None,
) -> tuple[Float[Array, ""], Terms]:
    """What the settings cost. `sparsity_share` (0 to 1) is how far the weight of the gates' sparsity has warmed up.
    processing: how far the stages behind the equaliser are from neutral (`nmjax.models.stages.processing`)."""
    terms = {"gain": gain_size(gain_db), "q": q_spread(q)}
    total = config.gain * terms["gain"] + config.q * terms["q"]
    if gate_logit is not None:
        terms |= {"gates": gate_sum(gate_logit), "gate_entropy": gate_entropy(gate_logit)}
        total += config.sparsity * sparsity_share * terms["gates"] + config.decisiveness * terms["gate_entropy"]
    if processing is not None:
        terms["processing"] = processing_size(processing)
        total += config.processing * terms["processing"]
    return jnp.asarray(total), terms
