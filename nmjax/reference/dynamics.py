"""Compressor settings that move crest factor and loudness range towards a reference's, by gradient descent.

Under a slowly varying gain, both features depend only on the signal's power, K-weighted power and peak at each control
point. So the optimization computes the compressor's gain, not its output.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Compressor, gain_reduction_db
from nmjax.dsp.compressor import control_hop
from nmjax.dsp.loudness import k_weight, weighted_energy
from nmjax.dsp.numerics import safe_log
from nmjax.models import SAMPLE_RATE
from nmjax.models.processors import PROCESSORS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.gradient_descent import minimize
from nmjax.reference.posterior import Prior, shrink_difference
from nmjax.runtime.stored_programs import stored_jit

# RMS of the degradation of a track, and of the difference between two sections of 30 s of one song.
_CREST_DEGRADATION_DB, _CREST_NOISE_DB = 0.8, 2.0
_RANGE_DEGRADATION_LU, _RANGE_NOISE_LU = 1.0, 3.0
_CREST_CHANGE_LIMITS_DB, _RANGE_CHANGE_LIMITS_LU = (-6.0, 2.0), (-4.0, 2.0)
_MIN_CREST_CHANGE_DB, _MIN_RANGE_CHANGE_LU = 0.1, 0.2  # smaller changes need no compressor
_STEPS, _LEARNING_RATE = 60, 0.2
_CREST_SCALE_DB, _RANGE_SCALE_LU = 0.5, 1.0  # error that costs 1
_PROXIMITY_WEIGHT = 0.02  # cost of changing a raw parameter by 1
_PARAMETERS = PROCESSORS["compressor"].settings
NUM_PARAMETERS = len(_PARAMETERS)
FREE_PARAMETERS = [i for i, row in enumerate(_PARAMETERS) if row.name not in ("knee_db", "makeup_db")]
_MAX_RAW = 4.0  # limit of the start: at an end of its range a raw parameter would be infinite
_RATIO_INDEX = [row.name for row in _PARAMETERS].index("ratio")
_MIN_SLOPE = 0.02  # less compression is none
_POWER_FLOOR = 1e-10
_GATE_DB = 30.0  # excerpts further below the loudest one are ignored


@dataclasses.dataclass(frozen=True)
class DynamicsChange:
    """Measured change of excerpts.

    Attributes:
        crest_db: mean change of the crest factor.
        slope: change of the loudness in dB per dB of loudness; the loudness range grows by this share.
    """

    crest_db: float
    slope: float


@dataclasses.dataclass(frozen=True)
class DynamicsTarget:
    """Requested change: of the median crest factor of 3 s, and of the loudness range, which is `current_range_lu`."""

    crest_change_db: float
    range_change_lu: float
    current_range_lu: float

    @property
    def needs_expansion(self) -> bool:
        """Whether crest factor and loudness range shall grow on the whole."""
        return self.crest_change_db / _CREST_SCALE_DB + self.range_change_lu / _RANGE_SCALE_LU > 0.0


def dynamics_target(
    track: TrackFeatures,
    reference: TrackFeatures,
    strength: float,
    eq_change: DynamicsChange,
    compressor_change: DynamicsChange,
    prior: Prior,
) -> DynamicsTarget | None:
    """Change to request from the compressor; None where it would be inaudible.

    Args:
        track: features of the track before processing.
        reference: features of the reference.
        strength: share of the posterior mean to apply, 0 to 1.
        eq_change: effect of the EQ on the track.
        compressor_change: effect of the current compressor on the equalized track.
        prior: prior of the tone's degradation.
    """
    noise_scale = noise_scale_of_duration(track, reference)
    range_lu = (1.0 + eq_change.slope) * track.loudness_range  # NaN below 3 s, which requests no change
    crest_difference_db = reference.crest_db - (track.crest_db + eq_change.crest_db + compressor_change.crest_db)
    range_difference_lu = reference.loudness_range - (1.0 + compressor_change.slope) * range_lu
    crest_step_db = strength * shrink_difference(
        crest_difference_db, _CREST_DEGRADATION_DB, noise_scale * _CREST_NOISE_DB, prior
    )
    range_step_lu = strength * shrink_difference(
        range_difference_lu, _RANGE_DEGRADATION_LU, noise_scale * _RANGE_NOISE_LU, prior
    )
    if abs(crest_step_db) < _MIN_CREST_CHANGE_DB and abs(range_step_lu) < _MIN_RANGE_CHANGE_LU:
        return None
    range_lu = float(np.nan_to_num(range_lu))
    crest_change_db = np.clip(compressor_change.crest_db + crest_step_db, *_CREST_CHANGE_LIMITS_DB)
    range_change_lu = np.clip(compressor_change.slope * range_lu + range_step_lu, *_RANGE_CHANGE_LIMITS_LU)
    return DynamicsTarget(float(crest_change_db), float(range_change_lu), range_lu)


def noise_scale_of_duration(track: TrackFeatures, reference: TrackFeatures) -> float:
    """RMS noise of a single feature's difference, relative to that of two sections of 30 s."""
    return float(np.sqrt(sum(0.5 * 30.0 / max(x.seconds, 3.0) for x in (track, reference))))


