"""EQ of the side signal towards a reference: its tone after the EQ of both channels, without its level.

The level of the side is the stereo width, which `stereo_width.py` matches afterwards. Only other songs are matched: a
section of the same song differs in its side because other instruments play, and frames hold no spectrum of the side.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nmjax.dsp import Bands
from nmjax.models.parameters import EqSettings
from nmjax.reference import eq_fit
from nmjax.reference.bands import ACTIVE_RANGE_DB, CENTERS_HZ
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import BASS_HZ, NARROW_BASS, NO_LIMITS, MatchLimits
from nmjax.reference.posterior import Prior
from nmjax.reference.response import bands_response_db, open_settings, scale_pair_into_limits
from nmjax.reference.target_eq import limits_of_sound, long_term_correction, usable_bands

MAX_SIDE_BANDS = 6
_MIN_BASS_DB = -1.0  # of the side below 150 Hz, where a narrower bass is not allowed
_GAIN_PENALTY = 0.02  # dB² per dB of a filter's gain
_FLAT = Bands(*np.array([[[1000.0]], [[0.0]], [[1.0]]], np.float32))  # an array of JAX would start its backend here


def fit_side_eq(
    track: TrackFeatures,
    reference: TrackFeatures,
    bands: Bands,
    strength: float,
    prior: Prior,
    limits: MatchLimits,
) -> tuple[Bands, EqSettings | None]:
    """The equalizer of both channels, and that of the side, at most six filters; None where it has nothing to do.

    The response of mid, and that of both equalizers together, stay within the limits at equal loudness. The side
    changes the loudness, so gains of both may be scaled down. The side is not cut below 150 Hz by more than 1 dB unless
    a narrower bass is allowed.

    Args:
        track: features of the track before any EQ.
        reference: features of the reference.
        bands: the matched equalizer of both channels, `[1, bands]`.
        strength: share of the posterior mean to apply, 0 to 1.
        prior: prior of the tone's degradation.
        limits: limits of the match.
    """
    usable = _usable_side_bands(track, reference)
    if strength == 0.0 or not (track.stereo and reference.stereo and usable.any()):
        return bands, None
    eq_db = bands_response_db(bands, CENTERS_HZ)
    correction = long_term_correction(
        difference_db=reference.side_db - track.side_db - eq_db,
        variance_db2=track.std_error_db**2 + reference.std_error_db**2,
        usable=usable,
        prior=prior,
    )
    target_db = strength * correction.curve_db
    target_db -= np.average(target_db, weights=10.0 ** ((track.side_db + eq_db) / 10.0))  # about the side's level
    response_limits = limits.response(track)
    gain_db = eq_db - response_limits.loudness_change_db(eq_db)
    target_db = np.clip(
        target_db,
        np.minimum(-response_limits.cut_db - gain_db, 0.0),
        np.maximum(response_limits.at(CENTERS_HZ) - gain_db, 0.0),
    )
    side_limits = limits_of_sound(dataclasses.replace(track, mid_db=track.side_db), NO_LIMITS)
    if NARROW_BASS not in limits.allowed:
        target_db = np.where(CENTERS_HZ < BASS_HZ, np.maximum(target_db, 0.0), target_db)
        side_limits = side_limits._replace(min_bass_db=_MIN_BASS_DB)
    side_bands = eq_fit.fit_bands(
        initial=_FLAT,
        freq_hz=CENTERS_HZ,
        target_db=target_db,
        weight=correction.weight,
        gain_penalty=_GAIN_PENALTY,
        max_bands=MAX_SIDE_BANDS,
        limits=side_limits,
    )
    scaled, side_bands = scale_pair_into_limits(bands, side_bands, response_limits, side_limits)
    if not np.asarray(side_bands.gain_db).any():
        return bands, None
    return scaled, open_settings(side_bands)


class SideDifference(NamedTuple):
    """What turns the side of a track into that of another mix of the same passage, at `CENTERS_HZ`.

    Attributes:
        gain_db: the gain of the side, relative to that of mid.
        weight: 1 in the bands whose side holds music in both, else 0.
        power: power of the side in these bands.
    """

    gain_db: Float[np.ndarray, " bands"]
    weight: Float[np.ndarray, " bands"]
    power: Float[np.ndarray, " bands"]


def side_difference(
    track: TrackFeatures, reference: TrackFeatures, eq_db: Float[np.ndarray, " bands"]
) -> SideDifference | None:
    """The gain that the side of a track needs after an EQ; None where either has no side.

    Args:
        track: features of the track before any EQ.
        reference: features of another mix of the same passage.
        eq_db: response of the EQ of both channels at `CENTERS_HZ`.
    """
    usable = _usable_side_bands(track, reference)
    if not (track.stereo and reference.stereo and usable.any()):
        return None
    level_db = _total_db(reference.mid_db) - _total_db(track.mid_db + eq_db)
    gain_db = np.where(usable, reference.side_db - track.side_db - eq_db - level_db, 0.0)
    power = usable * 10.0 ** ((reference.side_db - reference.side_db.max()) / 10.0)
    return SideDifference(gain_db, usable.astype(float), power)


def _total_db(levels_db: Float[np.ndarray, " bands"]) -> float:
    return float(10.0 * np.log10(np.sum(10.0 ** (levels_db / 10.0))))


def after_side_eq(features: TrackFeatures, eq_side: EqSettings | None) -> TrackFeatures:
    """The features after the side's equalizer, as far as it changes the long-term levels of the side."""
    if eq_side is None:
        return features
    return dataclasses.replace(features, side_db=features.side_db + bands_response_db(eq_side.bands(), CENTERS_HZ))


def _usable_side_bands(track: TrackFeatures, reference: TrackFeatures) -> Bool[np.ndarray, " bands"]:
    """Mask of the bands whose side holds music rather than noise in both."""
    above_noise = [x.side_db > x.mid_db.max() - ACTIVE_RANGE_DB for x in (track, reference)]
    return usable_bands(track, reference) & above_noise[0] & above_noise[1]
