"""Compressor settings that move crest factor and loudness range towards a reference's, by least squares.

Under a slowly varying gain, both features depend only on the signal's power, K-weighted power and peak at each control
point. So the optimization computes the compressor's gain, not its output.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Compressor, detector_level_db, level_gain_reduction_db
from nmjax.dsp.compressor import control_hop
from nmjax.dsp.loudness import k_weight, weighted_energy
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.models import SAMPLE_RATE
from nmjax.reference.compressor_fit import (
    MIN_RAW,
    NUM_PARAMETERS,
    RATIO_INDEX,
    ErrorsAndSlopes,
    compressor_from_raw,
    fit_raw_parameters,
    level_db,
    raw_parameters,
    with_slopes,
)
from nmjax.reference.dynamics_target import CREST_SCALE_DB, RANGE_SCALE_LU, DynamicsChange, DynamicsTarget, moved_away
from nmjax.runtime.lazy_jax import Array, jax, jnp
from nmjax.runtime.stored_programs import stored_jit

_FITTED_HARM = 0.2  # dB or LU by which a feature may move away from the reference, less than a measured one may
_HARM_WEIGHT = 10.0  # cost of moving away by 1 dB or LU more
_PROXIMITY_WEIGHT = 0.02  # cost of changing a raw parameter by 1
_MIN_SLOPE = 0.02  # less compression is none
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
    low = np.full(NUM_PARAMETERS, MIN_RAW)
    if not may_expand:
        start[RATIO_INDEX], low[RATIO_INDEX] = max(start[RATIO_INDEX], 0.0), 0.0  # raw 0 is a ratio of 1
    excerpts, numbers = _measure(audio), target.numbers()
    raw = fit_raw_parameters(lambda raw: _errors_and_slopes(raw, excerpts, numbers), start, _PROXIMITY_WEIGHT, low)
    compressor = jax.tree.map(np.asarray, _finish(np.float32(raw), excerpts))
    slope = 1.0 - 1.0 / float(np.asarray(compressor.ratio)[0])
    return current if abs(slope) < _MIN_SLOPE else compressor


def load_programs(audio: Float[np.ndarray, "blocks time channel"]) -> None:
    """Loads the compiled programs for excerpts like these."""
    _crest_and_slope_change.load(audio, audio)
    _measure.load(audio)
    blocks, raw = len(audio), np.zeros(NUM_PARAMETERS, np.float32)
    by_point: Any = np.zeros((blocks, audio.shape[1] // control_hop(SAMPLE_RATE)), np.float32)
    by_block: Any = np.zeros(blocks, np.float32)
    excerpts = _Excerpts(by_point, by_point, by_point, by_point, by_block, by_block)
    _errors_and_slopes.load(raw, excerpts, np.zeros(len(dataclasses.fields(DynamicsTarget)), np.float32))
    _finish.load(raw, excerpts)


def halved(compressor: Compressor) -> Compressor:
    """The compressor with half the gain in dB at every moment: makeup − (1 − 1/ratio)·envelope."""
    slope = 0.5 * (1.0 - 1.0 / np.asarray(compressor.ratio))
    return dataclasses.replace(compressor, ratio=1.0 / (1.0 - slope), makeup_db=0.5 * np.asarray(compressor.makeup_db))


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


class _Excerpts(NamedTuple):
    """What the fit needs of the excerpts, `[blocks, points]` each, and without a compressor `[blocks]` each."""

    power: Array
    weighted_power: Array
    peak: Array
    detector_db: Array
    crest_db: Array
    loudness_db: Array


@stored_jit()
def _measure(audio) -> _Excerpts:
    blocks, hop = len(audio), control_hop(SAMPLE_RATE)
    trimmed = audio[:, : audio.shape[1] // hop * hop]
    hops = trimmed.reshape(blocks, -1, hop, trimmed.shape[2])
    power, peak = jnp.mean(hops**2, axis=(2, 3)), jnp.max(jnp.abs(hops), axis=(2, 3))
    weighted_power = jnp.mean(weighted_energy(k_weight(trimmed, SAMPLE_RATE)[0]).reshape(blocks, -1, hop), axis=2)
    return _Excerpts(
        power=power,
        weighted_power=weighted_power,
        peak=peak,
        detector_db=detector_level_db(trimmed, SAMPLE_RATE),
        crest_db=_crest_db(peak, power),
        loudness_db=level_db(jnp.mean(weighted_power, axis=1)),
    )


@stored_jit()
def _errors_and_slopes(raw, excerpts: _Excerpts, target) -> ErrorsAndSlopes:
    """Errors of the dynamics. target: the numbers of a `DynamicsTarget`."""
    crest_change_db, range_change_lu, current_range_lu, crest_to_reference_db, range_to_reference_lu = target

    def errors(raw):
        crest_db, slope, _ = _changes(raw, excerpts)
        range_lu = slope * current_range_lu
        harm = jnp.stack([moved_away(crest_db, crest_to_reference_db), moved_away(range_lu, range_to_reference_lu)])
        harm_errors = np.sqrt(_HARM_WEIGHT) * jnp.maximum(harm - _FITTED_HARM, 0.0)
        crest_error = (crest_db - crest_change_db) / CREST_SCALE_DB
        range_error = (range_lu - range_change_lu) / RANGE_SCALE_LU
        return jnp.concatenate([jnp.stack([crest_error, range_error]), harm_errors])

    return with_slopes(errors, raw)


@stored_jit()
def _finish(raw, excerpts: _Excerpts) -> Compressor:
    """Settings whose make-up gain keeps the level."""
    return compressor_from_raw(raw, -_changes(raw, excerpts)[2])


def _changes(raw: Array, excerpts: _Excerpts) -> tuple[Array, Array, Array]:
    """Change of the crest factor in dB, of the loudness in dB per dB, and of the level in dB by a compressor."""
    settings = compressor_from_raw(raw, batch_size=len(excerpts.detector_db))
    gain = db_to_amplitude(-level_gain_reduction_db(excerpts.detector_db, settings, SAMPLE_RATE))
    power, loudness_db = excerpts.power * gain**2, level_db(jnp.mean(excerpts.weighted_power * gain**2, axis=1))
    crest_change_db = _crest_db(excerpts.peak * gain, power) - excerpts.crest_db
    return (
        _gated_mean(crest_change_db, excerpts.loudness_db),
        _regression_slope(excerpts.loudness_db, loudness_db - excerpts.loudness_db),
        level_db(jnp.mean(power)) - level_db(jnp.mean(excerpts.power)),
    )


def _crest_db(peak: Array, power: Array) -> Array:
    return 2.0 * level_db(jnp.max(peak, axis=1)) - level_db(jnp.mean(power, axis=1))
