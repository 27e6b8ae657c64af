"""EQ correction towards a reference: the posterior mean against a closed form, reliability, limits of boosts."""

import dataclasses

import numpy as np
import pytest

from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import ResponseLimits
from nmjax.reference.posterior import OTHER_SONG_PRIOR, SAME_SONG_PRIOR
from nmjax.reference.target_eq import (
    MAX_BOOST_DB,
    boost_limit_db,
    eq_correction_db,
    limit_boosts,
    share_within_limits,
)

OCTAVES = np.log2(CENTERS_HZ / 1000.0)
BUMP_DB = 3.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)


def make_features(mid_db, std_error_db=0.2, **changes) -> TrackFeatures:
    mid_db = np.broadcast_to(mid_db, (NUM_BANDS,)).astype(float)
    std_error_db = np.broadcast_to(std_error_db, (NUM_BANDS,)).astype(float)
    return dataclasses.replace(
        TrackFeatures(mid_db, mid_db - 10, std_error_db, 12.0, 5.0, 60.0, True, 22_050.0), **changes
    )


def target_curve_db(track, reference, prior=SAME_SONG_PRIOR, applied_db=0.0):
    return eq_correction_db(track, reference, np.broadcast_to(applied_db, (NUM_BANDS,)), prior)[0]


def test_a_smooth_difference_of_steady_bands_is_adopted():
    result = target_curve_db(make_features(-30.0), make_features(-30.0 + BUMP_DB))
    assert np.std(result - BUMP_DB) < 0.35 * np.std(BUMP_DB)
    assert np.std(
        target_curve_db(make_features(-30.0), make_features(-30.0 + BUMP_DB), OTHER_SONG_PRIOR) - BUMP_DB
    ) < 0.1 * np.std(BUMP_DB)


def test_a_level_offset_does_not_change_the_tone():
    one, other = (
        target_curve_db(make_features(-30.0), make_features(-30.0 + BUMP_DB + level)) for level in (0.0, 15.0)
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_with_known_scales_the_estimate_is_gaussian_conditioning():
    """Fixed scales: C (C + N)⁻¹ d, with an explicit inverse."""
    prior = dataclasses.replace(SAME_SONG_PRIOR, noise_log_std=0.0)
    track, reference = make_features(-30.0, 0.5), make_features(-30.0 + BUMP_DB, 1.0)
    octaves_apart = np.abs(OCTAVES[:, None] - OCTAVES)
    noise_covariance = (5.0 * (0.5**2 + 1.0**2) + 1.0) * (0.3 * np.eye(NUM_BANDS) + 0.7 * np.exp(-octaves_apart / 1.5))
    prior_covariance = (
        2.2**2 * (np.exp(-0.5 * (octaves_apart / 0.7) ** 2) + np.exp(-0.5 * (octaves_apart / 1.4) ** 2)) / 2
    )
    estimate = (
        prior_covariance @ np.linalg.inv(prior_covariance + noise_covariance + 100.0) @ (BUMP_DB - np.median(BUMP_DB))
    )
    np.testing.assert_allclose(target_curve_db(track, reference, prior), estimate - estimate.mean(), atol=1e-8)


def test_varying_bands_and_implausible_differences_get_less_weight():
    reliable, unreliable = (
        np.std(target_curve_db(make_features(-30.0, d), make_features(-30.0 + BUMP_DB, d))) for d in (0.2, 3.0)
    )
    assert unreliable < 0.6 * reliable
    rng = np.random.default_rng(0)
    shares = []
    for size_db in (0.0, 6.0):  # RMS of a rough difference, which no degradation has
        curves = [
            target_curve_db(
                make_features(-30.0), make_features(-30.0 + BUMP_DB + size_db * rng.standard_normal(NUM_BANDS))
            )
            for _ in range(9)
        ]
        shares.append(np.mean(curves, axis=0) @ BUMP_DB / (BUMP_DB @ BUMP_DB))
    assert shares[1] < 0.6 * shares[0]


def test_an_equalization_already_applied_is_not_requested_again():
    result = target_curve_db(make_features(-30.0), make_features(-30.0 + BUMP_DB), applied_db=BUMP_DB)
    assert np.abs(result).max() < 0.2


def test_missing_bands_request_nothing():
    """A reference at a sample rate of 11 kHz, and a full-rate reference that is empty above 8 kHz."""
    above = CENTERS_HZ > 8_000
    for reference in (make_features(-30.0, max_hz=5_512.0), make_features(np.where(above, -119.0, -30.0))):
        result = target_curve_db(make_features(-30.0), reference, OTHER_SONG_PRIOR)
        assert np.abs(result).max() < 1.0


def test_disjoint_bands_request_nothing():
    quiet = make_features(np.where(CENTERS_HZ > 1000, -30.0, -119.0))
    result = eq_correction_db(quiet, make_features(-30.0, max_hz=500.0), np.zeros(NUM_BANDS), OTHER_SONG_PRIOR)
    assert not result.curve_db.any() and np.all(result.weight == 1.0) and result.share == 0.0


@pytest.mark.parametrize(("below_db", "limit_db"), [(0.0, 18.0), (60.0, 18.0), (70.0, 9.0), (80.0, 0.0), (90.0, 0.0)])
def test_boosts_are_bounded_near_the_noise(below_db, limit_db):
    track = make_features(np.where(CENTERS_HZ > 5_000, -20.0 - below_db, -20.0))
    assert boost_limit_db(track)[-1] == pytest.approx(limit_db)
    limited = limit_boosts(np.where(CENTERS_HZ > 5_000, 30.0, 0.0), track)
    assert limited[-1] <= limit_db + 1e-9 and limited.min() >= -MAX_BOOST_DB


def test_boost_limits_do_not_depend_on_the_level_of_the_curve():
    track = make_features(-30.0 - 5.0 * OCTAVES)
    np.testing.assert_allclose(limit_boosts(BUMP_DB, track), limit_boosts(BUMP_DB + 9.0, track), atol=1e-9)


def test_boosts_over_the_mean_are_bounded_at_any_level_of_the_curve():
    """A tilt of 20 dB is bounded as a boost of the treble, whether it is given as a boost or as a cut."""
    track, limits = make_features(-30.0), ResponseLimits(3.0, 6.0)
    tilt_db = 20.0 * (OCTAVES - OCTAVES.min()) / np.ptp(OCTAVES)
    for level_db in (0.0, -20.0):
        result = limit_boosts(tilt_db + level_db, track, limits)
        unlimited = limit_boosts(tilt_db + level_db, track)
        assert result.max() - unlimited.mean() == pytest.approx(6.0)
        np.testing.assert_allclose(result[:20], unlimited[:20])
    sub_bass_db = np.where(CENTERS_HZ < 50.0, 8.0, 0.0)
    result = limit_boosts(sub_bass_db, track, limits)
    assert result[0] - limit_boosts(sub_bass_db, track).mean() == pytest.approx(3.0)


def test_the_share_within_limits_makes_the_largest_boost_equal_to_the_limit():
    track, limits = make_features(-30.0), ResponseLimits(3.0, 6.0)
    share = share_within_limits(BUMP_DB, 4.0 * BUMP_DB, track, limits)
    curve_db = BUMP_DB + share * 4.0 * BUMP_DB
    assert 0.0 < share < 1.0 and np.max(curve_db - curve_db.mean()) == pytest.approx(6.0)
    assert share_within_limits(np.zeros(NUM_BANDS), BUMP_DB, track, limits) == 1.0
