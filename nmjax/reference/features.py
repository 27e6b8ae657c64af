"""By how much crest, loudness range and width are to change, and how much of their differences is believed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nmjax.reference import image
from nmjax.reference.dynamics import Change, Wanted
from nmjax.reference.moments import width_apart
from nmjax.reference.profile import Profile
from nmjax.reference.wanted import Belief, believed, comparable, usable_bands

# What may be wrong with a track (RMS), and what two parts of 30 s of one song differ by.
_CREST_FAULT, _CREST_NOISE = 0.8, 2.0  # dB
_RANGE_FAULT, _RANGE_NOISE = 1.0, 3.0  # LU
_WIDTH_FAULT, _WIDTH_NOISE = 1.3, 3.0  # dB
# The same where both play alike: dB, and standard errors of the difference there.
_ALIKE_FAULT, _ALIKE_NOISE, _DOUBTS = 1.4, 0.5, 3.0
_WIDTH_SURE = (0.4, 0.6)  # how sure the widths below and above the crossover are beside each other
_NOISE_SECONDS = 30.0
_CREST_CHANGE_DB, _RANGE_CHANGE_LU = (-6.0, 2.0), (-4.0, 2.0)  # more, upwards above all, is no mastering any more
_LEAST_CREST_DB, _LEAST_RANGE_LU = 0.1, 0.2  # less is not worth a compressor


def dynamics(
    track: Profile, reference: Profile, share: float, equalised: Change, there: Change, belief: Belief
) -> Wanted | None:
    """What is asked of a compressor; None where that would not be heard.

    Args:
        share: 0 to 1, of what is believed.
        equalised: what the equaliser does to the track.
        there: what a compressor does to it then that is there already.
        belief: of the tone's faults.
    """
    noise = _noise(track, reference)
    range_lu = (1.0 + equalised.slope) * track.loudness_range  # NaN below 3 s: then nothing is asked
    crest_apart_db = reference.crest_db - (track.crest_db + equalised.crest_db + there.crest_db)
    range_apart_lu = reference.loudness_range - (1.0 + there.slope) * range_lu
    more_db = share * believed(crest_apart_db, _CREST_FAULT, noise * _CREST_NOISE, belief)
    more_lu = share * believed(range_apart_lu, _RANGE_FAULT, noise * _RANGE_NOISE, belief)
    if abs(more_db) < _LEAST_CREST_DB and abs(more_lu) < _LEAST_RANGE_LU:
        return None
    crest_db = float(np.clip(there.crest_db + more_db, *_CREST_CHANGE_DB))
    range_lu = float(np.nan_to_num(range_lu))
    return Wanted(crest_db, float(np.clip(there.slope * range_lu + more_lu, *_RANGE_CHANGE_LU)), range_lu)


def wider_db(
    track: Profile,
    reference: Profile,
    curve_db: Float[np.ndarray, "bands"],
    factors: tuple[float, float],
    belief: Belief,
    same_song: bool,
) -> Float[np.ndarray, "3"]:
    """By how many dB the side is to be louder beside mid, in the order of `image.width_db`, after a curve on both and
    factors of the side's two parts that are there already."""
    so_far = image.width_db(track, curve_db, factors)
    alike = comparable(track, reference, belief)
    usable = usable_bands(track, reference)
    apart, variance = width_apart(track.moments, reference.moments, usable) if alike else (np.nan, np.nan)
    if np.isfinite(apart):  # which says more than the network's guess, so that is taken back
        equalised = image.width_db(track, curve_db)
        noise = np.hypot(_ALIKE_NOISE, _DOUBTS * np.sqrt(variance))
        wider = believed(apart - (equalised - image.width_db(track))[1], _ALIKE_FAULT, noise, belief)
        return wider - (so_far - equalised)
    apart = image.width_db(reference) - so_far
    if same_song:  # one fault for both parts: what they differ in is the music
        apart = np.full(3, np.average(apart[:2], weights=_WIDTH_SURE))
    noise = _noise(track, reference) * _WIDTH_NOISE
    return np.array([believed(x, _WIDTH_FAULT, noise, belief) for x in apart])


def _noise(track: Profile, reference: Profile) -> float:
    """How much surer, or less sure, features are than those of two pieces of 30 s."""
    return float(np.sqrt(sum(0.5 * _NOISE_SECONDS / max(x.seconds, 3.0) for x in (track, reference))))
