"""The image's width towards a reference."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Width, widen
from nmjax.reference.features import track_features
from nmjax.reference.stereo_width import band_widths_db, fit_width
from tests.synthetic_audio import music

RATE = 44_100


def audio_profile(audio):
    return track_features([np.asarray(audio, np.float32)])


@pytest.mark.parametrize("whole_db", [-1.0, -2.5])
def test_requested_width_is_measured_after_the_processor(whole_db):
    """Asked for more side below and less above, the stage's output measures that as a whole, and the parts differ by as
    much as was asked."""
    audio = music(9.0, seed=2)
    before = band_widths_db(audio_profile(audio))
    result = fit_width(None, audio_profile(audio), 0.0, np.array([1.0, -2.0, whole_db]))
    played = widen(jnp.asarray(audio[None], jnp.float32), result, RATE)[0][0]
    change_db = np.subtract(band_widths_db(audio_profile(played)), before)
    assert change_db[2] == pytest.approx(whole_db, abs=0.1)
    assert change_db[0] - change_db[1] == pytest.approx(3.0, abs=0.4)
    assert audio_profile(played).width_db - audio_profile(audio).width_db == pytest.approx(whole_db, abs=0.1)


def test_a_curve_on_both_moves_only_what_the_bands_weigh():
    profile = audio_profile(music(6.0))
    np.testing.assert_allclose(band_widths_db(profile, 5.0), band_widths_db(profile))
    mono = dataclasses.replace(profile, stereo=False)
    assert band_widths_db(mono).tolist() == [-np.inf] * 3


def test_ranges_hold_and_no_request_gives_no_change():
    profile, much, none = audio_profile(music(6.0)), np.full(3, 40.0), np.zeros(3)
    result = fit_width(None, profile, 0.0, much)
    assert (float(result.low[0]), float(result.high[0])) == (1.5, 2.0)
    assert fit_width(None, profile, 0.0, none) is None
    narrow = dataclasses.replace(profile, side_db=profile.mid_db - 60.0)
    assert fit_width(None, narrow, 0.0, much) is None  # a side that holds nothing
    current = Width(jnp.array([0.5]), jnp.array([1.5]))
    same = fit_width(current, profile, 0.0, none)
    assert (float(same.low[0]), float(same.high[0])) == pytest.approx((0.5, 1.5))
