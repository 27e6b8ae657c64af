"""Compressor settings that move crest factor and loudness range towards a reference's, by least squares.

Under a slowly varying gain, both features depend only on the signal's power, K-weighted power and peak at each control
point. So the optimization computes the compressor's gain, not its output.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.audio.bs1770 import channel_weights
from nmjax.dsp import Compressor, detector_level_db
from nmjax.dsp.block_filter import BlockFilter
from nmjax.dsp.compressor import control_hop
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.svf import Svf, k_weighting_svf
from nmjax.models import SAMPLE_RATE
from nmjax.reference.compressor_fit import (
    MIN_RAW,
    NUM_PARAMETERS,
    RATIO_INDEX,
    compressor_from_raw,
    fit_raw_parameters,
    gains_db,
    hop_powers,
    level_db,
    raw_parameters,
    with_slopes,
)
from nmjax.reference.dynamics_target import CREST_SCALE_DB, RANGE_SCALE_LU, DynamicsChange, DynamicsTarget, moved_away

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
    audio: Float[np.ndarray, "blocks time channel"],
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
    excerpts = _measure(audio)

    def errors(raw: Float[np.ndarray, "sets settings"]) -> Float[np.ndarray, "sets 4"]:
        crest_db, slope, _ = _changes(raw, excerpts)
        range_lu = slope * target.current_range_lu
        harm = [moved_away(crest_db, target.crest_to_reference_db), moved_away(range_lu, target.range_to_reference_lu)]
        crest_error = (crest_db - target.crest_change_db) / CREST_SCALE_DB
        range_error = (range_lu - target.range_change_lu) / RANGE_SCALE_LU
        harm_errors = [np.sqrt(_HARM_WEIGHT) * np.maximum(x - _FITTED_HARM, 0.0) for x in harm]
        return np.stack([crest_error, range_error, *harm_errors], axis=1)

    raw = fit_raw_parameters(lambda raw: with_slopes(errors, raw), start, _PROXIMITY_WEIGHT, low)
    compressor = compressor_from_raw(raw[None], -_changes(raw[None], excerpts)[2])
    return current if abs(float(compressor.slope[0])) < _MIN_SLOPE else compressor


def halved(compressor: Compressor) -> Compressor:
    """The compressor with half the gain in dB at every moment: makeup − (1 − 1/ratio)·envelope."""
    slope = 0.5 * (1.0 - 1.0 / np.asarray(compressor.ratio))
    return dataclasses.replace(compressor, ratio=1.0 / (1.0 - slope), makeup_db=0.5 * np.asarray(compressor.makeup_db))


class ExcerptLevels(NamedTuple):
    """Levels of excerpts, `[blocks]` each, in dB.

    Attributes:
        crest_db: crest factor.
        loudness_db: K-weighted level.
    """

    crest_db: Float[np.ndarray, " blocks"]
    loudness_db: Float[np.ndarray, " blocks"]


def excerpt_levels(audio: Float[np.ndarray, "blocks time channel"]) -> ExcerptLevels:
    """The levels of excerpts at the model's sample rate."""
    crest_db = _crest_db(np.abs(audio).max(axis=(1, 2)), np.mean(hop_powers(audio, 1), axis=1))
    return ExcerptLevels(crest_db, level_db(np.mean(_weighted_energy(audio), axis=1)))


def dynamics_change(before: ExcerptLevels, after: ExcerptLevels) -> DynamicsChange:
    """Change of the dynamics between two versions of the same excerpts."""
    crest_change_db, loudness_change_db = (y - x for x, y in zip(before, after, strict=True))
    return DynamicsChange(
        float(_gated_mean(crest_change_db, before.loudness_db)),
        float(_regression_slope(before.loudness_db, loudness_change_db)),
    )


