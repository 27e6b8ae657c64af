"""The styles that come with the program, and how far they move a track."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import Prediction
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.limits import EMPTY_BOOST_DB
from nmjax.reference.match import match_settings
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.reference.response import bands_response_db
from nmjax.reference.styles import STYLE_NAMES, style_file

ONE = jnp.ones((1, 1))
PREDICTION = Prediction(at_model_level(EqSettings(1000.0 * ONE, 0.0 * ONE, ONE, ONE)), z=jnp.zeros((1, 512)))


def style(name):
    return target_file.read(style_file(name))[0]


def eq_db(track, name, freq_hz=CENTERS_HZ, strength=1.0):
    target = ReferenceTarget(style(name), name, strength=strength, dynamics=0.0, width=0.0, is_style=True)
    match = match_settings(PREDICTION, track, target, load_excerpts=lambda: np.zeros((1, 1, 2)))
    return bands_response_db(match.prediction.settings.eq.bands(), freq_hz)


def test_the_names_are_those_of_the_files():
    assert {path.stem for path in style_file("warm").parent.glob("*.json")} == set(STYLE_NAMES)
    for name in STYLE_NAMES:
        assert target_file.read(style_file(name))[1] == f"the style {name}"


@pytest.mark.parametrize(("name", "sign"), [("warm", -1.0), ("bright", 1.0)])
def test_warm_and_bright_are_tilts_of_balanced(name, sign):
    tilt_db = style(name).mid_db - style("balanced").mid_db
    slope, _ = np.polyfit(np.log2(CENTERS_HZ), tilt_db, 1)
    assert slope == pytest.approx(0.75 * sign, abs=0.01)


def test_a_style_moves_a_far_track_audibly_and_a_near_one_little():
    near = dataclasses.replace(style("balanced"), stereo=False)
    far = near.add_curve(2.5 * np.log2(CENTERS_HZ / 1000.0))  # 6.7 dB RMS
    assert np.std(eq_db(near, "balanced")) < 0.5
    assert 1.5 < np.std(eq_db(far, "balanced")) < 4.0
    half_db = np.std(eq_db(far, "balanced", strength=0.5))
    assert 0.35 < half_db / np.std(eq_db(far, "balanced")) < 0.65


def test_nothing_is_boosted_where_a_track_is_empty():
    levels_db = style("balanced").mid_db.copy()
    levels_db[CENTERS_HZ < 80.0] -= 70.0
    levels_db[CENTERS_HZ > 8000.0] -= 90.0
    track = dataclasses.replace(style("balanced"), mid_db=levels_db, max_hz=8000.0, stereo=False)
    dark = track.add_curve(-1.5 * np.log2(CENTERS_HZ / 1000.0))
    thin = track.add_curve(1.5 * np.log2(CENTERS_HZ / 1000.0))
    assert eq_db(dark, "bright").max() > 1.0 and np.ptp(eq_db(dark, "bright")) > 4.0
    assert eq_db(dark, "bright", CENTERS_HZ[CENTERS_HZ > 8500.0]).max() <= EMPTY_BOOST_DB
    assert eq_db(thin, "warm").max() > 1.0
    assert eq_db(thin, "warm", CENTERS_HZ[CENTERS_HZ < 75.0]).max() <= EMPTY_BOOST_DB
