"""Limits of a match: their defaults, and what a user changes."""

import numpy as np

from nmjax.mastering.request import ALLOW_NAMES
from nmjax.reference.limits import EXPANSION, NARROW_BASS, match_limits


def test_half_of_the_boost_is_allowed_below_60_hz():
    limits = match_limits(same_song=False, max_boost_db=None, allowed=())
    assert limits.response.at(np.array([20.0, 59.9, 60.0, 9_000.0])).tolist() == [3.0, 3.0, 6.0, 6.0]
    limits = match_limits(same_song=False, max_boost_db=9.0, allowed=())
    assert limits.response.at(np.array([20.0, 100.0])).tolist() == [4.5, 9.0]


def test_expansion_and_narrow_bass_need_to_be_allowed_except_for_the_same_song():
    assert match_limits(False, None, ()).allowed == frozenset()
    assert match_limits(False, None, (EXPANSION,)).allowed == {EXPANSION}
    assert match_limits(True, None, ()).allowed == {EXPANSION, NARROW_BASS} == set(ALLOW_NAMES)
    assert match_limits(True, None, ()).max_boost_db == 12.0
    assert match_limits(True, 4.0, ()).max_boost_db == 4.0
