"""The outcome of a match, and the message about a reference that is far away."""

import json

import numpy as np
import pytest

from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.limits import DEFAULT_LIMITS, SAME_SONG_LIMITS
from nmjax.reference.outcome import BOOST, cut_note, limit_note, match_outcome


def test_the_outcome_tells_the_difference_before_and_after_and_the_cost():
    difference_db = np.tile([4.0, -4.0], NUM_BANDS // 2) + 3.0
    eq_db = np.tile([2.0, -3.0], NUM_BANDS // 2)
    difference_db[:2] = np.nan
    result = match_outcome("a.flac", difference_db, eq_db, (BOOST,))
    assert result is not None
    assert (result.before_db, result.after_db) == pytest.approx((4.0, 1.5))
    assert result.sentence == (
        "The tone is 1.5 dB RMS from a.flac (before: 4.0 dB), with +2.0 to −3.0 dB of EQ; "
        "held back by the limits: more boost."
    )
    assert json.loads(json.dumps(result.to_dict())) == {
        "name": "a.flac",
        "before_db": 4.0,
        "after_db": 1.5,
        "boost_db": 2.0,
        "cut_db": -3.0,
        "limits_reached": ["boost"],
    }
    assert match_outcome("a.flac", np.full(NUM_BANDS, np.nan), eq_db, ()) is None


def test_a_far_reference_gets_a_strength_within_the_limits():
    note = limit_note("a.flac", share=0.47, strength=1.0, limits=DEFAULT_LIMITS, same_song=False)
    assert "a.flac" in note and "6 dB" in note and "--reference-strength 0.45" in note
    assert not limit_note("a.flac", share=0.47, strength=0.45, limits=DEFAULT_LIMITS, same_song=False)
    assert not limit_note("a.flac", share=0.8, strength=1.0, limits=DEFAULT_LIMITS, same_song=False)
    note = limit_note("a.flac", share=0.5, strength=1.0, limits=SAME_SONG_LIMITS, same_song=True)
    assert "12 dB" in note and "--max-boost" in note


def test_a_deep_cut_is_named_with_a_strength_that_halves_it():
    eq_db = np.where(np.abs(np.log2(CENTERS_HZ / 80.0)) < 0.5, -20.0, 0.0)
    note = cut_note("a.flac", eq_db, strength=0.8)
    assert "a.flac holds far less" in note and "cuts 20 dB" in note and "--reference-strength 0.4," in note
    hz = float(note.split("around ")[1].split(" Hz")[0])
    assert 56.0 < hz < 114.0
    assert not cut_note("a.flac", 0.4 * eq_db, strength=0.8)
