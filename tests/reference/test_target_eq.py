"""EQ correction towards a reference: the posterior mean against a closed form, reliability, limits of boosts."""

import dataclasses

import numpy as np
import pytest

from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import DEFAULT_LIMITS, MatchLimits
from nmjax.reference.posterior import OTHER_SONG_PRIOR, SAME_SONG_PRIOR
from nmjax.reference.target_eq import (
    boost_limit_db,
    eq_correction_db,
    limit_gains,
    limits_of_sound,
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
    limited = limit_gains(np.where(CENTERS_HZ > 5_000, 30.0, 0.0), track, MatchLimits(18.0).response(track))
    assert limited[-1] <= limit_db + 1e-9 and limited.min() >= -18.0


def loudness_change_db(curve_db, track):
    """Of K-weighted levels whose weights are read off figure 4 of BS.1770: −∞ to 0 to +4 dB."""
    weight_db = np.interp(CENTERS_HZ, [25.0, 40.0, 100.0, 500.0, 1000.0, 2000.0, 4000.0], [-10, -6, -1, 0, 0.6, 3.2, 4])
    power = 10 ** ((track.mid_db + weight_db) / 10) + 10 ** ((track.side_db + weight_db) / 10)
    return 10 * np.log10(np.sum(power * 10 ** (curve_db / 10)) / np.sum(power))


@pytest.mark.parametrize("level_db", [0.0, -20.0, 13.0])
def test_gains_are_bounded_at_equal_loudness(level_db):
    """A steep curve is bounded at both ends, at whatever level it is given, and leaves the loudness unchanged."""
    track = make_features(-30.0 - 5.0 * OCTAVES)
    tilt_db = 40.0 * (OCTAVES - OCTAVES.min()) / np.ptp(OCTAVES)
    result = limit_gains(tilt_db + level_db, track, DEFAULT_LIMITS.response(track))
    assert result.max() == pytest.approx(6.0) and -12.0 <= result.min() < 0.0
    assert loudness_change_db(result, track) == pytest.approx(0.0, abs=0.25)
    inside = (result > -11.9) & (result < 5.9)
    np.testing.assert_allclose(np.diff(result[inside]), tilt_db[1] - tilt_db[0], atol=1e-6)
    for gain_db, expected_db in ((16.0, 3.0), (-30.0, -12.0)):
        curve_db = level_db + np.where(CENTERS_HZ < 50.0, gain_db, 0.0)
        assert limit_gains(curve_db, track, DEFAULT_LIMITS.response(track))[0] == pytest.approx(expected_db)


def test_a_curve_within_the_limits_is_unchanged_but_for_its_level():
    track = make_features(-30.0)
    result = limit_gains(BUMP_DB + 9.0, track, DEFAULT_LIMITS.response(track))
    assert np.ptp(result - BUMP_DB) < 1e-9 and loudness_change_db(result, track) == pytest.approx(0.0, abs=0.1)


def test_where_a_track_holds_nothing_it_is_boosted_by_1_db():
    track = make_features(np.where(CENTERS_HZ < 60.0, -85.0, -30.0))
    limits = limits_of_sound(track, DEFAULT_LIMITS.response(track))
    assert limit_gains(np.where(CENTERS_HZ < 60.0, 9.0, 0.0), track, limits)[:5] == pytest.approx(1.0)


def test_the_shares_within_limits_make_the_largest_gain_equal_to_the_limit():
    track = make_features(-30.0)
    limits = DEFAULT_LIMITS.response(track)
    for sign, limit_db in ((1.0, 6.0), (-1.0, 12.0)):
        within = share_within_limits(sign * BUMP_DB, sign * 8.0 * BUMP_DB, track, limits, strength=1.0)
        share = within.boost if sign > 0.0 else within.cut
        curve_db = sign * (1.0 + share * 8.0) * BUMP_DB
        gain_db = sign * (curve_db - loudness_change_db(curve_db, track))
        assert 0.0 < share < 1.0 and gain_db.max() == pytest.approx(limit_db, abs=0.2)
    asked_db = -9.0 * BUMP_DB
    assert within.deepest_cut_db == pytest.approx(-(asked_db - loudness_change_db(asked_db, track)).min(), abs=0.3)
    assert abs(np.log2(within.deepest_hz / 2_000.0)) < 0.2
    assert share_within_limits(np.zeros(NUM_BANDS), BUMP_DB, track, limits, 1.0)[:2] == (1.0, 1.0)
