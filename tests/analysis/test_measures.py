"""What is measured while listening, beside NumPy on the whole signal."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nmjax.analysis.measures import Measures, tilt_of, window_loudness
from nmjax.data import find_songs
from nmjax.data.measure import CENTRES_HZ
from tests.music import music, write


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    root = tmp_path_factory.mktemp("measures")
    write(root / "a.wav", music(4.0), subtype="FLOAT")
    return find_songs(root)[0].target


def test_crest_and_width_against_the_whole_signal(sound):
    audio = music(4.0).astype(np.float32)
    meter = Measures(sound)
    heard = np.concatenate(list(meter.watch(np.array_split(audio, 7))))
    np.testing.assert_array_equal(heard, audio)
    found, exact = meter.result(), audio.astype(np.float64)
    assert found["crest"] == pytest.approx(20 * np.log10(np.abs(exact).max() / np.sqrt(np.mean(exact**2))), abs=1e-3)
    mid, side = exact.mean(axis=1), (exact[:, 0] - exact[:, 1]) / 2
    assert found["width"] == pytest.approx(10 * np.log10(np.mean(side**2) / np.mean(mid**2)), abs=1e-3)
    assert found["loudness"] == sound.loudness


def test_mono_has_the_least_width_and_silence_none(sound):
    meter = Measures(sound)
    list(meter.watch([np.ones((100, 1), np.float32)]))
    assert meter.result()["width"] == -60.0
    silent = Measures(dataclasses.replace(sound, loudness=-np.inf))
    list(silent.watch([np.zeros((100, 2), np.float32)]))
    found = silent.result()
    assert all(np.isnan(found[name]) for name in ("loudness", "crest", "width"))


def test_tilt_of_a_straight_line():
    assert tilt_of((-4.5 * np.log2(CENTRES_HZ / 1000.0)).astype(np.float32)) == pytest.approx(-4.5, abs=1e-5)
    assert np.isnan(tilt_of(np.full(len(CENTRES_HZ), -150.0, np.float32)))


def test_window_loudness_by_hand(sound):
    levels = np.array([-20, -20, -10, -128], np.int8)
    sound = dataclasses.replace(sound, levels=levels)
    found = window_loudness(sound, np.array([0.0, 1.0, 1.5, 1.51, 2.0]))
    np.testing.assert_allclose(found, [-20.0, -10.0, -120.0, -120.0], atol=1e-6)
    both = window_loudness(sound, np.array([0.5, 1.5]))
    np.testing.assert_allclose(both, 10 * np.log10((0.01 + 0.1) / 2), atol=1e-6)
