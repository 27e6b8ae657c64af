"""Frame matching: spectral difference of two recordings, averaged over pairs of similar frames.

Two sections of one song differ in tone mostly because other instruments play, but its notes and sounds recur. So each
pair of a track frame i and a reference frame j is weighted by how similar their fine spectra are:

    w_ij ∝ exp(κ s_i · r_j) (p_i p_j)^γ,   Σ w_ij = 1,   κ = 35,   γ = 0.2,

where the shape s_i (r_j) is the unit vector of the frame's levels in 1/24 octaves minus their average over one octave,
so that a smooth EQ curve does not change it, and p is the frame's power relative to the loudest frame. With T_i and R_j
the levels in 1/6 octaves, each minus its mean over the bands, the tonal difference is

    d = Σ_ij w_ij (R_j − T_i).

The difference in width (side over mid, dB) is averaged in the same way. The variance of both is a jackknife: tenths of
the track's frames are left out in turn, then tenths of the reference's (Efron 1982). Measurements:
docs/explanation/reference.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nmjax.reference.bands import CENTERS_HZ

_FINE_CENTERS_HZ = 110.0 * 2.0 ** (np.arange(150) / 24.0)  # up to 8.1 kHz
FINE_EDGES_HZ = 110.0 * 2.0 ** ((np.arange(151) - 0.5) / 24.0)
_SMOOTH_OCTAVES = 1.0  # the average that is subtracted from a shape
_RANGE_DB, _FINE_RANGE_DB = 70.0, 60.0  # levels are clipped this far below the frame's loudest band
_SHARPNESS = 35.0  # κ
_POWER_EXPONENT = 0.2  # γ
_MAX_FRAMES = 2000  # more are subsampled
_JACKKNIFE_FOLDS = 10
_MIN_WEIGHT = 1e-3  # lower limit of the weight that remains when a fold is left out
_WIDTH_RANGE_DB = (-40.0, 20.0)  # narrower frames count as mono and have no width


@dataclasses.dataclass(frozen=True)
class FrameLevels:
    """Levels of single frames, in temporal order.

    Attributes:
        levels_db: levels of mid at `CENTERS_HZ`.
        fine_db: levels of mid in 1/24 octaves.
        width_db: power of the side over that of mid, −40 to 20 dB; NaN for mono.
        weight: p^γ, the weight of each frame.
    """

    levels_db: Float[np.ndarray, "frames bands"]
    fine_db: Float[np.ndarray, "frames fine"]
    width_db: Float[np.ndarray, " frames"]
    weight: Float[np.ndarray, " frames"]

    @property
    def has_enough(self) -> bool:
        """Whether there are enough frames for the jackknife."""
        return len(self.levels_db) >= _JACKKNIFE_FOLDS

    def select(self, indices: np.ndarray) -> FrameLevels:
        """The frames with these indices, or where a boolean mask is true."""
        return FrameLevels(*(getattr(self, field.name)[indices] for field in dataclasses.fields(self)))

    def add_curve(self, curve_db: Float[np.ndarray, " bands"]) -> FrameLevels:
        """The frames after a smooth EQ curve, which leaves the shapes of their fine spectra unchanged."""
        return dataclasses.replace(self, levels_db=self.levels_db + curve_db)


class ToneDifference(NamedTuple):
    """Reference minus track in each band, up to a constant, and its jackknife variance; 0 in unusable bands."""

    difference_db: Float[np.ndarray, " bands"]
    variance_db2: Float[np.ndarray, " bands"]


class WidthDifference(NamedTuple):
    """Side over mid of the reference minus that of the track, and its jackknife variance; NaN where either is mono."""

    difference_db: float
    variance_db2: float


def frame_levels(
    levels_db: Float[np.ndarray, "frames bands"],
    fine_db: Float[np.ndarray, "frames fine"],
    width_db: Float[np.ndarray, " frames"],
) -> FrameLevels:
    """Frames with their weights; more than 2000 are subsampled evenly. For the arguments see `FrameLevels`."""
    levels_db, fine_db, width_db = (_subsample(x).astype(np.float64) for x in (levels_db, fine_db, width_db))
    clipped_width_db = np.where(width_db > _WIDTH_RANGE_DB[0], np.minimum(width_db, _WIDTH_RANGE_DB[1]), np.nan)
    power = np.sum(10.0 ** ((levels_db - levels_db.max()) / 10.0), axis=1)
    return FrameLevels(levels_db, fine_db, clipped_width_db, (power / power.max()) ** _POWER_EXPONENT)


def concat_frames(recordings: Sequence[FrameLevels], weights: Sequence[float]) -> FrameLevels:
    """The frames of several recordings, each recording with a total weight; more than 2000 are subsampled evenly."""
    weighted = [
        dataclasses.replace(x, weight=x.weight * (weight / (max(weights) * np.sum(x.weight))))
        for x, weight in zip(recordings, weights, strict=True)
    ]
    columns = ([getattr(x, field.name) for x in weighted] for field in dataclasses.fields(FrameLevels))
    return FrameLevels(*(_subsample(np.concatenate(column)) for column in columns))


def _subsample(values: np.ndarray) -> np.ndarray:
    return values[:: -(-len(values) // _MAX_FRAMES) or 1]


def tone_difference(track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]) -> ToneDifference:
    """Tonal difference d over pairs of similar frames, and its variance.

    Args:
        track: frames of the track; `has_enough` must hold.
        reference: frames of the reference; `has_enough` must hold.
        usable: bands in which both hold music, at least one; the others have no influence.
    """
    difference_db, variance_db2 = np.zeros(len(usable)), np.zeros(len(usable))
    difference_db[usable], variance_db2[usable] = _weighted_difference(
        pair_weights=_pair_weights(track, reference, usable),
        track_values=_subtract_mean(track.levels_db[:, usable]),
        reference_values=_subtract_mean(reference.levels_db[:, usable]),
    )
    return ToneDifference(difference_db, variance_db2)


def width_difference(track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]) -> WidthDifference:
    """The same for the width; NaN unless both have enough stereo frames."""
    track, reference = (x.select(np.isfinite(x.width_db)) for x in (track, reference))
    if not (track.has_enough and reference.has_enough):
        return WidthDifference(math.nan, math.nan)
    difference, variance = _weighted_difference(
        pair_weights=_pair_weights(track, reference, usable),
        track_values=track.width_db[:, None],
        reference_values=reference.width_db[:, None],
    )
    return WidthDifference(float(difference[0]), float(variance[0]))


def frame_similarity(
    track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]
) -> Float[np.ndarray, "track reference"]:
    """Cosines s_i · r_j of the shapes of all pairs of frames, over the usable bands."""
    usable_fine = usable[np.argmin(np.abs(np.log(CENTERS_HZ[:, None] / _FINE_CENTERS_HZ)), axis=0)]
    return (
        _spectral_shapes(track.fine_db[:, usable_fine], _FINE_CENTERS_HZ[usable_fine])
        @ _spectral_shapes(reference.fine_db[:, usable_fine], _FINE_CENTERS_HZ[usable_fine]).T
    )


def _pair_weights(
    track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]
) -> Float[np.ndarray, "track reference"]:
    """w_ij, which sum to 1."""
    similarity = frame_similarity(track, reference, usable)
    weight = np.exp(_SHARPNESS * (similarity - similarity.max()))
    weight *= track.weight[:, None] * reference.weight
    return weight / weight.sum()


def _weighted_difference(
    pair_weights: Float[np.ndarray, "track reference"],
    track_values: Float[np.ndarray, "track values"],
    reference_values: Float[np.ndarray, "reference values"],
) -> tuple[Float[np.ndarray, " values"], Float[np.ndarray, " values"]]:
    """Weighted mean of reference − track over all pairs, and its jackknife variance."""
    variance = _jackknife_variance(pair_weights, track_values, reference_values) + _jackknife_variance(
        pair_weights.T, reference_values, track_values
    )
    return pair_weights.sum(axis=0) @ reference_values - pair_weights.sum(axis=1) @ track_values, variance


def _jackknife_variance(
    pair_weights: Float[np.ndarray, "frames other_frames"],
    values: Float[np.ndarray, "frames values"],
    other_values: Float[np.ndarray, "other_frames values"],
) -> Float[np.ndarray, " values"]:
    """Variance of the weighted mean of `other_values` − `values` when tenths of `values` are left out in turn."""
    frame_weights = pair_weights.sum(axis=1)
    by_frame = pair_weights @ other_values - frame_weights[:, None] * values  # contribution of each frame
    starts = np.linspace(0, len(frame_weights), _JACKKNIFE_FOLDS + 1).astype(int)[:-1]
    fold_sums, fold_weights = np.add.reduceat(by_frame, starts), np.add.reduceat(frame_weights, starts)
    remaining_weights = np.maximum(fold_weights.sum() - fold_weights, _MIN_WEIGHT)
    leave_one_out = (fold_sums.sum(axis=0) - fold_sums) / remaining_weights[:, None]
    return (_JACKKNIFE_FOLDS - 1.0) * np.mean((leave_one_out - leave_one_out.mean(axis=0)) ** 2, axis=0)


def _subtract_mean(levels_db: Float[np.ndarray, "frames bands"]) -> Float[np.ndarray, "frames bands"]:
    floored = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True) - _RANGE_DB)
    return floored - floored.mean(axis=1, keepdims=True)


def _spectral_shapes(
    levels_db: Float[np.ndarray, "frames fine"], freq_hz: Float[np.ndarray, " fine"]
) -> Float[np.ndarray, "frames fine"]:
    """Unit vectors of the levels minus their average over one octave; 0 for silence."""
    octaves = np.log2(freq_hz)
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2)
    floored = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True, initial=-np.inf) - _FINE_RANGE_DB)
    shape = floored - floored @ (kernel / kernel.sum(axis=1, keepdims=True)).T
    return shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-6)
