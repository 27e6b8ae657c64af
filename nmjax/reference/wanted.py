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

from nmjax.reference.moments import tone_apart
from nmjax.reference.profile import BANDS, CENTRES_HZ, Profile

_OCTAVES = np.log2(CENTRES_HZ)
_APART = np.abs(_OCTAVES[:, None] - _OCTAVES)
_SMOOTH_OCTAVES = 1.0
_SHAPES_OCTAVES = (0.7, 1.4)  # of C: widths of its bumps
_UNKNOWN_DB2 = 1e4  # of bands in which a side holds nothing, and of the level, which is no part of the tone
_LEVEL_DB2 = 100.0
_SCALES = np.geomspace(0.3, 5.0, 7)  # of N's deviations
_FEATURE_SCALES = np.geomspace(0.3, 80.0, 13)  # the same for a single feature: whatever is absurd is the song
_FARTHEST_DB = 30.0
_EMPTY_DB = 70.0  # bands so far below the loudest hold noise
MOST_BOOST_DB, _NO_BOOST_DB, _FULL_BOOST_DB = 18.0, 80.0, 60.0  # the latter below the loudest band


@dataclasses.dataclass(frozen=True)
class _Doubt:
    """N: variance = times × (jackknife's, averaged over an octave) + least_db2; a part of it, `own`, from band to band,
    the rest correlated over `reach` octaves."""

    times: float
    least_db2: float
    reach: float
    own: float = 0.3


_LONG_TERM, _ALIKE = _Doubt(5.0, 1.0, 1.5), _Doubt(2.5, 0.3, 3.0)


@dataclasses.dataclass(frozen=True)
class Belief:
    """What is believed before a reference is heard. fault_db: the size of what is wrong with a track, RMS; spread: how
    sure that is, of its natural logarithm. scale: how large N is; scale_spread: the same for it. alike: whether both
    may play the same now and then."""

    fault_db: float
    spread: float
    scale: float
    scale_spread: float
    alike: bool = False


# Another part or mix of the same song: faults are small, and what is beyond them is the song. Another song: its tone
# itself is wanted, whatever lies between.
SAME_SONG = Belief(fault_db=2.2, spread=0.0, scale=1.0, scale_spread=0.7, alike=True)
OTHER_SONG = Belief(fault_db=10.0, spread=0.5, scale=0.4, scale_spread=0.0)


def wanted_db(
    track: Profile, reference: Profile, there_db: Float[np.ndarray, "bands"], belief: Belief
) -> tuple[Float[np.ndarray, "bands"], Float[np.ndarray, "bands"]]:
    """What is to be added to a curve that is there already, and the weight that each band's value has (mean 1).

    Args:
        track, reference: what is to be changed, and what it is to come near to.
        there_db: the equaliser's curve so far, at `CENTRES_HZ`.
        belief: see `Belief`.
    """
    usable = usable_bands(track, reference)
    if not usable.any():
        return np.zeros(BANDS), np.ones(BANDS)
    apart, variance, doubt = _apart(track, reference, belief, usable)
    apart = np.clip(apart - np.median(apart[usable]), -_FARTHEST_DB, _FARTHEST_DB) - there_db
    near = np.exp(-0.5 * (_APART / _SMOOTH_OCTAVES) ** 2) * usable + 1e-9
    spread_db = np.sqrt(near @ (doubt.times * variance + doubt.least_db2) / near.sum(axis=1))
    alone = doubt.own * np.eye(BANDS) + (1.0 - doubt.own) * np.exp(-_APART / doubt.reach)
    noise = spread_db[:, None] * spread_db * alone
    fault = np.mean([np.exp(-0.5 * (_APART / width) ** 2) for width in _SHAPES_OCTAVES], axis=0)
    apart = np.where(usable, apart, 0.0)
    estimate = _averaged(apart, fault, noise, _UNKNOWN_DB2 * np.diag(~usable) + _LEVEL_DB2, belief)
    estimate -= np.average(estimate, weights=usable)
    weight = usable / (spread_db**2 + 1.0)
    return estimate, weight / np.mean(weight)


