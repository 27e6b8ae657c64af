"""Like compared with like: the moments at which two parts of a song play the same, and by how much they differ there.

Two parts of a song differ in tone mostly because other instruments play. But its notes and sounds come again, often to
the sample. So pairs of moments, one of each part, are weighed by how alike they are, whatever smooth curve lies
between them: each moment's levels in 24ths of an octave less their mean over an octave are a vector, and the weight is
exp(35 × the cosine of both) × the 0.2nd power of how loud each is in its piece. The difference of the levels, each
moment's about its own mean, is averaged over all pairs; that of the side over mid likewise. What it is worth is
measured in docs/reference.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from nmjax.dsp.filterbanks import band_filterbank

CENTERS_HZ = 1000.0 * 2.0 ** (np.arange(-32, 24) / 6.0)  # sixths of an octave, 24.8 Hz to 14.3 kHz: codecs end at 16
_FINE_CENTERS_HZ = 110.0 * 2.0 ** (np.arange(150) / 24.0)  # to 8.1 kHz
_SMOOTH_OCTAVES = 1.0  # what a shape is freed of
_RANGE_DB, _FINE_RANGE_DB = 70.0, 60.0  # levels further below a moment's loudest are held there
_SHARPNESS = 35.0
_LOUDNESS_EXPONENT = 0.2  # the weight grows with this power of a moment's own
_MAX_FRAMES = 2000  # moments; of more every second, third …
_JACKKNIFE_FOLDS = 10  # that are left out in turn
_MIN_WEIGHT = 1e-3  # of the weights, without a part
_WIDTH_RANGE_DB = (-40.0, 20.0)  # of a moment; what is narrower is mono, and has none


@dataclasses.dataclass(frozen=True)
class FrameLevels:
    """What is kept of moments, in their order. levels_db: of mid in the profile's bands, at the signal's own level.
    fine_db: the same in 24ths of an octave. width_db: the side's power over mid's, −40 to 20; NaN for mono. say: how
    much each counts."""

    levels_db: Float[np.ndarray, "frames bands"]
    fine_db: Float[np.ndarray, "frames fine"]
    width_db: Float[np.ndarray, " frames"]
    weight: Float[np.ndarray, " frames"]

    @property
    def has_enough(self) -> bool:
        """Whether there are so many that they can be compared."""
        return len(self.levels_db) >= _JACKKNIFE_FOLDS

    def select(self, indices: np.ndarray) -> FrameLevels:
        """Those that are chosen, by number or as booleans."""
        return FrameLevels(*(getattr(self, field.name)[indices] for field in dataclasses.fields(self)))

    def add_curve(self, curve_db: Float[np.ndarray, " bands"]) -> FrameLevels:
        """The same after a smooth curve, which leaves fine shapes as they are."""
        return dataclasses.replace(self, levels_db=self.levels_db + curve_db)


def fine_filterbank(window: int, sample_rate: float) -> Float[np.ndarray, "bins fine"]:
    """How much of each bin of a spectrum lies in each 24th of an octave."""
    half_band = 2.0 ** (1.0 / 48.0)
    return band_filterbank(_FINE_CENTERS_HZ / half_band, _FINE_CENTERS_HZ * half_band, window, sample_rate)


def frame_levels(
    levels_db: Float[np.ndarray, "frames bands"],
    fine_db: Float[np.ndarray, "frames fine"],
    width_db: Float[np.ndarray, " frames"],
) -> FrameLevels:
    """Moments from levels in the profile's bands and in 24ths of an octave, and from their widths; of more than 2000 an
    even choice."""
    levels_db, fine_db, width_db = (_subsample(x).astype(np.float64) for x in (levels_db, fine_db, width_db))
    clipped_width_db = np.where(width_db > _WIDTH_RANGE_DB[0], np.minimum(width_db, _WIDTH_RANGE_DB[1]), np.nan)
    power = np.sum(10.0 ** ((levels_db - levels_db.max()) / 10.0), axis=1)
    return FrameLevels(levels_db, fine_db, clipped_width_db, (power / power.max()) ** _LOUDNESS_EXPONENT)


def concat_frames(parts: Sequence[FrameLevels], weights: Sequence[float]) -> FrameLevels:
    """Those of several pieces, one after the other, each piece with its weight; of more than 2000 an even choice."""
    parts = [
        dataclasses.replace(x, weight=x.weight * (weight / (max(weights) * np.sum(x.weight))))
        for x, weight in zip(parts, weights, strict=True)
    ]
    return FrameLevels(
        *(_subsample(np.concatenate([getattr(x, f.name) for x in parts])) for f in dataclasses.fields(FrameLevels))
    )


def _subsample(values: np.ndarray) -> np.ndarray:
    return values[:: -(-len(values) // _MAX_FRAMES) or 1]


def tone_difference(
    track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]
) -> tuple[Float[np.ndarray, " bands"], Float[np.ndarray, " bands"]]:
    """How much louder the reference is in each band where both play alike, dB about some level; and the variance of it,
    dB², by the jackknife: tenths of the track left out in turn, then of the reference (Efron 1982).

    Args:
        track, reference: `enough` moments each.
        usable: bands in which both hold something, at least one; the others say nothing and read 0.
    """
    result = np.zeros((2, len(usable)))
    levels = [_subtract_mean(x.levels_db[:, usable]) for x in (track, reference)]
    result[:, usable] = _weighted_difference(_pair_weights(track, reference, usable), *levels)
    return result[0], result[1]


def width_difference(
    track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]
) -> tuple[float, float]:
    """The same of the side's power over mid's, dB and dB²; NaN where fewer than `enough` moments of either have one."""
    track, reference = (x.select(np.isfinite(x.width_db)) for x in (track, reference))
    if not (track.has_enough and reference.has_enough):
        return math.nan, math.nan
    pair_weights = _pair_weights(track, reference, usable)
    difference, variance = _weighted_difference(pair_weights, track.width_db[:, None], reference.width_db[:, None])
    return float(difference[0]), float(variance[0])


def _pair_weights(
    track: FrameLevels, reference: FrameLevels, usable: Bool[np.ndarray, " bands"]
) -> Float[np.ndarray, "track reference"]:
    """How much each pair counts, 1 in all."""
    usable_fine = usable[np.argmin(np.abs(np.log(CENTERS_HZ[:, None] / _FINE_CENTERS_HZ)), axis=0)]
    similarity = (
        _spectral_shapes(track.fine_db[:, usable_fine], _FINE_CENTERS_HZ[usable_fine])
        @ _spectral_shapes(reference.fine_db[:, usable_fine], _FINE_CENTERS_HZ[usable_fine]).T
    )
    weight = np.exp(_SHARPNESS * (similarity - similarity.max()))
    weight *= track.weight[:, None] * reference.weight
    return weight / weight.sum()


def _weighted_difference(
    pair_weights: Float[np.ndarray, "track reference"],
    track_values: Float[np.ndarray, "track values"],
    reference_values: np.ndarray,
) -> tuple[Float[np.ndarray, " values"], Float[np.ndarray, " values"]]:
    """The weighted mean of `other` − `one` over all pairs, and its variance."""
    variance = _jackknife_variance(pair_weights, track_values, reference_values) + _jackknife_variance(
        pair_weights.T, reference_values, track_values
    )
    return pair_weights.sum(axis=0) @ reference_values - pair_weights.sum(axis=1) @ track_values, variance


def _jackknife_variance(
    pair_weights: Float[np.ndarray, "one other"], values: Float[np.ndarray, "one values"], other_values: np.ndarray
) -> Float[np.ndarray, " values"]:
    """Variance of the weighted mean of `other` − `one`, parts of the first left out in turn."""
    frame_weights = pair_weights.sum(axis=1)
    by_frame = pair_weights @ other_values - frame_weights[:, None] * values  # what each contributes
    starts = np.linspace(0, len(frame_weights), _JACKKNIFE_FOLDS + 1).astype(int)[:-1]
    fold_sums, fold_weights = np.add.reduceat(by_frame, starts), np.add.reduceat(frame_weights, starts)
    leave_one_out = (fold_sums.sum(axis=0) - fold_sums) / np.maximum(fold_weights.sum() - fold_weights, _MIN_WEIGHT)[
        :, None
    ]
    return (_JACKKNIFE_FOLDS - 1.0) * np.mean((leave_one_out - leave_one_out.mean(axis=0)) ** 2, axis=0)


def _subtract_mean(levels_db: Float[np.ndarray, "frames bands"]) -> Float[np.ndarray, "frames bands"]:
    floored = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True) - _RANGE_DB)
    return floored - floored.mean(axis=1, keepdims=True)


def _spectral_shapes(
    levels_db: Float[np.ndarray, "frames fine"], freq_hz: np.ndarray
) -> Float[np.ndarray, "frames fine"]:
    """Vectors of length 1, of what is fine in spectra; 0 for silence."""
    octaves = np.log2(freq_hz)
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2)
    floored = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True, initial=-np.inf) - _FINE_RANGE_DB)
    shape = floored - floored @ (kernel / kernel.sum(axis=1, keepdims=True)).T
    return shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-6)
