"""Limits of a match: their defaults, what a user changes, and what an EQ does to the loudness."""

import numpy as np
import pytest

from nmjax.audio.loudness_meter import LoudnessMeter
from nmjax.mastering.reference_features import features_from_chunks
from nmjax.mastering.request import ALLOW_NAMES
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.limits import DEFAULT_LIMITS, EXPANSION, NARROW_BASS, largest_factor, match_limits
from tests.reference.test_target_eq import make_features

TRACK = make_features(-30.0)


def test_half_of_the_boost_is_allowed_below_60_hz():
    limits = match_limits(same_song=False, max_boost_db=None, allowed=()).response(TRACK)
    assert limits.at(np.array([20.0, 59.9, 60.0, 9_000.0])).tolist() == [3.0, 3.0, 6.0, 6.0]
    limits = match_limits(same_song=False, max_boost_db=9.0, allowed=()).response(TRACK)
    assert limits.at(np.array([20.0, 100.0])).tolist() == [4.5, 9.0]


@pytest.mark.parametrize(
    ("same_song", "max_boost_db", "cut_db"),
    [(False, None, 12.0), (False, 3.0, 6.0), (False, 15.0, 18.0), (True, None, 18.0)],
)
def test_cuts_are_at_most_twice_the_boost_and_18_db(same_song, max_boost_db, cut_db):
    assert match_limits(same_song, max_boost_db, ()).response(TRACK).cut_db == cut_db


def test_expansion_and_narrow_bass_need_to_be_allowed_except_for_the_same_song():
    assert match_limits(False, None, ()).allowed == frozenset()
    assert match_limits(False, None, (EXPANSION,)).allowed == {EXPANSION}
    assert match_limits(True, None, ()).allowed == {EXPANSION, NARROW_BASS} == set(ALLOW_NAMES)
    assert match_limits(True, None, ()).max_boost_db == 12.0
    assert match_limits(True, 4.0, ()).max_boost_db == 4.0


def test_the_change_of_the_loudness_is_what_a_meter_measures():
    """Noise with more bass than treble, mid and side filtered in the frequency domain."""
    rng, rate = np.random.default_rng(0), 44_100
    freq_hz = np.fft.rfftfreq(10 * rate, 1.0 / rate)
    shape = np.minimum(1.0, (200.0 / np.maximum(freq_hz, 1.0)) ** 0.7) * (freq_hz < 14_000.0)
    mid, side = (np.fft.rfft(rng.standard_normal(10 * rate)) * shape * level for level in (0.1, 0.06))

    def curve_db(hz, lowest_db, highest_db):
        return np.interp(np.log(np.maximum(hz, 1.0)), np.log([60.0, 300.0, 3_000.0]), [lowest_db, 2.0, highest_db])

    def stereo(mid_db=0.0, side_db=0.0):
        mid_audio, side_audio = (np.fft.irfft(x * 10.0 ** (db / 20.0)) for x, db in ((mid, mid_db), (side, side_db)))
        return np.stack([mid_audio + side_audio, mid_audio - side_audio], axis=1).astype(np.float32)

    def lufs(audio):
        meter = LoudnessMeter(rate, [1.0, 1.0])
        meter.update(audio)
        return meter.integrated_lufs()

    limits = DEFAULT_LIMITS.response(features_from_chunks([stereo()], rate))
    both, of_side = (-9.0, 6.0), (3.0, -8.0)
    equalized = stereo(curve_db(freq_hz, *both), curve_db(freq_hz, *both) + curve_db(freq_hz, *of_side))
    change_db = limits.loudness_change_db(curve_db(CENTERS_HZ, *both), curve_db(CENTERS_HZ, *of_side))
    assert change_db == pytest.approx(lufs(equalized) - lufs(stereo()), abs=0.1)


def test_the_largest_factor_that_fits():
    assert largest_factor(lambda factor: True) == 1.0
    assert largest_factor(lambda factor: factor <= 0.3) == pytest.approx(0.3, abs=1e-3)
    assert largest_factor(lambda factor: False) == 0.0