def filter_excerpts(
    audio: Float[np.ndarray, "blocks time channel"], svf: Svf
) -> Float[np.ndarray, "blocks time channel"]:
    """Excerpts through filters in series, from rest.

    Args:
        audio: excerpts.
        svf: coefficients `[1, filters]`.
    """
    blocks, time, channels = audio.shape
    block_filter = BlockFilter(svf)
    rows = np.moveaxis(audio, 2, 1).reshape(blocks * channels, time)
    filtered, _ = block_filter.process_rows(rows, block_filter.initial_state(len(rows)))
    return np.moveaxis(filtered.astype(audio.dtype).reshape(blocks, channels, time), 1, 2)


def _weighted_energy(audio: Float[np.ndarray, "blocks time channel"]) -> Float[np.ndarray, "blocks time"]:
    """The K-weighted square, summed over the channels with their weights."""
    weighted = filter_excerpts(audio, k_weighting_svf(SAMPLE_RATE))
    return np.einsum("btc,btc,c->bt", weighted, weighted, channel_weights(audio.shape[2]).astype(audio.dtype))


def _regression_slope(loudness_db: np.ndarray, change_db: np.ndarray) -> np.ndarray:
    """Slope of the linear regression of changes on the loudness, over the excerpts that pass the gate."""
    deviation = (loudness_db - _gated_mean(loudness_db, loudness_db)) * _gate(loudness_db)
    return np.asarray(np.sum(deviation * change_db, axis=-1) / (np.sum(deviation**2) + 1.0))


def _gated_mean(values: np.ndarray, loudness_db: np.ndarray) -> np.ndarray:
    """The mean over the blocks, the last axis, that pass the gate."""
    gate = _gate(loudness_db)
    return np.asarray(np.sum(values * gate, axis=-1) / np.sum(gate))


def _gate(loudness_db: np.ndarray) -> np.ndarray:
    """1 for excerpts within 30 dB of the loudest one, else 0."""
    return (loudness_db >= loudness_db.max() - _GATE_DB).astype(float)


class _Excerpts(NamedTuple):
    """What the fit needs of the excerpts, `[blocks, points]` each, and without a compressor `[blocks]` each."""

    power: np.ndarray
    weighted_power: np.ndarray
    peak: np.ndarray
    detector_db: np.ndarray
    crest_db: np.ndarray
    loudness_db: np.ndarray


def _measure(audio: Float[np.ndarray, "blocks time channel"]) -> _Excerpts:
    blocks, hop = len(audio), control_hop(SAMPLE_RATE)
    trimmed = audio[:, : audio.shape[1] // hop * hop]
    power, peak = hop_powers(trimmed, hop), np.abs(trimmed).reshape(blocks, -1, hop * trimmed.shape[2]).max(axis=2)
    weighted_power = _weighted_energy(trimmed).reshape(blocks, -1, hop).mean(axis=2)
    return _Excerpts(
        power=power,
        weighted_power=weighted_power,
        peak=peak,
        detector_db=detector_level_db(trimmed, SAMPLE_RATE),
        crest_db=_crest_db(peak.max(axis=1), power.mean(axis=1)),
        loudness_db=level_db(np.mean(weighted_power, axis=1)),
    )


def _changes(
    raw: Float[np.ndarray, "sets settings"], excerpts: _Excerpts
) -> tuple[Float[np.ndarray, " sets"], Float[np.ndarray, " sets"], Float[np.ndarray, " sets"]]:
    """Changes by compressors: of the crest factor in dB, of the loudness in dB per dB, and of the level in dB."""
    gain = db_to_amplitude(gains_db(excerpts.detector_db, raw))
    power = np.mean(excerpts.power * gain**2, axis=2)
    loudness_db = level_db(np.mean(excerpts.weighted_power * gain**2, axis=2))
    crest_change_db = _crest_db((excerpts.peak * gain).max(axis=2), power) - excerpts.crest_db
    return (
        _gated_mean(crest_change_db, excerpts.loudness_db),
        _regression_slope(excerpts.loudness_db, loudness_db - excerpts.loudness_db),
        level_db(np.mean(power, axis=1)) - level_db(np.asarray(np.mean(excerpts.power))),
    )


def _crest_db(peak: np.ndarray, power: np.ndarray) -> np.ndarray:
    return 2.0 * level_db(peak) - level_db(power)
