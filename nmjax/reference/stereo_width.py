"""Stereo width towards a reference's, in closed form from the levels of mid and side by band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Width
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.models.processors import PROCESSORS
from nmjax.reference.bands import CENTERS_HZ, MONO_DB
from nmjax.reference.dynamics_target import noise_scale_of_duration
from nmjax.reference.features import TrackFeatures
from nmjax.reference.frame_matching import width_difference
from nmjax.reference.posterior import Prior, shrink_difference
from nmjax.reference.target_eq import matchable_frames, usable_bands

# RMS of the degradation of a track, and of the difference between two sections of 30 s of one song.
_DEGRADATION_DB, _NOISE_DB = 1.3, 3.0
# The same for widths compared over similar frames, to whose noise this many standard errors are added.
_MATCHED_DEGRADATION_DB, _MATCHED_NOISE_DB, _NOISE_STD_ERRORS = 1.4, 0.5, 3.0
_BAND_WEIGHTS = (0.4, 0.6)  # relative reliability of the widths below and above the crossover
_BAND_MASKS = (CENTERS_HZ < CROSSOVER_HZ, CENTERS_HZ >= CROSSOVER_HZ, CENTERS_HZ > 0.0)  # low, high, all
_LOWPASS = 1.0 / (1.0 + 1j * CENTERS_HZ / CROSSOVER_HZ) ** 2  # the processor's low-pass, Q 0.5, far below Nyquist
_ITERATIONS, _DAMPING = 40, 0.5
_MIN_FACTOR = 0.01
_CURVE_MIN_DB, _CURVE_STEP_DB = -12.0, 0.25  # of the factors that are tried


def width_change_db(
    track: TrackFeatures,
    reference: TrackFeatures,
    eq_db: Float[np.ndarray, " bands"],
    factors: tuple[float, float],
    prior: Prior,
    same_song: bool,
) -> Float[np.ndarray, "3"]:
    """Change of the width to request, in dB, in the order of `band_widths_db`.

    Args:
        track: features of the track before processing.
        reference: features of the reference.
        eq_db: response of the EQ, which acts on mid and side.
        factors: current gains of the side below and above the crossover.
        prior: prior of the tone's degradation.
        same_song: whether the reference is another section or mix of the track's song.
    """
    current_db = band_widths_db(track, eq_db, factors)
    if frames := matchable_frames(track, reference, prior):
        difference_db, variance_db2 = width_difference(*frames, usable_bands(track, reference))
        if np.isfinite(difference_db):  # more reliable than the predicted width, which it replaces
            eq_width_db = band_widths_db(track, eq_db)
            eq_change_db = (eq_width_db - band_widths_db(track))[1]
            noise_db = np.hypot(_MATCHED_NOISE_DB, _NOISE_STD_ERRORS * np.sqrt(variance_db2))
            change_db = shrink_difference(difference_db - eq_change_db, _MATCHED_DEGRADATION_DB, noise_db, prior)
            return change_db - (current_db - eq_width_db)
    difference_db = band_widths_db(reference) - current_db
    if same_song:  # one degradation for both bands: a difference between them is due to the music
        difference_db = np.full(3, np.average(difference_db[:2], weights=_BAND_WEIGHTS))
    noise_db = noise_scale_of_duration(track, reference) * _NOISE_DB
    return np.array([shrink_difference(x, _DEGRADATION_DB, noise_db, prior) for x in difference_db])


def band_widths_db(
    features: TrackFeatures,
    eq_db: Float[np.ndarray, " bands"] | float = 0.0,
    factors: Sequence[float] | np.ndarray = (1.0, 1.0),
) -> Float[np.ndarray, "3"]:
    """Power of the side over that of mid in dB: below the crossover, above it, and overall; −inf for mono.

    Args:
        features: features of the recording.
        eq_db: EQ response that is applied to mid and side first.
        factors: gains of the side below and above the crossover that are applied next.
    """
    gain_db = _side_gain_db(factors)
    ratios_db = []
    for mask in _BAND_MASKS:
        levels = (features.side_db + gain_db, features.mid_db)
        side, mid = (np.sum(10.0 ** ((x + eq_db)[mask] / 10.0)) for x in levels)
        ratios_db.append(10.0 * np.log10(side / mid) if features.stereo else -np.inf)
    return np.array(ratios_db)


def fit_width_to_curve(side_gain_db: Float[np.ndarray, " bands"], weight: Float[np.ndarray, " bands"]) -> Width:
    """The width whose gain of the side is nearest to a curve, in dB at `CENTERS_HZ`.

    Args:
        side_gain_db: the curve.
        weight: weight of each band.
    """
    low, high = (
        10.0 ** (np.arange(_CURVE_MIN_DB, 20.0 * np.log10(row.high), _CURVE_STEP_DB) / 20.0)
        for row in PROCESSORS["width"].settings
    )
    gain = low[:, None, None] * _LOWPASS + high[:, None] * (1.0 - _LOWPASS)
    error_db = 20.0 * np.log10(np.abs(gain) + 1e-9) - side_gain_db
    cost = np.average(error_db**2, axis=2, weights=weight)
    best_low, best_high = np.unravel_index(np.argmin(cost), cost.shape)
    return _to_width(low[best_low], high[best_high])


def scale_width(width: Width, gain_db: float) -> Width:
    """The width with both factors changed by a gain, within the ranges that the model uses."""
    factor = 10.0 ** (gain_db / 20.0)
    values = (
        float(np.clip(getattr(width, row.name)[0] * factor, row.low, row.high)) for row in PROCESSORS["width"].settings
    )
    return _to_width(*values)


def width_gain_db(width: Width | None) -> Float[np.ndarray, " bands"]:
    """Gain of the side at `CENTERS_HZ`; 0 without a width."""
    return np.zeros(len(CENTERS_HZ)) if width is None else _side_gain_db((float(width.low[0]), float(width.high[0])))


def _side_gain_db(factors: Sequence[float] | np.ndarray) -> Float[np.ndarray, " bands"]:
    return 20.0 * np.log10(np.abs(factors[0] * _LOWPASS + factors[1] * (1.0 - _LOWPASS)) + 1e-9)


def fit_width(
    current: Width | None,
    features: TrackFeatures,
    eq_db: Float[np.ndarray, " bands"] | float,
    change_db: Float[np.ndarray, "3"],
    min_factors: tuple[float, float] = (0.0, 0.0),
) -> Width | None:
    """Fit the side gains to a change of the width, within the ranges that the model uses.

    The bands overlap, so this is a fixed-point iteration with damping 0.5: first each gain towards the change in its
    band, then both towards the overall change, which takes precedence, until either is as narrow as it may be: a treble
    without a side would not make up for a wide bass. A side below −40 dB is not boosted.

    Args:
        current: settings to start from.
        features: features of the track before processing.
        eq_db: response of the EQ.
        change_db: change below the crossover, above it, and overall.
        min_factors: smallest factors below and above the crossover; with 1 the bass becomes no narrower.

    Returns:
        Settings with fields `[1]`; None where there were none and nothing changes.
    """
    low, high = zip(*((row.low, row.high) for row in PROCESSORS["width"].settings), strict=True)
    low = np.maximum(np.maximum(low, min_factors), _MIN_FACTOR)
    start = np.array([1.0 if current is None else float(getattr(current, name)[0]) for name in ("low", "high")])
    change_db = np.where(band_widths_db(features, eq_db) > MONO_DB, change_db, np.minimum(change_db, 0.0))
    target_db = band_widths_db(features, eq_db, start) + change_db
    factors = np.maximum(start, low)
    for selection in (slice(0, 2), 2):
        for _ in range(_ITERATIONS if change_db.any() else 0):
            deficit_db = (target_db - band_widths_db(features, eq_db, factors))[selection]
            requested = factors * 10.0 ** (_DAMPING * deficit_db / 20.0)
            if selection == 2 and np.any(requested < low):
                break
            factors = np.clip(requested, low, high)
    if current is None and np.allclose(factors, 1.0, atol=_MIN_FACTOR):
        return None
    return _to_width(*factors)


def _to_width(low: float, high: float) -> Width:
    arrays: Any = (np.full(1, x, np.float32) for x in (low, high))
    return Width(*arrays)