def without_expansion(compressor: Compressor | None) -> Compressor | None:
    """The compressor, or a neutral one in the place of an expander."""
    if compressor is None or float(compressor.ratio[0]) >= 1.0:
        return compressor
    return dataclasses.replace(compressor, ratio=jnp.ones(1), makeup_db=jnp.zeros(1))


def fit_compressor(
    audio: Float[Array, "blocks time channel"],
    current: Compressor | None,
    target: DynamicsTarget,
    may_expand: bool = True,
) -> Compressor | None:
    """Fit threshold, ratio, attack and release to a change of the dynamics; make-up gain keeps the level.

    Args:
        audio: excerpts of the equalized track at the model's sample rate and level.
        current: settings to start from and to stay near; None starts from the middle of each range.
        target: requested change, relative to no compressor.
        may_expand: whether the ratio may be below 1; if not, `current` must have none below 1 either.

    Returns:
        Settings with fields `[1]`; `current` where the fit would compress next to nothing.
    """
    start = raw_parameters(current)
    min_raw = np.full(len(start), -np.inf)
    if not may_expand:
        start[_RATIO_INDEX], min_raw[_RATIO_INDEX] = max(start[_RATIO_INDEX], 0.0), 0.0
    raw, changes = _optimize(
        audio, *(jnp.asarray(x, jnp.float32) for x in (start, min_raw)), jnp.array(dataclasses.astuple(target))
    )
    _, _, level_change_db = changes
    compressor = compressor_from_raw(raw)
    if abs(float(compressor.slope[0])) < _MIN_SLOPE:
        return current
    return with_makeup(compressor, -level_change_db)


def with_makeup(compressor: Compressor, makeup_db: float | Array) -> Compressor:
    """The compressor with a make-up gain, within its range."""
    makeup_db = jnp.clip(makeup_db, _PARAMETERS[-1].low, _PARAMETERS[-1].high)
    return dataclasses.replace(compressor, makeup_db=jnp.reshape(makeup_db, 1))


def raw_parameters(compressor: Compressor | None) -> Float[np.ndarray, " settings"]:
    """Raw parameters to start a fit from; the middle of each range for None."""
    if compressor is None:
        return np.zeros(NUM_PARAMETERS)
    raw = np.array([row.to_raw(float(getattr(compressor, row.name)[0])) for row in _PARAMETERS])
    return np.clip(raw, -_MAX_RAW, _MAX_RAW)


def compressor_from_raw(raw: Float[Array, " settings"], batch_size: int = 1) -> Compressor:
    """Settings from raw parameters, without make-up gain."""
    values = [jnp.broadcast_to(row.from_raw(raw[i : i + 1]), (batch_size,)) for i, row in enumerate(_PARAMETERS)]
    return dataclasses.replace(Compressor(*values), makeup_db=jnp.zeros(batch_size))


def dynamics_change(
    before: Float[Array, "blocks time channel"], after: Float[Array, "blocks time channel"]
) -> DynamicsChange:
    """Change of the dynamics between two versions of the same excerpts at the model's sample rate."""
    return DynamicsChange(*(float(x) for x in _crest_and_slope_change(before, after)))


