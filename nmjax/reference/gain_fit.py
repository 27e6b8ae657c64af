"""Compressor settings whose gain follows the difference in level of two mixes of the same passage, moment by moment.

The target gain is the level of the reference minus that of the equalized track, both over 0.2 s. Where a track was
compressed or expanded, a compressor's gain explains most of it; what it does not explain stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Compressor, detector_level_db, level_gain_reduction_db
from nmjax.dsp.compressor import control_hop
from nmjax.models import SAMPLE_RATE
from nmjax.reference.compressor_fit import (
    ErrorsAndSlopes,
    compressor_from_raw,
    fit_raw_parameters,
    level_db,
    raw_parameters,
    with_slopes,
)
from nmjax.runtime.lazy_jax import Array, jax, jnp
from nmjax.runtime.stored_programs import stored_jit

_SMOOTH_SECONDS = 0.2
_RANGE_DB = 40.0  # moments further below the loudest one are ignored
_PROXIMITY_WEIGHT = 0.002  # dB² for changing a raw parameter by 1
_AUDIBLE_DB2 = 0.04  # a target gain with less variance is none
_MIN_EXPLAINED = 0.3  # of the variance of the target gain; less can be a chance fit to what the EQ leaves


class _Moments(NamedTuple):
    """What the fit needs of the excerpts, `[blocks, points]` each.

    Attributes:
        power: mean square of each hop.
        detector_db: the level that a compressor compares with its threshold.
        target_db: the gain that leads to the reference.
        weight: of each moment; the sum is 1.
    """

    power: Array
    detector_db: Array
    target_db: Array
    weight: Array


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
    moments = _measure(audio, reference, np.float32(strength))
    start = raw_parameters(current)
    raw = fit_raw_parameters(lambda raw: _errors_and_slopes(raw, moments), start, _PROXIMITY_WEIGHT)
    compressor, explained = _finish(np.float32(raw), moments)
    return None if float(explained) < _MIN_EXPLAINED else jax.tree.map(np.asarray, compressor)


@stored_jit()
def _measure(audio, reference, strength) -> _Moments:
    hop, frames = control_hop(SAMPLE_RATE), min(audio.shape[1], reference.shape[1])
    audio, reference = (x[:, : frames // hop * hop] for x in (audio, reference))
    powers = [jnp.mean(x.reshape(len(x), -1, hop, x.shape[2]) ** 2, axis=(2, 3)) for x in (audio, reference)]
    level, target_level = (level_db(_smooth(x)) for x in powers)
    active = (level > level.max() - _RANGE_DB) & (target_level > target_level.max() - _RANGE_DB)
    return _Moments(
        power=powers[0],
        detector_db=detector_level_db(audio, SAMPLE_RATE),
        target_db=strength * (target_level - level),
        weight=active / jnp.maximum(jnp.sum(active), 1.0),
    )


@stored_jit()
def _errors_and_slopes(raw, moments: _Moments) -> ErrorsAndSlopes:
    """Errors whose sum of squares is the variance that remains of the target gain."""

    def errors(raw):
        return _deviations(moments.target_db - _smooth(_gain_db(raw, moments)), moments.weight)

    return with_slopes(errors, raw)


@stored_jit()
def _finish(raw, moments: _Moments) -> tuple[Compressor, Array]:
    """Settings whose make-up gain keeps the level, and the share of the target gain's variance that they explain."""
    gain_db = _gain_db(raw, moments)
    remaining, variance = (
        jnp.sum(_deviations(x, moments.weight) ** 2) for x in (moments.target_db - _smooth(gain_db), moments.target_db)
    )
    change = jnp.mean(moments.power * 10.0 ** (gain_db / 10.0)) / jnp.maximum(jnp.mean(moments.power), 1e-20)
    explained = (variance - remaining) / jnp.maximum(variance, _AUDIBLE_DB2)
    return compressor_from_raw(raw, -level_db(change)), explained


def _gain_db(raw: Array, moments: _Moments) -> Array:
    settings = compressor_from_raw(raw, batch_size=len(moments.detector_db))
    return -level_gain_reduction_db(moments.detector_db, settings, SAMPLE_RATE)


def _deviations(values: Array, weight: Array) -> Array:
    """Deviations from the weighted mean, whose squares add up to the weighted variance."""
    return (jnp.sqrt(weight) * (values - jnp.sum(weight * values))).ravel()


def _smooth(values: Array) -> Array:
    """Moving average over 0.2 s of values `[blocks, hops]`; the ends repeat."""
    size = max(1, round(_SMOOTH_SECONDS * SAMPLE_RATE / control_hop(SAMPLE_RATE)))
    padded = jnp.pad(values, ((0, 0), (size // 2, size - 1 - size // 2)), mode="edge")
    total = jnp.cumsum(jnp.pad(padded, ((0, 0), (1, 0))), axis=1)
    return (total[:, size:] - total[:, :-size]) / size