def _averaged(
    apart: np.ndarray, fault: np.ndarray, noise: np.ndarray, besides: np.ndarray, belief: Belief, scales=_SCALES
) -> Float[np.ndarray, "bands"]:
    """The mean of the estimates over sizes of faults and of noise, each weighed by its likelihood and by belief.

    besides: a covariance whose size is known. scales: the sizes, relative to what is believed.
    """
    estimates, logs = [], []
    for size_db, size_log in _sizes(belief.fault_db, belief.spread, scales):
        for scale, scale_log in _sizes(belief.scale, belief.scale_spread, scales):
            covariance = size_db**2 * fault + scale**2 * noise + besides
            lower = np.linalg.cholesky(covariance)
            whitened = np.linalg.solve(lower, apart)
            estimates.append(size_db**2 * fault @ np.linalg.solve(lower.T, whitened))
            logs.append(-0.5 * whitened @ whitened - np.log(np.diag(lower)).sum() + size_log + scale_log)
    shares = np.exp(np.array(logs) - np.max(logs))
    return np.average(estimates, axis=0, weights=shares)


def believed(apart: float, fault: float, noise: float, belief: Belief) -> float:
    """How much of a single feature's difference is to be believed; all in its own unit, fault and noise as RMS.

    belief: of the tone's faults; its sizes are taken relative to SAME_SONG's.
    """
    if not np.isfinite(apart):
        return 0.0
    relative = dataclasses.replace(belief, fault_db=belief.fault_db / SAME_SONG.fault_db)
    square = np.ones((1, 1))
    given = np.array([apart]), fault**2 * square, noise**2 * square, 0.0 * square
    return float(_averaged(*given, relative, _FEATURE_SCALES)[0])


def _sizes(middle: float, spread: float, scales: np.ndarray) -> list[tuple[float, float]]:
    """Sizes about a middle, each with the logarithm of its prior probability."""
    if spread == 0.0:
        return [(middle, 0.0)]
    return [(middle * x, -0.5 * (np.log(x) / spread) ** 2) for x in scales]


def _apart(
    track: Profile, reference: Profile, belief: Belief, usable: np.ndarray
) -> tuple[np.ndarray, np.ndarray, _Doubt]:
    """The difference of the levels, its variance, and what that says of N."""
    if comparable(track, reference, belief):
        return *tone_apart(track.moments, reference.moments, usable), _ALIKE
    return reference.mid_db - track.mid_db, track.doubt_db**2 + reference.doubt_db**2, _LONG_TERM


def comparable(track: Profile, reference: Profile, belief: Belief) -> bool:
    """Whether their moments can be compared, like with like."""
    enough = all(x.moments and x.moments.enough for x in (track, reference))
    return belief.alike and enough and bool(usable_bands(track, reference).any())


def usable_bands(track: Profile, reference: Profile) -> np.ndarray:
    """Bands in which both hold music, as booleans."""
    return _holds_music(track) & _holds_music(reference)


def _holds_music(music: Profile) -> np.ndarray:
    return music.known & (music.mid_db > music.mid_db.max() - _EMPTY_DB)


def boost_limit_db(track: Profile) -> Float[np.ndarray, "bands"]:
    """How far each band may be boosted: 18 dB down to 60 dB below the loudest band, none from 80 dB below it on, since
    there a boost brings up noise."""
    below_db = track.mid_db.max() - track.mid_db
    return MOST_BOOST_DB * np.clip((_NO_BOOST_DB - below_db) / (_NO_BOOST_DB - _FULL_BOOST_DB), 0.0, 1.0)


def held_db(curve_db: Float[np.ndarray, "bands"], track: Profile) -> Float[np.ndarray, "bands"]:
    """A curve within the limits of its boosts, which are counted from the gain that leaves the track's power as it is;
    cuts may be as deep as 18 dB."""
    power = 10.0 ** (track.mid_db / 10.0)
    curve_db = curve_db - 10.0 * np.log10(np.sum(power * 10.0 ** (curve_db / 10.0)) / np.sum(power))
    return np.clip(curve_db, -MOST_BOOST_DB, boost_limit_db(track))
