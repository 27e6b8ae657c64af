"""EQ correction towards a reference: posterior mean of the tonal difference under a Gaussian prior.

Two sections of one song differ by 3.6 dB RMS in sixths of an octave because other instruments play, so the difference
of the levels is not copied but shrunk, see `posterior.py` for the estimate. For the spectrum,

- d is the reference's level in each band minus the track's, minus the EQ curve that is applied already. With
  `match_frames` it is averaged over similar frames (`frame_matching.py`), otherwise it is the long-term difference.
- C, the covariance of the degradation, is smooth: C_ij = mean over w of exp(−½ (o_ij / w)²) with o_ij the distance of
  two bands in octaves and w = 0.7 and 1.4 octaves.
- N, the covariance of the noise, follows from the variance v of d (a jackknife, averaged over one octave):
  N_ij = sqrt(n_i n_j) (u δ_ij + (1 − u) exp(−o_ij / r)) with n = a v + b, see `NoiseModel`.
- The level of d is unknown (it is no part of the tone), and so is d in unusable bands: both get a large variance.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.frame_matching import FrameLevels, tone_difference
from nmjax.reference.limits import EMPTY_BOOST_DB, ResponseLimits, largest_factor
from nmjax.reference.posterior import Prior, posterior_mean

_OCTAVES = np.log2(CENTERS_HZ)
_DISTANCE_OCTAVES = np.abs(_OCTAVES[:, None] - _OCTAVES)
_SMOOTH_OCTAVES = 1.0  # over which the variance of d is averaged
_DEGRADATION_OCTAVES = (0.7, 1.4)  # widths w of C
_UNKNOWN_VARIANCE_DB2 = 1e4  # of unusable bands
_LEVEL_VARIANCE_DB2 = 100.0  # of the level of d
_MAX_DIFFERENCE_DB = 30.0
_EMPTY_BASS_DB = 50.0  # below the loudest band there is no sub-bass to boost
_HALF_BAND = 2.0 ** (1.0 / 12.0)
MAX_BOOST_DB = 18.0
_LEVEL_BISECTIONS = 30  # to 1e-7 dB
_FULL_BOOST_DB, _NO_BOOST_DB = 60.0, 80.0  # below the loudest band: full boost down to here, no boost from here on


@dataclasses.dataclass(frozen=True)
class NoiseModel:
    """Covariance of the differences that are due to the music, N in the formula above.

    Attributes:
        variance_scale: a, factor of the jackknife variance.
        min_variance_db2: b, added to it.
        correlation_octaves: r, decay of the correlation between bands.
        uncorrelated_share: u, share of the variance that is independent in each band.
    """

    variance_scale: float
    min_variance_db2: float
    correlation_octaves: float
    uncorrelated_share: float = 0.3


_LONG_TERM_NOISE = NoiseModel(variance_scale=5.0, min_variance_db2=1.0, correlation_octaves=1.5)
_FRAME_MATCHED_NOISE = NoiseModel(variance_scale=2.5, min_variance_db2=0.3, correlation_octaves=3.0)


class EqCorrection(NamedTuple):
    """A correction of the current EQ.

    Attributes:
        curve_db: gain to add to the current EQ curve.
        weight: weight of each band when filters are fitted to it, mean 1.
        share: RMS of the correction over that of the measured difference, both without their means.
        difference_db: measured difference of the reference and the track before any EQ, NaN in unusable bands.
    """

    curve_db: Float[np.ndarray, " bands"]
    weight: Float[np.ndarray, " bands"]
    share: float
    difference_db: Float[np.ndarray, " bands"]


@dataclasses.dataclass(frozen=True)
class _LevelDifference:
    difference_db: Float[np.ndarray, " bands"]
    variance_db2: Float[np.ndarray, " bands"]
    noise_model: NoiseModel


def eq_correction_db(
    track: TrackFeatures, reference: TrackFeatures, current_eq_db: Float[np.ndarray, " bands"], prior: Prior
) -> EqCorrection:
    """Posterior mean of the tonal degradation, as a correction of the track.

    Args:
        track: features of the track before any EQ.
        reference: features of the reference.
        current_eq_db: response of the current EQ at `CENTERS_HZ`.
        prior: prior of the degradation and of the noise.
    """
    usable = track.bands_within(prior.range_db) & reference.bands_within(prior.range_db)
    if not usable.any():
        return EqCorrection(np.zeros(NUM_BANDS), np.ones(NUM_BANDS), 0.0, np.full(NUM_BANDS, np.nan))
    measured = _level_difference(track, reference, prior, usable)
    difference_db = measured.difference_db - np.median(measured.difference_db[usable])
    difference_db = np.clip(difference_db, -_MAX_DIFFERENCE_DB, _MAX_DIFFERENCE_DB) - current_eq_db
    measured_db = np.where(usable, measured.difference_db, np.nan)
    return _posterior_correction(measured, difference_db, usable, prior)._replace(difference_db=measured_db)


def long_term_correction(
    difference_db: Float[np.ndarray, " bands"],
    variance_db2: Float[np.ndarray, " bands"],
    usable: Bool[np.ndarray, " bands"],
    prior: Prior,
) -> EqCorrection:
    """The same from a difference of long-term levels, such as those of the side.

    Args:
        difference_db: reference minus equalized track, at `CENTERS_HZ`.
        variance_db2: variance of the difference.
        usable: mask of the bands to use, at least one.
        prior: prior of the degradation and of the noise.
    """
    difference_db = difference_db - np.median(difference_db[usable])
    difference_db = np.clip(difference_db, -_MAX_DIFFERENCE_DB, _MAX_DIFFERENCE_DB)
    measured = _LevelDifference(difference_db, variance_db2, _LONG_TERM_NOISE)
    return _posterior_correction(measured, difference_db, usable, prior)


def _posterior_correction(
    measured: _LevelDifference,
    difference_db: Float[np.ndarray, " bands"],
    usable: Bool[np.ndarray, " bands"],
    prior: Prior,
) -> EqCorrection:
    """The correction of a centered difference to the equalized track, whose noise follows from the measured one."""
    noise_std_db = _noise_std_db(measured, usable)
    noise = measured.noise_model
    correlation = noise.uncorrelated_share * np.eye(NUM_BANDS) + (1.0 - noise.uncorrelated_share) * np.exp(
        -_DISTANCE_OCTAVES / noise.correlation_octaves
    )
    estimate = posterior_mean(
        difference=np.where(usable, difference_db, 0.0),
        degradation_cov=np.mean([np.exp(-0.5 * (_DISTANCE_OCTAVES / w) ** 2) for w in _DEGRADATION_OCTAVES], axis=0),
        noise_cov=noise_std_db[:, None] * noise_std_db * correlation,
        fixed_cov=_UNKNOWN_VARIANCE_DB2 * np.diag(~usable) + _LEVEL_VARIANCE_DB2,
        prior=prior,
    )
    estimate -= np.average(estimate, weights=usable)
    weight = usable / (noise_std_db**2 + 1.0)
    share = np.std(estimate[usable]) / max(np.std(difference_db[usable]), 1e-9)
    return EqCorrection(estimate, weight / np.mean(weight), float(share), np.where(usable, difference_db, np.nan))


def _level_difference(
    track: TrackFeatures, reference: TrackFeatures, prior: Prior, usable: Bool[np.ndarray, " bands"]
) -> _LevelDifference:
    """Reference minus track by band, from similar frames where the prior allows it and both have them."""
    if frames := matchable_frames(track, reference, prior):
        difference = tone_difference(*frames, usable)
        return _LevelDifference(difference.difference_db, difference.variance_db2, _FRAME_MATCHED_NOISE)
    variance_db2 = track.std_error_db**2 + reference.std_error_db**2
    return _LevelDifference(reference.mid_db - track.mid_db, variance_db2, _LONG_TERM_NOISE)


def _noise_std_db(measured: _LevelDifference, usable: Bool[np.ndarray, " bands"]) -> Float[np.ndarray, " bands"]:
    """Standard deviation of the noise in each band, from the variance averaged over an octave of usable bands."""
    noise = measured.noise_model
    kernel = np.exp(-0.5 * (_DISTANCE_OCTAVES / _SMOOTH_OCTAVES) ** 2) * usable + 1e-9
    variance = noise.variance_scale * measured.variance_db2 + noise.min_variance_db2
    return np.sqrt(kernel @ variance / kernel.sum(axis=1))


def matchable_frames(
    track: TrackFeatures, reference: TrackFeatures, prior: Prior
) -> tuple[FrameLevels, FrameLevels] | None:
    """The frames of both for frame matching; None where the prior rules it out or either has too few frames."""
    if not (prior.match_frames and track.frames and reference.frames):
        return None
    if not (track.frames.has_enough and reference.frames.has_enough and usable_bands(track, reference).any()):
        return None
    return track.frames, reference.frames


def usable_bands(track: TrackFeatures, reference: TrackFeatures) -> Bool[np.ndarray, " bands"]:
    """Mask of the bands in which both hold music rather than noise."""
    return track.active_bands & reference.active_bands


def boost_limit_db(track: TrackFeatures) -> Float[np.ndarray, " bands"]:
    """Largest boost of each band: 18 dB down to 60 dB below the loudest band, falling to 0 dB at 80 dB below it, where
    a boost would amplify noise."""
    below_peak_db = track.mid_db.max() - track.mid_db
    return MAX_BOOST_DB * np.clip((_NO_BOOST_DB - below_peak_db) / (_NO_BOOST_DB - _FULL_BOOST_DB), 0.0, 1.0)


def limit_gains(
    eq_db: Float[np.ndarray, " bands"], track: TrackFeatures, limits: ResponseLimits
) -> Float[np.ndarray, " bands"]:
    """An EQ curve clipped to the limits and to `boost_limit_db`, at the level that leaves the loudness unchanged.

    Clipping changes the loudness, and with it what is clipped, so that level is found by bisection.

    Args:
        eq_db: the curve, at any level.
        track: features of the track.
        limits: of the response to the track, with the shares of its bands in its power.
    """
    highest_db = np.minimum(boost_limit_db(track), limits.at(CENTERS_HZ))
    highest_db = np.where(limits.has_sound(CENTERS_HZ), highest_db, np.minimum(highest_db, EMPTY_BOOST_DB))
    low, high = eq_db.min() - highest_db.max(), eq_db.max() + limits.cut_db
    for _ in range(_LEVEL_BISECTIONS):
        level = 0.5 * (low + high)
        is_louder = limits.loudness_change_db(np.clip(eq_db - level, -limits.cut_db, highest_db)) > 0.0
        low, high = (level, high) if is_louder else (low, level)
    return np.clip(eq_db - high, -limits.cut_db, highest_db)


class WithinLimits(NamedTuple):
    """How much of a correction is within the limits.

    Attributes:
        boost: largest share, 0 to 1, whose boosts are within the limits.
        cut: the same for cuts.
        deepest_cut_db: largest cut that the correction asks for at the strength in use.
        deepest_hz: the frequency of that cut.
    """

    boost: float = 1.0
    cut: float = 1.0
    deepest_cut_db: float = 0.0
    deepest_hz: float = 0.0


def share_within_limits(
    current_eq_db: Float[np.ndarray, " bands"],
    correction_db: Float[np.ndarray, " bands"],
    track: TrackFeatures,
    limits: ResponseLimits,
    strength: float,
) -> WithinLimits:
    """How much of a correction is within the limits at equal loudness, where the track holds anything."""
    has_sound = track.active_bands & limits.has_sound(CENTERS_HZ)
    limit_db = limits.at(CENTERS_HZ)

    def gain_db(share: float) -> Float[np.ndarray, " bands"]:
        curve_db = current_eq_db + share * correction_db
        return np.where(has_sound, curve_db - limits.loudness_change_db(curve_db), 0.0)

    asked_db = gain_db(strength)
    lowest = int(np.argmin(asked_db))
    return WithinLimits(
        boost=largest_factor(lambda share: bool(np.all(gain_db(share) <= limit_db))),
        cut=largest_factor(lambda share: bool(np.all(gain_db(share) >= -limits.cut_db))),
        deepest_cut_db=-float(asked_db[lowest]),
        deepest_hz=float(CENTERS_HZ[lowest]),
    )


def limits_of_sound(track: TrackFeatures, limits: ResponseLimits) -> ResponseLimits:
    """The limits with the frequencies between which the track holds anything.

    A sub-bass is empty more than 50 dB below the loudest band, treble above the low-pass of a codec or 70 dB below it.
    """
    has_bass = track.mid_db > track.mid_db.max() - _EMPTY_BASS_DB
    first, last = np.argmax(has_bass), np.flatnonzero(track.active_bands)[-1]
    lowest_hz = CENTERS_HZ[first] / _HALF_BAND if first else 0.0
    highest_hz = CENTERS_HZ[last] * _HALF_BAND if last < NUM_BANDS - 1 else limits.highest_hz
    return limits._replace(lowest_hz=float(lowest_hz), highest_hz=float(highest_hz))