@stored_jit()
def _crest_and_slope_change(before, after):
    (crest_before_db, loudness_before_db), (crest_after_db, loudness_after_db) = (
        (_crest_db(jnp.max(jnp.abs(x), axis=2), jnp.mean(x**2, axis=2)), _loudness_db(x)) for x in (before, after)
    )
    return _gated_mean(crest_after_db - crest_before_db, loudness_before_db), _regression_slope(
        loudness_before_db, loudness_after_db - loudness_before_db
    )


def _loudness_db(audio: Array) -> Array:
    return level_db(jnp.mean(weighted_energy(k_weight(audio, SAMPLE_RATE)[0]), axis=1))


def _regression_slope(loudness_db: Array, change_db: Array) -> Array:
    """Slope of the linear regression of the change on the loudness, over the excerpts that pass the gate."""
    deviation = (loudness_db - _gated_mean(loudness_db, loudness_db)) * _gate(loudness_db)
    return jnp.sum(deviation * change_db) / (jnp.sum(deviation**2) + 1.0)


def _gated_mean(values: Array, loudness_db: Array) -> Array:
    return jnp.sum(values * _gate(loudness_db)) / jnp.sum(_gate(loudness_db))


def _gate(loudness_db: Array) -> Array:
    """1 for excerpts within 30 dB of the loudest one, else 0."""
    return jnp.float32(loudness_db >= jnp.max(loudness_db) - _GATE_DB)


@stored_jit()
def _optimize(audio, start, min_raw, target):
    """Raw parameters of the least cost, and what they change: crest factor, loudness range and level.

    min_raw: lower limits of the raw parameters. target: the fields of `DynamicsTarget`.
    """
    crest_change_db, range_change_lu, current_range_lu = target
    blocks, hop = len(audio), control_hop(SAMPLE_RATE)
    trimmed = audio[:, : audio.shape[1] // hop * hop]
    hops = trimmed.reshape(blocks, -1, hop, trimmed.shape[2])
    power, peak = jnp.mean(hops**2, axis=(2, 3)), jnp.max(jnp.abs(hops), axis=(2, 3))
    weighted_power = jnp.mean(weighted_energy(k_weight(trimmed, SAMPLE_RATE)[0]).reshape(blocks, -1, hop), axis=2)
    free_mask = jnp.zeros(len(_PARAMETERS)).at[jnp.array(FREE_PARAMETERS)].set(1.0)
    crest_before_db, loudness_before_db = _crest_db(peak, power), level_db(jnp.mean(weighted_power, axis=1))

    def changes_for(raw):
        """Crest factor, loudness range and level."""
        gain_db = -gain_reduction_db(trimmed, compressor_from_raw(raw, blocks), SAMPLE_RATE)[0]
        gain = jnp.exp(gain_db * (np.log(10.0) / 20.0))
        crest_db = _gated_mean(_crest_db(peak * gain, power * gain**2) - crest_before_db, loudness_before_db)
        slope = _regression_slope(
            loudness_before_db, level_db(jnp.mean(weighted_power * gain**2, axis=1)) - loudness_before_db
        )
        level_change_db = level_db(jnp.mean(power * gain**2)) - level_db(jnp.mean(power))
        return jnp.stack([crest_db, slope * current_range_lu, level_change_db])

    def objective(offset):
        raw = jnp.maximum(start + free_mask * offset, min_raw)
        crest_db, range_lu, _ = changes_for(raw)
        crest_error = ((crest_db - crest_change_db) / _CREST_SCALE_DB) ** 2
        range_error = ((range_lu - range_change_lu) / _RANGE_SCALE_LU) ** 2
        return crest_error + range_error + _PROXIMITY_WEIGHT * jnp.sum(offset**2)

    best, _ = minimize(objective, jnp.zeros(len(_PARAMETERS)), _STEPS, _LEARNING_RATE)
    raw = jnp.maximum(start + free_mask * best, min_raw)
    return raw, changes_for(raw)


def _crest_db(peak: Array, power: Array) -> Array:
    return 2.0 * level_db(jnp.max(peak, axis=1)) - level_db(jnp.mean(power, axis=1))


def level_db(power: Array) -> Array:
    """Power in dB, at least −100."""
    return safe_log(power, _POWER_FLOOR) * (10.0 / np.log(10.0))
