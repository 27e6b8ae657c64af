"""The outcome of a match, and the message about a reference that is far away."""

import json

import numpy as np
import pytest

from nmjax.reference.bands import NUM_BANDS
from nmjax.reference.limits import DEFAULT_LIMITS, SAME_SONG_LIMITS
from nmjax.reference.outcome import BOOST, limit_note, match_outcome, width_note
from nmjax.reference.target_eq import WithinLimits


def test_the_outcome_tells_the_difference_before_and_after_and_the_cost():
    difference_db = np.tile([4.0, -4.0], NUM_BANDS // 2) + 3.0
    eq_db = np.tile([2.0, -3.0], NUM_BANDS // 2)
    difference_db[:2] = np.nan
    result = match_outcome("a.flac", difference_db, eq_db, (BOOST,))
    assert result is not None
    assert (result.before_db, result.after_db) == pytest.approx((4.0, 1.5))
    assert result.sentence == (
        "The tone is 1.5 dB RMS from a.flac (before: 4.0 dB), with +2.0 to −3.0 dB of EQ at equal loudness; "
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
    def note(boost, strength=1.0, limits=DEFAULT_LIMITS, same_song=False):
        return limit_note("a.flac", WithinLimits(boost=boost), strength, limits, same_song)

    assert all(text in note(0.47) for text in ("a.flac", "6 dB", "--reference-strength 0.45"))
    assert not note(0.47, strength=0.45)
    assert not note(0.8)
    text = note(0.5, limits=SAME_SONG_LIMITS, same_song=True)
    assert "12 dB" in text and "--max-boost" in text


def test_a_deep_cut_is_named_with_a_strength_within_the_limits():
    within = WithinLimits(boost=0.6, cut=0.47, deepest_cut_db=20.2, deepest_hz=81.0)
    assert limit_note("a.flac", within, 1.0, DEFAULT_LIMITS, same_song=False) == (
        "a.flac holds far less around 81 Hz than this track: it asks for a cut of 20 dB, and 12 dB is the limit; "
        "try --reference-strength 0.45."
    )
    text = limit_note("a.flac", within._replace(deepest_cut_db=242.0), 1.0, DEFAULT_LIMITS, same_song=False)
    assert "a cut of more than 40 dB, and 12 dB" in text
    assert "far less" not in limit_note(
        "a.flac", within._replace(deepest_cut_db=13.0), 1.0, DEFAULT_LIMITS, same_song=False
    )


def test_a_large_change_of_the_width_is_named_with_its_remedy():
    assert width_note("a.flac", 6.02, same_song=False) == (
        "a.flac is far wider than this track: the side is raised by 6.0 dB. "
        "If that is too much, try --reference-weights width=0.5."
    )
    assert "narrower" in width_note("a.flac", -12.0, same_song=False)
    assert not width_note("a.flac", 3.0, same_song=False)
    assert not width_note("a.flac", 6.0, same_song=True)
