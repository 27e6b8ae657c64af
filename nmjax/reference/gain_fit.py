"""Compressor settings whose gain follows the difference in level of two mixes of the same passage, moment by moment.

The target gain is the level of the reference minus that of the equalized track, both over 0.2 s. Where a track was
compressed or expanded, a compressor's gain explains most of it; what it does not explain stays.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Compressor, gain_reduction_db
from nmjax.dsp.compressor import control_hop
from nmjax.models import SAMPLE_RATE
from nmjax.reference.dynamics import (
    FREE_PARAMETERS,
    NUM_PARAMETERS,
    compressor_from_raw,
    level_db,
    raw_parameters,
)
from nmjax.reference.gradient_descent import minimize
from nmjax.runtime.stored_programs import stored_jit

_SMOOTH_SECONDS = 0.2
_RANGE_DB = 40.0  # moments further below the loudest one are ignored
_STEPS, _LEARNING_RATE = 120, 0.2
_PROXIMITY_WEIGHT = 0.002  # dB² for changing a raw parameter by 1
_AUDIBLE_DB2 = 0.04  # a target gain with less variance is none
_MIN_EXPLAINED = 0.3  # of the variance of the target gain; less can be a chance fit to what the EQ leaves


def fit_compressor_to_mix(
    audio: Float[Array, "blocks time channel"],
    reference: Float[Array, "blocks reference_time reference_channel"],
    current: Compressor | None,
    strength: float,
) -> Compressor | None:
    """Fit threshold, ratio, attack and release so that the levels vary as in the reference; the level is unchanged.

    Args:
        audio: excerpts of the equalized track at the model's sample rate and level.
        reference: the same excerpts of the reference, at any level; the longer one is cut.
        current: settings to start from; None starts from the middle of each range.
        strength: share of the target gain to apply, above 0.

    Returns:
        Settings with fields `[1]`; None where no compressor explains the difference.
    """
    hop, frames = control_hop(SAMPLE_RATE), min(audio.shape[1], reference.shape[1])
    audio, reference = (x[:, : frames // hop * hop] for x in (audio, reference))
    start = jnp.asarray(raw_parameters(current), jnp.float32)
    compressor, explained = _optimize(audio, reference, start, strength)
    return None if float(explained) < _MIN_EXPLAINED else jax.tree.map(np.asarray, compressor)


@stored_jit()
def _optimize(audio, reference, start, strength):
    """Settings whose make-up gain keeps the level, and the share of the target gain's variance that they explain."""
    hop = control_hop(SAMPLE_RATE)
    powers = [jnp.mean(x.reshape(len(x), -1, hop, x.shape[2]) ** 2, axis=(2, 3)) for x in (audio, reference)]
    level, target_level = (level_db(_smooth(x)) for x in powers)
    active = (level > level.max() - _RANGE_DB) & (target_level > target_level.max() - _RANGE_DB)
    weight = active / jnp.maximum(jnp.sum(active), 1.0)
    free_mask = jnp.zeros(NUM_PARAMETERS).at[jnp.array(FREE_PARAMETERS)].set(1.0)

    def gain_db(raw):
        return -gain_reduction_db(audio, compressor_from_raw(raw, batch_size=len(audio)), SAMPLE_RATE)[0]

    def variance(values):
        return jnp.sum(weight * (values - jnp.sum(weight * values)) ** 2)

    target_db = strength * (target_level - level)

    def objective(offset):
        error_db = target_db - _smooth(gain_db(start + free_mask * offset))
        return variance(error_db) + _PROXIMITY_WEIGHT * jnp.sum(offset**2)

    best, _ = minimize(objective, jnp.zeros(NUM_PARAMETERS), _STEPS, _LEARNING_RATE)
    raw = start + free_mask * best
    remaining = variance(target_db - _smooth(gain_db(raw)))
    explained = (variance(target_db) - remaining) / jnp.maximum(variance(target_db), _AUDIBLE_DB2)
    change = jnp.mean(powers[0] * 10.0 ** (gain_db(raw) / 10.0)) / jnp.maximum(jnp.mean(powers[0]), 1e-20)
    return compressor_from_raw(raw, -level_db(change)), explained


def _smooth(values: Array) -> Array:
    """Moving average over 0.2 s of values `[blocks, hops]`; the ends repeat."""
    size = max(1, round(_SMOOTH_SECONDS * SAMPLE_RATE / control_hop(SAMPLE_RATE)))
    padded = jnp.pad(values, ((0, 0), (size // 2, size - 1 - size // 2)), mode="edge")
    total = jnp.cumsum(jnp.pad(padded, ((0, 0), (1, 0))), axis=1)
    return (total[:, size:] - total[:, :-size]) / size
