"""Gains of the sides that are compared: exact after the pass over the whole track, estimated before."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.audio.k_weighting import k_weighting_power
from nmjax.dsp import static_curve_db
from nmjax.mastering.delivery.gain_search import estimate_delivery
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.spec import DeliverySpec
from nmjax.models import MODEL_LUFS
from nmjax.reference.response import bands_response_db
from nmjax.studio.curves import GRID_HZ
from nmjax.studio.prepared import Prepared
from nmjax.studio.track import Track

_MAX_CURVE_HZ_SHARE = 0.49
_SINE_LEVEL_DB = MODEL_LUFS + 3.0  # peak of a sine at the model's loudness


@dataclasses.dataclass(frozen=True)
class Levels:
    """How a master is played.

    Attributes:
        gain_db: of the delivery, before the limiter.
        ceiling_db: of the limiter, in dBTP; None where it is not needed.
        lufs: loudness after it.
        is_exact: whether it was measured.
    """

    gain_db: float
    ceiling_db: float | None
    lufs: float
    is_exact: bool


def master_levels(track: Track, prepared: Prepared) -> Levels:
    """The levels of a track's current settings."""
    master, sound = track.master, track.sound
    if master and master.revision == prepared.revision:
        return Levels(master.delivery.gain_db, master.delivery.ceiling_db, master.lufs, is_exact=True)
    spec, lufs = prepared.spec, prepared.signal.lufs
    if not math.isfinite(lufs):
        return Levels(0.0, spec.true_peak_db, lufs, is_exact=False)
    change_db = loudness_change_db(prepared, track)
    if sound is None:
        gain_db = (spec.lufs - lufs - change_db) if spec.lufs is not None else 0.0
        return Levels(gain_db, spec.true_peak_db, lufs + change_db + gain_db, is_exact=False)
    since_db = change_db - track.sound_change_db
    gain_db, delivered_lufs = _estimate(sound.scan, spec)
    if spec.lufs is not None:
        return Levels(gain_db - since_db, spec.true_peak_db, delivered_lufs, is_exact=False)
    return Levels(gain_db, spec.true_peak_db, delivered_lufs + since_db, is_exact=False)


@functools.lru_cache(maxsize=32)
def _estimate(scan: LoudnessScan, spec: DeliverySpec) -> tuple[float, float]:
    return estimate_delivery(scan, spec)


def loudness_change_db(prepared: Prepared, track: Track) -> float:
    """By how much the chain makes a track louder, estimated from its long-term spectrum and the settings.

    The equalizer by its response, K-weighted; the compressor by its gain for a steady sine at the model's level.
    """
    settings, analysis = prepared.plan.prediction.settings, track.analysis
    if analysis is None:
        return 0.0
    grid_hz = GRID_HZ[_MAX_CURVE_HZ_SHARE * track.sample_rate >= GRID_HZ]
    response_db = bands_response_db(settings.eq.bands(), grid_hz, prepared.suggestion.eq_sample_rate)
    weighted_db = np.asarray(analysis.spectrum_db)[: len(grid_hz)] + _k_weighting_db(track.sample_rate, len(grid_hz))
    power = 10.0 ** (weighted_db / 10.0)
    change_db = 10.0 * math.log10(float(np.sum(power * 10.0 ** (response_db / 10.0)) / np.sum(power)))
    if settings.compressor is None:
        return change_db
    output_db = static_curve_db(jnp.full((1, 1), _SINE_LEVEL_DB, jnp.float32), settings.compressor)
    return change_db + float(output_db[0, 0]) - _SINE_LEVEL_DB


@functools.cache
def _k_weighting_db(sample_rate: int, count: int) -> Float[np.ndarray, " points"]:
    return 10.0 * np.log10(k_weighting_power(GRID_HZ[:count], sample_rate) + 1e-18)
