"""The curve that a reference asks for: Wiener's estimate against a plain one, doubt, bounds of boosts."""

import dataclasses

import numpy as np
import pytest

from nmjax.reference.profile import BANDS, CENTRES_HZ, Profile
from nmjax.reference.wanted import MOST_BOOST_DB, OTHER_SONG, SAME_SONG, boost_limit_db, held_db, wanted_db

OCTAVES = np.log2(CENTRES_HZ / 1000.0)
BUMP = 3.0 * np.exp(-0.5 * (OCTAVES - 1.0) ** 2)


def profile(mid_db, doubt_db=0.2, **changes) -> Profile:
    mid_db = np.broadcast_to(mid_db, (BANDS,)).astype(float)
    doubt_db = np.broadcast_to(doubt_db, (BANDS,)).astype(float)
    return dataclasses.replace(Profile(mid_db, mid_db - 10, doubt_db, 12.0, 5.0, 60.0, True, 22_050.0), **changes)


def wanted(track, reference, belief=SAME_SONG, there=0.0):
    return wanted_db(track, reference, np.broadcast_to(there, (BANDS,)), belief)[0]


def test_a_smooth_difference_of_steady_bands_is_taken_over():
    found = wanted(profile(-30.0), profile(-30.0 + BUMP))
    assert np.std(found - BUMP) < 0.35 * np.std(BUMP)
    assert np.std(wanted(profile(-30.0), profile(-30.0 + BUMP), OTHER_SONG) - BUMP) < 0.1 * np.std(BUMP)


def test_a_level_is_no_tone():
    one, other = (wanted(profile(-30.0), profile(-30.0 + BUMP + level)) for level in (0.0, 15.0))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_with_known_sizes_it_is_conditioning():
    """One size of each: C (C + N)⁻¹ d, written out with an inverse."""
    belief = dataclasses.replace(SAME_SONG, scale_spread=0.0)
    track, reference = profile(-30.0, 0.5), profile(-30.0 + BUMP, 1.0)
    apart = np.abs(OCTAVES[:, None] - OCTAVES)
    noise = (5.0 * (0.5**2 + 1.0**2) + 1.0) * (0.3 * np.eye(BANDS) + 0.7 * np.exp(-apart / 1.5))
    fault = 2.2**2 * (np.exp(-0.5 * (apart / 0.7) ** 2) + np.exp(-0.5 * (apart / 1.4) ** 2)) / 2
    estimate = fault @ np.linalg.inv(fault + noise + 100.0) @ (BUMP - np.median(BUMP))
    np.testing.assert_allclose(wanted(track, reference, belief), estimate - estimate.mean(), atol=1e-8)


def test_what_varies_is_doubted_and_so_is_what_is_far_for_one_song():
    sure, unsure = (np.std(wanted(profile(-30.0, d), profile(-30.0 + BUMP, d))) for d in (0.2, 3.0))
    assert unsure < 0.6 * sure
    rng = np.random.default_rng(0)
    shares = []
    for size_db in (0.0, 6.0):  # RMS of what is rough, and so no fault
        taken = [wanted(profile(-30.0), profile(-30.0 + BUMP + size_db * rng.standard_normal(BANDS))) for _ in range(9)]
        shares.append(np.mean(taken, axis=0) @ BUMP / (BUMP @ BUMP))
    assert shares[1] < 0.6 * shares[0]


def test_what_is_there_already_is_not_asked_for_again():
    found = wanted(profile(-30.0), profile(-30.0 + BUMP), there=BUMP)
    assert np.abs(found).max() < 0.2


def test_bands_that_a_side_lacks_ask_for_nothing():
    """An 11-kHz reference, and a reference with nothing above 8 kHz in a file that could hold it."""
    above = CENTRES_HZ > 8_000
    for reference in (profile(-30.0, highest_hz=5_512.0), profile(np.where(above, -119.0, -30.0))):
        found = wanted(profile(-30.0), reference, OTHER_SONG)
        assert np.abs(found).max() < 1.0


def test_nothing_in_common_asks_for_nothing():
    quiet = profile(np.where(CENTRES_HZ > 1000, -30.0, -119.0))
    found, weight = wanted_db(quiet, profile(-30.0, highest_hz=500.0), np.zeros(BANDS), OTHER_SONG)
    assert not found.any() and np.all(weight == 1.0)


@pytest.mark.parametrize(("below_db", "limit_db"), [(0.0, 18.0), (60.0, 18.0), (70.0, 9.0), (80.0, 0.0), (90.0, 0.0)])
def test_boosts_are_bounded_near_the_noise(below_db, limit_db):
    track = profile(np.where(CENTRES_HZ > 5_000, -20.0 - below_db, -20.0))
    assert boost_limit_db(track)[-1] == pytest.approx(limit_db)
    held = held_db(np.where(CENTRES_HZ > 5_000, 30.0, 0.0), track)
    assert held[-1] <= limit_db + 1e-9 and held.min() >= -MOST_BOOST_DB


def test_boosts_are_counted_from_the_same_power():
    """A curve and the same curve 9 dB up are held alike."""
    track = profile(-30.0 - 5.0 * OCTAVES)
    np.testing.assert_allclose(held_db(BUMP, track), held_db(BUMP + 9.0, track), atol=1e-9)
