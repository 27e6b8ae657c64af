"""A compressor that brings crest and loudness range towards a reference's: gradient descent through its own gain.

The features of a signal with a gain that moves slowly need the signal's power, loudness and peak by control point
alone: so of the rendering only the gain is computed, and its gradient.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Compressor, gain_reduction_db
from nmjax.dsp.compressor import control_hop
from nmjax.dsp.loudness import k_weight, weighted_energy
from nmjax.dsp.numerics import safe_log
from nmjax.models import SAMPLE_RATE
from nmjax.models.processors import processor_settings
from nmjax.reference.gradient_descent import minimize

_STEPS, _LEARNING_RATE = 60, 0.2
_CREST_SCALE_DB, _RANGE_SCALE_LU = 0.5, 1.0  # of the error that counts as one
_PROXIMITY_WEIGHT = 0.02  # of the cost of a raw number that moves by one
_PARAMETERS = processor_settings("compressor")
_FREE_PARAMETERS = [i for i, row in enumerate(_PARAMETERS) if row.name not in ("knee_db", "makeup_db")]
_MAX_RAW = 4.0  # what lies at an end of its range would be infinite
_MIN_SLOPE = 0.02  # with less nothing is compressed
_POWER_FLOOR = 1e-10
_GATE_DB = 30.0


@dataclasses.dataclass(frozen=True)
class DynamicsChange:
    """By how much the crest of excerpts changes, in the mean, and by how many dB more one that is a dB louder."""

    crest_db: float
    slope: float


@dataclasses.dataclass(frozen=True)
class DynamicsTarget:
    """By how much the median crest of 3 s is to change, and the loudness range, of `range_lu` so far."""

    crest_change_db: float
    range_change_lu: float
    current_range_lu: float


def fit_compressor(
    audio: Float[Array, "blocks time channel"], current: Compressor | None, target: DynamicsTarget
) -> Compressor | None:
    """A compressor (its fields `[1]`); what is there, or None, where it would do next to nothing.

    Args:
        audio: excerpts of the equalised track at the model's rate and level.
        there: where it starts from, and what the prior holds to.
        wanted: see there.
    """
    start = np.array(
        [0.0 if current is None else row.to_raw(float(getattr(current, row.name)[0])) for row in _PARAMETERS]
    )
    start = np.clip(start, -_MAX_RAW, _MAX_RAW)
    raw, changes = _optimize(audio, jnp.asarray(start, jnp.float32), jnp.array(dataclasses.astuple(target)))
    compressor = _compressor_from_raw(raw)
    if abs(float(compressor.slope[0])) < _MIN_SLOPE:
        return current
    return dataclasses.replace(
        compressor, makeup_db=jnp.clip(-changes[2], _PARAMETERS[-1].low, _PARAMETERS[-1].high)[None]
    )


def _compressor_from_raw(raw: Float[Array, " settings"], batch_size: int = 1) -> Compressor:
    """Without make-up."""
    values = [jnp.broadcast_to(row.from_raw(raw[i : i + 1]), (batch_size,)) for i, row in enumerate(_PARAMETERS)]
    return dataclasses.replace(Compressor(*values), makeup_db=jnp.zeros(batch_size))


def dynamics_change(
    before: Float[Array, "blocks time channel"], after: Float[Array, "blocks time channel"]
) -> DynamicsChange:
    """What was done to excerpts at the model's rate."""
    return DynamicsChange(*(float(x) for x in _crest_and_slope_change(before, after)))


@jax.jit
def _crest_and_slope_change(before, after):
    (crest_before_db, loudness_before_db), (crest_after_db, loudness_after_db) = (
        (_crest_db(jnp.max(jnp.abs(x), axis=2), jnp.mean(x**2, axis=2)), _loudness_db(x)) for x in (before, after)
    )
    return _gated_mean(crest_after_db - crest_before_db, loudness_before_db), _regression_slope(
        loudness_before_db, loudness_after_db - loudness_before_db
    )


def _loudness_db(audio: Array) -> Array:
    return _db(jnp.mean(weighted_energy(k_weight(audio, SAMPLE_RATE)[0]), axis=1))


def _regression_slope(loudness_db: Array, change_db: Array) -> Array:
    """dB more a dB of loudness."""
    deviation = (loudness_db - _gated_mean(loudness_db, loudness_db)) * _gate(loudness_db)
    return jnp.sum(deviation * change_db) / (jnp.sum(deviation**2) + 1.0)


def _gated_mean(values: Array, loudness_db: Array) -> Array:
    """Over the excerpts that sound."""
    return jnp.sum(values * _gate(loudness_db)) / jnp.sum(_gate(loudness_db))


def _gate(loudness_db: Array) -> Array:
    """1 for the loudest and what is up to 30 dB below, else 0."""
    return jnp.float32(loudness_db >= jnp.max(loudness_db) - _GATE_DB)


@jax.jit
def _optimize(audio, start, target):
    """The raw numbers of least cost on the way, and what they change: crest, range, level."""
    blocks, hop = len(audio), control_hop(SAMPLE_RATE)
    trimmed = audio[:, : audio.shape[1] // hop * hop]
    hops = trimmed.reshape(blocks, -1, hop, trimmed.shape[2])
    power, peak = jnp.mean(hops**2, axis=(2, 3)), jnp.max(jnp.abs(hops), axis=(2, 3))
    weighted_power = jnp.mean(weighted_energy(k_weight(trimmed, SAMPLE_RATE)[0]).reshape(blocks, -1, hop), axis=2)
    free_mask = jnp.zeros(len(_PARAMETERS)).at[jnp.array(_FREE_PARAMETERS)].set(1.0)
    crest_before_db, loudness_before_db = _crest_db(peak, power), _db(jnp.mean(weighted_power, axis=1))

    def changes_for(raw):
        gain_db = -gain_reduction_db(trimmed, _compressor_from_raw(raw, blocks), SAMPLE_RATE)[0]
        gain = jnp.exp(gain_db * (np.log(10.0) / 20.0))
        crest_db = _gated_mean(_crest_db(peak * gain, power * gain**2) - crest_before_db, loudness_before_db)
        slope = _regression_slope(
            loudness_before_db, _db(jnp.mean(weighted_power * gain**2, axis=1)) - loudness_before_db
        )
        level_db = _db(jnp.mean(power * gain**2)) - _db(jnp.mean(power))
        return jnp.stack([crest_db, slope * target[2], level_db])

    def objective(offset):
        raw = start + free_mask * offset
        crest_db, range_lu, _ = changes_for(raw)
        error = ((crest_db - target[0]) / _CREST_SCALE_DB) ** 2 + ((range_lu - target[1]) / _RANGE_SCALE_LU) ** 2
        return error + _PROXIMITY_WEIGHT * jnp.sum(offset**2)

    best, _ = minimize(objective, jnp.zeros(len(_PARAMETERS)), _STEPS, _LEARNING_RATE)
    raw = start + free_mask * best
    return raw, changes_for(raw)


def _crest_db(peak: Array, power: Array) -> Array:
    return 2.0 * _db(jnp.max(peak, axis=1)) - _db(jnp.mean(power, axis=1))


def _db(power: Array) -> Array:
    return safe_log(power, _POWER_FLOOR) * (10.0 / np.log(10.0))
