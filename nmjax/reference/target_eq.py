"""The curve that a reference asks for, and how much of it is to be believed.

Two parts of one song differ by 3.6 dB RMS in sixths of an octave, so a difference is doubted before it is copied.
With d the difference of the levels (of one song where both parts play alike, see moments.py; else long-term ones) less
the curve that is there already, N what two parts of a song differ by anyway and C what may be wrong with a track (both
covariances over the bands), the best linear estimate of what is wrong is C (C + N)⁻¹ d (Wiener; Gaussian conditioning).
N is made from how sure d is, by the jackknife; how large it is for this pair is not known, nor is C, so the estimate is
the mean over a grid of both, each weighed by how well it explains d. The constants were chosen on the training songs,
see docs/reference.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.reference.features import BANDS, CENTERS_HZ, TrackFeatures
from nmjax.reference.frame_matching import tone_difference

_OCTAVES = np.log2(CENTERS_HZ)
_DISTANCE_OCTAVES = np.abs(_OCTAVES[:, None] - _OCTAVES)
_SMOOTH_OCTAVES = 1.0
_KERNEL_OCTAVES = (0.7, 1.4)  # of C: widths of its bumps
_UNKNOWN_VARIANCE_DB2 = 1e4  # of bands in which a side holds nothing, and of the level, which is no part of the tone
_LEVEL_VARIANCE_DB2 = 100.0
_SCALE_GRID = np.geomspace(0.3, 5.0, 7)  # of N's deviations
_FEATURE_SCALE_GRID = np.geomspace(0.3, 80.0, 13)  # the same for a single feature: whatever is absurd is the song
_MAX_DIFFERENCE_DB = 30.0
_NOISE_FLOOR_DB = 70.0  # bands so far below the loudest hold noise
MAX_BOOST_DB, _NO_BOOST_DB, _FULL_BOOST_DB = 18.0, 80.0, 60.0  # the latter below the loudest band


@dataclasses.dataclass(frozen=True)
class NoiseModel:
    """N: variance = times × (jackknife's, averaged over an octave) + least_db2; a part of it, `own`, from band to band,
    the rest correlated over `reach` octaves."""

    variance_scale: float
    min_variance_db2: float
    correlation_octaves: float
    uncorrelated_share: float = 0.3


_LONG_TERM_NOISE, _FRAME_MATCHED_NOISE = NoiseModel(5.0, 1.0, 1.5), NoiseModel(2.5, 0.3, 3.0)


@dataclasses.dataclass(frozen=True)
class Prior:
    """What is believed before a reference is heard. fault_db: the size of what is wrong with a track, RMS; spread: how
    sure that is, of its natural logarithm. scale: how large N is; scale_spread: the same for it. alike: whether both
    may play the same now and then."""

    degradation_db: float
    degradation_log_std: float
    noise_scale: float
    noise_log_std: float
    match_frames: bool = False


# Another part or mix of the same song: faults are small, and what is beyond them is the song. Another song: its tone
# itself is wanted, whatever lies between.
SAME_SONG_PRIOR = Prior(
    degradation_db=2.2, degradation_log_std=0.0, noise_scale=1.0, noise_log_std=0.7, match_frames=True
)
OTHER_SONG_PRIOR = Prior(degradation_db=10.0, degradation_log_std=0.5, noise_scale=0.4, noise_log_std=0.0)


def eq_correction_db(
    track: TrackFeatures, reference: TrackFeatures, current_eq_db: Float[np.ndarray, " bands"], prior: Prior
) -> tuple[Float[np.ndarray, " bands"], Float[np.ndarray, " bands"]]:
    """What is to be added to a curve that is there already, and the weight that each band's value has (mean 1).

    Args:
        track, reference: what is to be changed, and what it is to come near to.
        there_db: the equaliser's curve so far, at `CENTRES_HZ`.
        belief: see `Belief`.
    """
    usable = usable_bands(track, reference)
    if not usable.any():
        return np.zeros(BANDS), np.ones(BANDS)
    difference_db, variance, noise_model = _level_difference(track, reference, prior, usable)
    difference_db = (
        np.clip(difference_db - np.median(difference_db[usable]), -_MAX_DIFFERENCE_DB, _MAX_DIFFERENCE_DB)
        - current_eq_db
    )
    kernel = np.exp(-0.5 * (_DISTANCE_OCTAVES / _SMOOTH_OCTAVES) ** 2) * usable + 1e-9
    noise_std_db = np.sqrt(
        kernel @ (noise_model.variance_scale * variance + noise_model.min_variance_db2) / kernel.sum(axis=1)
    )
    correlation = noise_model.uncorrelated_share * np.eye(BANDS) + (1.0 - noise_model.uncorrelated_share) * np.exp(
        -_DISTANCE_OCTAVES / noise_model.correlation_octaves
    )
    noise_cov = noise_std_db[:, None] * noise_std_db * correlation
    degradation_cov = np.mean([np.exp(-0.5 * (_DISTANCE_OCTAVES / width) ** 2) for width in _KERNEL_OCTAVES], axis=0)
    difference_db = np.where(usable, difference_db, 0.0)
    estimate = _posterior_mean(
        difference_db, degradation_cov, noise_cov, _UNKNOWN_VARIANCE_DB2 * np.diag(~usable) + _LEVEL_VARIANCE_DB2, prior
    )
    estimate -= np.average(estimate, weights=usable)
    weight = usable / (noise_std_db**2 + 1.0)
    return estimate, weight / np.mean(weight)


def _posterior_mean(
    difference: np.ndarray,
    degradation_cov: np.ndarray,
    noise_cov: np.ndarray,
    fixed_cov: np.ndarray,
    prior: Prior,
    scales=_SCALE_GRID,
) -> Float[np.ndarray, " bands"]:
    """The mean of the estimates over sizes of faults and of noise, each weighed by its likelihood and by belief.

    besides: a covariance whose size is known. scales: the sizes, relative to what is believed.
    """
    estimates, log_posteriors = [], []
    for degradation_db, degradation_log_prior in _prior_grid(prior.degradation_db, prior.degradation_log_std, scales):
        for noise_scale, noise_log_prior in _prior_grid(prior.noise_scale, prior.noise_log_std, scales):
            covariance = degradation_db**2 * degradation_cov + noise_scale**2 * noise_cov + fixed_cov
            lower = np.linalg.cholesky(covariance)
            whitened = np.linalg.solve(lower, difference)
            estimates.append(degradation_db**2 * degradation_cov @ np.linalg.solve(lower.T, whitened))
            log_posteriors.append(
                -0.5 * whitened @ whitened - np.log(np.diag(lower)).sum() + degradation_log_prior + noise_log_prior
            )
    posteriors = np.exp(np.array(log_posteriors) - np.max(log_posteriors))
    return np.average(estimates, axis=0, weights=posteriors)


def shrink_difference(difference: float, degradation_rms: float, noise_rms: float, prior: Prior) -> float:
    """How much of a single feature's difference is to be believed; all in its own unit, fault and noise as RMS.

    belief: of the tone's faults; its sizes are taken relative to SAME_SONG's.
    """
    if not np.isfinite(difference):
        return 0.0
    relative_prior = dataclasses.replace(prior, degradation_db=prior.degradation_db / SAME_SONG_PRIOR.degradation_db)
    identity = np.ones((1, 1))
    arguments = np.array([difference]), degradation_rms**2 * identity, noise_rms**2 * identity, 0.0 * identity
    return float(_posterior_mean(*arguments, relative_prior, _FEATURE_SCALE_GRID)[0])


def _prior_grid(center: float, log_std: float, scales: np.ndarray) -> list[tuple[float, float]]:
    """Sizes about a middle, each with the logarithm of its prior probability."""
    if log_std == 0.0:
        return [(center, 0.0)]
    return [(center * x, -0.5 * (np.log(x) / log_std) ** 2) for x in scales]


def _level_difference(
    track: TrackFeatures, reference: TrackFeatures, prior: Prior, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray, NoiseModel]:
    """The difference of the levels, its variance, and what that says of N."""
    if can_match_frames(track, reference, prior):
        return *tone_difference(track.frames, reference.frames, usable), _FRAME_MATCHED_NOISE
    return reference.mid_db - track.mid_db, track.std_error_db**2 + reference.std_error_db**2, _LONG_TERM_NOISE


def can_match_frames(track: TrackFeatures, reference: TrackFeatures, prior: Prior) -> bool:
    """Whether their moments can be compared, like with like."""
    have_frames = all(x.frames and x.frames.has_enough for x in (track, reference))
    return prior.match_frames and have_frames and bool(usable_bands(track, reference).any())


def usable_bands(track: TrackFeatures, reference: TrackFeatures) -> np.ndarray:
    """Bands in which both hold music, as booleans."""
    return _active_bands(track) & _active_bands(reference)


def _active_bands(features: TrackFeatures) -> np.ndarray:
    return features.known_bands & (features.mid_db > features.mid_db.max() - _NOISE_FLOOR_DB)


def boost_limit_db(track: TrackFeatures) -> Float[np.ndarray, " bands"]:
    """How far each band may be boosted: 18 dB down to 60 dB below the loudest band, none from 80 dB below it on, since
    there a boost brings up noise."""
    below_peak_db = track.mid_db.max() - track.mid_db
    return MAX_BOOST_DB * np.clip((_NO_BOOST_DB - below_peak_db) / (_NO_BOOST_DB - _FULL_BOOST_DB), 0.0, 1.0)


def limit_boosts(eq_db: Float[np.ndarray, " bands"], track: TrackFeatures) -> Float[np.ndarray, " bands"]:
    """A curve within the limits of its boosts, which are counted from the gain that leaves the track's power as it is;
    cuts may be as deep as 18 dB."""
    power = 10.0 ** (track.mid_db / 10.0)
    eq_db = eq_db - 10.0 * np.log10(np.sum(power * 10.0 ** (eq_db / 10.0)) / np.sum(power))
    return np.clip(eq_db, -MAX_BOOST_DB, boost_limit_db(track))
