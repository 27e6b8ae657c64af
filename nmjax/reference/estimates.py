"""By how much crest, loudness range and width are to change, and how much of their differences is believed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from nmjax.reference import stereo_width
from nmjax.reference.dynamics import DynamicsChange, DynamicsTarget
from nmjax.reference.features import TrackFeatures
from nmjax.reference.frame_matching import width_difference
from nmjax.reference.target_eq import Prior, can_match_frames, shrink_difference, usable_bands

# What may be wrong with a track (RMS), and what two parts of 30 s of one song differ by.
_CREST_DEGRADATION_DB, _CREST_NOISE_DB = 0.8, 2.0  # dB
_RANGE_DEGRADATION_LU, _RANGE_NOISE_LU = 1.0, 3.0  # LU
_WIDTH_DEGRADATION_DB, _WIDTH_NOISE_DB = 1.3, 3.0  # dB
# The same where both play alike: dB, and standard errors of the difference there.
_MATCHED_WIDTH_DEGRADATION_DB, _MATCHED_WIDTH_NOISE_DB, _NOISE_STD_ERRORS = 1.4, 0.5, 3.0
_WIDTH_BAND_WEIGHTS = (0.4, 0.6)  # how sure the widths below and above the crossover are beside each other
_NOISE_SECONDS = 30.0
_CREST_CHANGE_RANGE_DB, _RANGE_CHANGE_RANGE_LU = (
    (-6.0, 2.0),
    (-4.0, 2.0),
)  # more, upwards above all, is no mastering any more
_MIN_CREST_CHANGE_DB, _MIN_RANGE_CHANGE_LU = 0.1, 0.2  # less is not worth a compressor


def dynamics_target(
    track: TrackFeatures,
    reference: TrackFeatures,
    strength: float,
    eq_change: DynamicsChange,
    compressor_change: DynamicsChange,
    prior: Prior,
) -> DynamicsTarget | None:
    """What is asked of a compressor; None where that would not be heard.

    Args:
        share: 0 to 1, of what is believed.
        equalised: what the equaliser does to the track.
        there: what a compressor does to it then that is there already.
        belief: of the tone's faults.
    """
    noise_scale = _noise_scale(track, reference)
    range_lu = (1.0 + eq_change.slope) * track.loudness_range  # NaN below 3 s: then nothing is asked
    crest_difference_db = reference.crest_db - (track.crest_db + eq_change.crest_db + compressor_change.crest_db)
    range_difference_lu = reference.loudness_range - (1.0 + compressor_change.slope) * range_lu
    crest_step_db = strength * shrink_difference(
        crest_difference_db, _CREST_DEGRADATION_DB, noise_scale * _CREST_NOISE_DB, prior
    )
    range_step_lu = strength * shrink_difference(
        range_difference_lu, _RANGE_DEGRADATION_LU, noise_scale * _RANGE_NOISE_LU, prior
    )
    if abs(crest_step_db) < _MIN_CREST_CHANGE_DB and abs(range_step_lu) < _MIN_RANGE_CHANGE_LU:
        return None
    crest_db = float(np.clip(compressor_change.crest_db + crest_step_db, *_CREST_CHANGE_RANGE_DB))
    range_lu = float(np.nan_to_num(range_lu))
    return DynamicsTarget(
        crest_db, float(np.clip(compressor_change.slope * range_lu + range_step_lu, *_RANGE_CHANGE_RANGE_LU)), range_lu
    )


def width_change_db(
    track: TrackFeatures,
    reference: TrackFeatures,
    eq_db: Float[np.ndarray, " bands"],
    factors: tuple[float, float],
    prior: Prior,
    same_song: bool,
) -> Float[np.ndarray, "3"]:
    """By how many dB the side is to be louder beside mid, in the order of `image.width_db`, after a curve on both and
    factors of the side's two parts that are there already."""
    current_db = stereo_width.band_widths_db(track, eq_db, factors)
    use_frames = can_match_frames(track, reference, prior)
    usable = usable_bands(track, reference)
    difference_db, variance = (
        width_difference(track.frames, reference.frames, usable) if use_frames else (np.nan, np.nan)
    )
    if np.isfinite(difference_db):  # which says more than the network's guess, so that is taken back
        eq_width_db = stereo_width.band_widths_db(track, eq_db)
        noise_db = np.hypot(_MATCHED_WIDTH_NOISE_DB, _NOISE_STD_ERRORS * np.sqrt(variance))
        change_db = shrink_difference(
            difference_db - (eq_width_db - stereo_width.band_widths_db(track))[1],
            _MATCHED_WIDTH_DEGRADATION_DB,
            noise_db,
            prior,
        )
        return change_db - (current_db - eq_width_db)
    difference_db = stereo_width.band_widths_db(reference) - current_db
    if same_song:  # one fault for both parts: what they differ in is the music
        difference_db = np.full(3, np.average(difference_db[:2], weights=_WIDTH_BAND_WEIGHTS))
    noise_db = _noise_scale(track, reference) * _WIDTH_NOISE_DB
    return np.array([shrink_difference(x, _WIDTH_DEGRADATION_DB, noise_db, prior) for x in difference_db])


def _noise_scale(track: TrackFeatures, reference: TrackFeatures) -> float:
    """How much surer, or less sure, features are than those of two pieces of 30 s."""
    return float(np.sqrt(sum(0.5 * _NOISE_SECONDS / max(x.seconds, 3.0) for x in (track, reference))))
