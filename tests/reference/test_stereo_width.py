"""Stereo width fitted to a requested change."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Width, widen
from nmjax.reference.features import track_features
from nmjax.reference.stereo_width import band_widths_db, fit_width
from tests.synthetic_audio import music

RATE = 44_100


def features_of(audio):
    return track_features([np.asarray(audio, np.float32)])


@pytest.mark.parametrize("whole_db", [-1.0, -2.5])
def test_requested_width_is_measured_after_the_processor(whole_db):
    """The overall change is exact; the changes below and above the crossover differ by the requested amount."""
    audio = music(9.0, seed=2)
    before = band_widths_db(features_of(audio))
    result = fit_width(None, features_of(audio), 0.0, np.array([1.0, -2.0, whole_db]))
    widened = widen(jnp.asarray(audio[None], jnp.float32), result, RATE)[0][0]
    change_db = np.subtract(band_widths_db(features_of(widened)), before)
    assert change_db[2] == pytest.approx(whole_db, abs=0.1)
    assert change_db[0] - change_db[1] == pytest.approx(3.0, abs=0.4)
    assert features_of(widened).width_db - features_of(audio).width_db == pytest.approx(whole_db, abs=0.1)


def test_a_flat_gain_does_not_change_the_width():
    features = features_of(music(6.0))
    np.testing.assert_allclose(band_widths_db(features, 5.0), band_widths_db(features))
    mono = dataclasses.replace(features, stereo=False)
    assert band_widths_db(mono).tolist() == [-np.inf] * 3


def test_ranges_hold_and_no_request_gives_no_change():
    features, much, none = features_of(music(6.0)), np.full(3, 40.0), np.zeros(3)
    result = fit_width(None, features, 0.0, much)
    assert (float(result.low[0]), float(result.high[0])) == (1.5, 2.0)
    assert fit_width(None, features, 0.0, none) is None
    narrow = dataclasses.replace(features, side_db=features.mid_db - 60.0)
    assert fit_width(None, narrow, 0.0, much) is None  # no side to boost
    current = Width(jnp.array([0.5]), jnp.array([1.5]))
    same = fit_width(current, features, 0.0, none)
    assert (float(same.low[0]), float(same.high[0])) == pytest.approx((0.5, 1.5))


def test_the_bass_is_not_narrowed_below_the_smallest_factor():
    features = features_of(music(6.0))
    narrower = np.full(3, -6.0)
    assert float(fit_width(None, features, 0.0, narrower).low[0]) < 0.7
    current = Width(jnp.array([0.8]), jnp.array([1.0]))
    for start in (None, current):
        result = fit_width(start, features, 0.0, narrower, min_factors=(1.0, 0.0))
        assert float(result.low[0]) == 1.0 and float(result.high[0]) < 0.7


def test_the_treble_does_not_make_up_for_a_bass_that_stays_wide():
    """All of the side is bass, which may not become narrower; the treble keeps the change of its own band."""
    features = features_of(music(6.0))
    bass_side = features.mid_db - np.where(features.mid_db > features.mid_db.max() - 20.0, 0.0, 30.0)
    features = dataclasses.replace(features, side_db=bass_side)
    result = fit_width(None, features, 0.0, np.array([-10.0, -3.0, -10.0]), min_factors=(1.0, 0.0))
    assert float(result.low[0]) == 1.0
    assert band_widths_db(features, factors=(1.0, float(result.high[0])))[1] == pytest.approx(
        band_widths_db(features)[1] - 3.0, abs=0.3
    )
