"""What a reference asks of a track's dynamics: changes of crest factor and loudness range, and how good a result is."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from nmjax.reference.features import TrackFeatures
from nmjax.reference.posterior import Prior, shrink_difference

# RMS of the degradation of a track, and of the difference between two sections of 30 s of one song.
_CREST_DEGRADATION_DB, _CREST_NOISE_DB = 0.8, 2.0
_RANGE_DEGRADATION_LU, _RANGE_NOISE_LU = 1.0, 3.0
_CREST_CHANGE_LIMITS_DB, _RANGE_CHANGE_LIMITS_LU = (-6.0, 2.0), (-4.0, 2.0)
_MIN_CREST_CHANGE_DB, _MIN_RANGE_CHANGE_LU = 0.1, 0.2  # smaller changes need no compressor
CREST_SCALE_DB, RANGE_SCALE_LU = 0.5, 1.0  # error that costs 1
_MAX_HARM_DB, _MAX_HARM_LU = 0.5, 0.5  # by which crest factor and loudness range may move away from the reference


@dataclasses.dataclass(frozen=True)
class DynamicsChange:
    """Measured change of excerpts.

    Attributes:
        crest_db: mean change of the crest factor.
        slope: change of the loudness in dB per dB of loudness; the loudness range grows by this share.
    """

    crest_db: float
    slope: float


NO_CHANGE = DynamicsChange(crest_db=0.0, slope=0.0)


@dataclasses.dataclass(frozen=True)
class DynamicsTarget:
    """Requested change, relative to no compressor.

    Attributes:
        crest_change_db: of the median crest factor of 3 s.
        range_change_lu: of the loudness range.
        current_range_lu: loudness range without a compressor.
        crest_to_reference_db: change of the crest factor that would reach the reference.
        range_to_reference_lu: the same of the loudness range.
    """

    crest_change_db: float
    range_change_lu: float
    current_range_lu: float
    crest_to_reference_db: float
    range_to_reference_lu: float

    def cost(self, change: DynamicsChange) -> float:
        """How far a measured change is from the requested one; infinite where it leads away from the reference.

        One compressor changes both features: it must not reach the one at the other's expense.
        """
        crest_db, range_lu = change.crest_db, change.slope * self.current_range_lu
        if moved_away(crest_db, self.crest_to_reference_db) > _MAX_HARM_DB:
            return math.inf
        if moved_away(range_lu, self.range_to_reference_lu) > _MAX_HARM_LU:
            return math.inf
        return float(
            ((crest_db - self.crest_change_db) / CREST_SCALE_DB) ** 2
            + ((range_lu - self.range_change_lu) / RANGE_SCALE_LU) ** 2
        )

    @property
    def needs_expansion(self) -> bool:
        """Whether crest factor and loudness range shall grow on the whole."""
        return self.crest_change_db / CREST_SCALE_DB + self.range_change_lu / RANGE_SCALE_LU > 0.0


def dynamics_target(
    track: TrackFeatures,
    reference: TrackFeatures,
    strength: float,
    eq_change: DynamicsChange,
    compressor_change: DynamicsChange,
    prior: Prior,
) -> DynamicsTarget | None:
    """Change to request from the compressor; None where it would be inaudible.

    Args:
        track: features of the track before processing.
        reference: features of the reference.
        strength: share of the posterior mean to apply, 0 to 1.
        eq_change: effect of the EQ on the track.
        compressor_change: effect of the current compressor on the equalized track.
        prior: prior of the tone's degradation.
    """
    noise_scale = noise_scale_of_duration(track, reference)
    range_lu = (1.0 + eq_change.slope) * track.loudness_range  # NaN below 3 s, which requests no change
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
    range_to_reference_lu = float(np.nan_to_num(reference.loudness_range - range_lu))
    range_lu = float(np.nan_to_num(range_lu))
    crest_change_db = np.clip(compressor_change.crest_db + crest_step_db, *_CREST_CHANGE_LIMITS_DB)
    range_change_lu = np.clip(compressor_change.slope * range_lu + range_step_lu, *_RANGE_CHANGE_LIMITS_LU)
    return DynamicsTarget(
        crest_change_db=float(crest_change_db),
        range_change_lu=float(range_change_lu),
        current_range_lu=range_lu,
        crest_to_reference_db=crest_difference_db + compressor_change.crest_db,
        range_to_reference_lu=range_to_reference_lu,
    )


def noise_scale_of_duration(track: TrackFeatures, reference: TrackFeatures) -> float:
    """RMS noise of a single feature's difference, relative to that of two sections of 30 s."""
    return float(np.sqrt(sum(0.5 * 30.0 / max(x.seconds, 3.0) for x in (track, reference))))


def moved_away(change: Any, to_reference: Any) -> Any:
    """By how much a change makes the distance to the reference larger; below 0 where it makes it smaller."""
    return abs(to_reference - change) - abs(to_reference)
