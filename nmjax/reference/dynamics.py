"""Compressor settings that move crest factor and loudness range towards a reference's, by gradient descent.

Under a slowly varying gain, both features depend only on the signal's power, K-weighted power and peak at each control
point. So the optimization computes the compressor's gain, not its output.
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
from nmjax.models.processors import PROCESSORS
from nmjax.reference.dynamics_target import CREST_SCALE_DB, RANGE_SCALE_LU, DynamicsChange, DynamicsTarget, moved_away
from nmjax.reference.gradient_descent import minimize
from nmjax.runtime.stored_programs import stored_jit

_STEPS, _LEARNING_RATE = 60, 0.2
_FITTED_HARM = 0.2  # dB or LU by which a feature may move away from the reference, less than a measured one may
_HARM_WEIGHT = 10.0  # cost of moving away by 1 dB or LU more
_PROXIMITY_WEIGHT = 0.02  # cost of changing a raw parameter by 1
_PARAMETERS = PROCESSORS["compressor"].settings
NUM_PARAMETERS = len(_PARAMETERS)
FREE_PARAMETERS = [i for i, row in enumerate(_PARAMETERS) if row.name not in ("knee_db", "makeup_db")]
_MAX_RAW = 4.0  # limit of the start: at an end of its range a raw parameter would be infinite
_RATIO_INDEX = [row.name for row in _PARAMETERS].index("ratio")
_MIN_SLOPE = 0.02  # less compression is none
_POWER_FLOOR = 1e-10
_GATE_DB = 30.0  # excerpts further below the loudest one are ignored


def without_expansion(compressor: Compressor | None) -> Compressor | None:
    """The compressor, or a neutral one in the place of an expander."""
    if compressor is None or float(compressor.ratio[0]) >= 1.0:
        return compressor
    return dataclasses.replace(compressor, ratio=np.ones(1, np.float32), makeup_db=np.zeros(1, np.float32))


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
    compressor, slope = _optimize(audio, *(jnp.asarray(x, jnp.float32) for x in (start, min_raw)), target.numbers())
    return current if abs(float(slope)) < _MIN_SLOPE else jax.tree.map(np.asarray, compressor)


def load_programs(audio: Float[np.ndarray, "blocks time channel"]) -> None:
    """Loads the compiled programs for excerpts like these."""
    _crest_and_slope_change.load(audio, audio)
    raw = np.zeros(NUM_PARAMETERS, np.float32)
    _optimize.load(audio, raw, raw, np.zeros(len(dataclasses.fields(DynamicsTarget)), np.float32))


def halved(compressor: Compressor) -> Compressor:
    """The compressor with half the gain in dB at every moment: makeup − (1 − 1/ratio)·envelope."""
    slope = 0.5 * (1.0 - 1.0 / np.asarray(compressor.ratio))
    return dataclasses.replace(compressor, ratio=1.0 / (1.0 - slope), makeup_db=0.5 * np.asarray(compressor.makeup_db))


def raw_parameters(compressor: Compressor | None) -> Float[np.ndarray, " settings"]:
    """Raw parameters to start a fit from; the middle of each range for None."""
    if compressor is None:
        return np.zeros(NUM_PARAMETERS)
    raw = np.array([row.to_raw(float(getattr(compressor, row.name)[0])) for row in _PARAMETERS])
    return np.clip(raw, -_MAX_RAW, _MAX_RAW)


def compressor_from_raw(
    raw: Float[Array, " settings"], makeup_db: float | Float[Array, ""] = 0.0, batch_size: int = 1
) -> Compressor:
    """Settings from raw parameters, with a make-up gain within its range; within a compiled function."""
    values = [jnp.broadcast_to(row.from_raw(raw[i : i + 1]), (batch_size,)) for i, row in enumerate(_PARAMETERS)]
    makeup_db = jnp.clip(makeup_db, _PARAMETERS[-1].low, _PARAMETERS[-1].high)
    return dataclasses.replace(Compressor(*values), makeup_db=jnp.broadcast_to(makeup_db, (batch_size,)))


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
    """Settings of the least cost, whose make-up gain keeps the level, and the slope of the compressor.

    min_raw: lower limits of the raw parameters. target: the numbers of a `DynamicsTarget`.
    """
    crest_change_db, range_change_lu, current_range_lu, crest_to_reference_db, range_to_reference_lu = target
    blocks, hop = len(audio), control_hop(SAMPLE_RATE)
    trimmed = audio[:, : audio.shape[1] // hop * hop]
    hops = trimmed.reshape(blocks, -1, hop, trimmed.shape[2])
    power, peak = jnp.mean(hops**2, axis=(2, 3)), jnp.max(jnp.abs(hops), axis=(2, 3))
    weighted_power = jnp.mean(weighted_energy(k_weight(trimmed, SAMPLE_RATE)[0]).reshape(blocks, -1, hop), axis=2)
    free_mask = jnp.zeros(len(_PARAMETERS)).at[jnp.array(FREE_PARAMETERS)].set(1.0)
    crest_before_db, loudness_before_db = _crest_db(peak, power), level_db(jnp.mean(weighted_power, axis=1))

    def changes_for(raw):
        """Crest factor, loudness range and level."""
        gain_db = -gain_reduction_db(trimmed, compressor_from_raw(raw, batch_size=blocks), SAMPLE_RATE)[0]
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
        crest_error = ((crest_db - crest_change_db) / CREST_SCALE_DB) ** 2
        range_error = ((range_lu - range_change_lu) / RANGE_SCALE_LU) ** 2
        harm = jnp.stack([moved_away(crest_db, crest_to_reference_db), moved_away(range_lu, range_to_reference_lu)])
        range_error += _HARM_WEIGHT * jnp.sum(jnp.maximum(harm - _FITTED_HARM, 0.0) ** 2)
        return crest_error + range_error + _PROXIMITY_WEIGHT * jnp.sum(offset**2)

    best, _ = minimize(objective, jnp.zeros(len(_PARAMETERS)), _STEPS, _LEARNING_RATE)
    raw = jnp.maximum(start + free_mask * best, min_raw)
    compressor = compressor_from_raw(raw, -changes_for(raw)[2])
    return compressor, compressor.slope[0]


def _crest_db(peak: Array, power: Array) -> Array:
    return 2.0 * level_db(jnp.max(peak, axis=1)) - level_db(jnp.mean(power, axis=1))


def level_db(power: Array) -> Array:
    """Power in dB, at least −100."""
    return safe_log(power, _POWER_FLOOR) * (10.0 / np.log(10.0))
