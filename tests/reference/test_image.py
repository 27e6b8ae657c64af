"""The image's width towards a reference."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Width, widen
from nmjax.reference.image import widened, width_db
from nmjax.reference.profile import profile_of
from tests.music import music

RATE = 44_100


def heard(audio):
    return profile_of([np.asarray(audio, np.float32)])


@pytest.mark.parametrize("whole_db", [-1.0, -2.5])
def test_width_is_what_the_stage_makes_of_it(whole_db):
    """Asked for more side below and less above, the stage's output measures that as a whole, and the parts differ by as
    much as was asked."""
    audio = music(9.0, seed=2)
    before = width_db(heard(audio))
    found = widened(None, heard(audio), 0.0, np.array([1.0, -2.0, whole_db]))
    played = widen(jnp.asarray(audio[None], jnp.float32), found, RATE)[0][0]
    change_db = np.subtract(width_db(heard(played)), before)
    assert change_db[2] == pytest.approx(whole_db, abs=0.1)
    assert change_db[0] - change_db[1] == pytest.approx(3.0, abs=0.4)
    assert heard(played).width_db - heard(audio).width_db == pytest.approx(whole_db, abs=0.1)


def test_a_curve_on_both_moves_only_what_the_bands_weigh():
    profile = heard(music(6.0))
    np.testing.assert_allclose(width_db(profile, 5.0), width_db(profile))
    mono = dataclasses.replace(profile, stereo=False)
    assert width_db(mono).tolist() == [-np.inf] * 3


def test_ranges_hold_and_nothing_is_nothing():
    profile, much, none = heard(music(6.0)), np.full(3, 40.0), np.zeros(3)
    found = widened(None, profile, 0.0, much)
    assert (float(found.low[0]), float(found.high[0])) == (1.5, 2.0)
    assert widened(None, profile, 0.0, none) is None
    narrow = dataclasses.replace(profile, side_db=profile.mid_db - 60.0)
    assert widened(None, narrow, 0.0, much) is None  # a side that holds nothing
    there = Width(jnp.array([0.5]), jnp.array([1.5]))
    same = widened(there, profile, 0.0, none)
    assert (float(same.low[0]), float(same.high[0])) == pytest.approx((0.5, 1.5))
