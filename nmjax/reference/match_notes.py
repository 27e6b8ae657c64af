"""Messages for the user about a reference: is it the track itself, how reliable is the match, what is missing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nmjax.reference.bands import CENTERS_HZ, FLOOR_DB
from nmjax.reference.features import TrackFeatures
from nmjax.reference.frame_matching import FrameLevels, tone_difference
from nmjax.reference.posterior import Prior
from nmjax.reference.target_eq import matchable_frames, usable_bands
from nmjax.runtime.number_format import format_signed

# Standard error from which on three quarters of a degradation remain, docs/explanation/reference.md.
_LOW_CONFIDENCE_DB = 3.0
# Two recordings are equal up to gain if these features differ by less. Frames are stored in half precision.
_EQUAL_BAND_DB, _EQUAL_CREST_DB, _EQUAL_RANGE_LU, _EQUAL_FRAME_DB = 0.02, 0.02, 0.1, 0.15
_COMPARED_RANGE_DB = 50.0  # levels further below the loudest one may hold rounding noise


def match_notes(
    track: TrackFeatures,
    reference: TrackFeatures,
    name: str,
    prior: Prior,
    applied_share: float | None,
    same_passage: bool = False,
) -> tuple[str, ...]:
    """Messages about a reference and its match, possibly none.

    Args:
        track: features of the track.
        reference: features of the reference.
        name: name of the reference.
        prior: prior of the match.
        applied_share: share of the tonal difference that was applied; None where the tone was not matched.
        same_passage: whether the reference is another mix of the track's passage.
    """
    notes = []
    if is_equal_up_to_gain(track, reference):
        notes.append(f"{name} is the track itself, up to gain. Choose another reference.")
    elif same_passage:
        notes.append(f"{name} is another mix of the same passage: {_describe_difference(track, reference)}.")
    if applied_share is None:
        return tuple(notes)
    if frames := matchable_frames(track, reference, prior):
        usable = usable_bands(track, reference)
        variance_db2 = tone_difference(*frames, usable).variance_db2
        if np.sqrt(np.mean(variance_db2[usable])) > _LOW_CONFIDENCE_DB:
            notes.append(
                f"Low-confidence match: only {applied_share:.0%} of the difference to {name} was applied. "
                "Choose a section that sounds more alike."
            )
    if not reference.known_bands.all():
        notes.append(f"{name} has nothing above {reference.max_hz:,.0f} Hz, so the EQ is not matched there.")
    return tuple(notes)


def is_equal_up_to_gain(track: TrackFeatures, reference: TrackFeatures) -> bool:
    """Whether two recordings are the same audio except for a gain, judged by all features that both have."""
    if track.stereo != reference.stereo or abs(track.seconds - reference.seconds) > 0.01:
        return False
    gain_db = float(np.median(reference.mid_db - track.mid_db))
    levels = [(track.mid_db, reference.mid_db), *([(track.side_db, reference.side_db)] if track.stereo else [])]
    if any(_max_difference_db(*pair, gain_db) > _EQUAL_BAND_DB for pair in levels):
        return False
    range_difference_lu = abs(track.loudness_range - reference.loudness_range)  # NaN below 3 s
    if abs(track.crest_db - reference.crest_db) > _EQUAL_CREST_DB or range_difference_lu > _EQUAL_RANGE_LU:
        return False
    frames = _simultaneous_frames(track, reference)
    if frames is None:
        return True
    return all(
        _max_difference_db(*pair, gain_db) < _EQUAL_FRAME_DB
        for pair in ((frames[0].levels_db, frames[1].levels_db), (frames[0].fine_db, frames[1].fine_db))
    )


def _simultaneous_frames(track: TrackFeatures, reference: TrackFeatures) -> tuple[FrameLevels, FrameLevels] | None:
    """The frames of both, if they can be compared one by one."""
    if track.frames and reference.frames and len(track.frames.levels_db) == len(reference.frames.levels_db):
        return track.frames, reference.frames
    return None


def _max_difference_db(
    track_db: Float[np.ndarray, "*shape"], reference_db: Float[np.ndarray, "*shape"], gain_db: float
) -> float:
    """Largest difference of the levels after a gain, where either is within 50 dB of its loudest level."""
    compared = (track_db > track_db.max() - _COMPARED_RANGE_DB) | (
        reference_db > reference_db.max() - _COMPARED_RANGE_DB
    )
    return float(np.abs(reference_db - track_db - gain_db)[compared & (track_db > FLOOR_DB)].max(initial=0.0))


def _describe_difference(track: TrackFeatures, reference: TrackFeatures) -> str:
    usable = usable_bands(track, reference)
    difference_db = reference.mid_db - track.mid_db
    difference_db = np.where(usable, difference_db - np.median(difference_db[usable]), 0.0)
    band = int(np.argmax(np.abs(difference_db)))
    text = f"its tone differs most at {CENTERS_HZ[band]:,.0f} Hz ({format_signed(difference_db[band], 'dB')})"
    if track.stereo and reference.stereo:
        text += f", its width by {format_signed(reference.width_db - track.width_db, 'dB')}"
    return text
