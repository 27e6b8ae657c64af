"""Track descriptors of a stream against NumPy on the whole signal."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nmjax.analysis.descriptors import DescriptorMeter, spectral_tilt_db_per_octave, window_loudness_lufs
from nmjax.data import find_songs
from nmjax.data.scan import THIRD_OCTAVE_CENTERS_HZ
from tests.synthetic_audio import music, write_audio


@pytest.fixture(scope="module")
def track_audio(tmp_path_factory):
    root = tmp_path_factory.mktemp("descriptors")
    write_audio(root / "a.wav", music(4.0), subtype="FLOAT")
    return find_songs(root)[0].target


def test_crest_and_width_against_the_whole_signal(track_audio):
    audio = music(4.0).astype(np.float32)
    meter = DescriptorMeter(track_audio)
    passed_through = np.concatenate(list(meter.measure_chunks(np.array_split(audio, 7))))
    np.testing.assert_array_equal(passed_through, audio)
    result, exact = meter.result(), audio.astype(np.float64)
    assert result["crest_db"] == pytest.approx(
        20 * np.log10(np.abs(exact).max() / np.sqrt(np.mean(exact**2))), abs=1e-3
    )
    mid, side = exact.mean(axis=1), (exact[:, 0] - exact[:, 1]) / 2
    assert result["width_db"] == pytest.approx(10 * np.log10(np.mean(side**2) / np.mean(mid**2)), abs=1e-3)
    assert result["loudness_lufs"] == track_audio.loudness_lufs


def test_mono_has_the_smallest_width_and_silence_has_none(track_audio):
    meter = DescriptorMeter(track_audio)
    list(meter.measure_chunks([np.ones((100, 1), np.float32)]))
    assert meter.result()["width_db"] == -60.0
    silent = DescriptorMeter(dataclasses.replace(track_audio, loudness_lufs=-np.inf))
    list(silent.measure_chunks([np.zeros((100, 2), np.float32)]))
    result = silent.result()
    assert all(np.isnan(result[name]) for name in ("loudness_lufs", "crest_db", "width_db"))


def test_tilt_of_a_straight_line():
    assert spectral_tilt_db_per_octave(
        (-4.5 * np.log2(THIRD_OCTAVE_CENTERS_HZ / 1000.0)).astype(np.float32)
    ) == pytest.approx(-4.5, abs=1e-5)
    assert np.isnan(spectral_tilt_db_per_octave(np.full(len(THIRD_OCTAVE_CENTERS_HZ), -150.0, np.float32)))


def test_known_window_loudness(track_audio):
    levels = np.array([-20, -20, -10, -128], np.int8)
    track_audio = dataclasses.replace(track_audio, levels_lufs=levels)
    result = window_loudness_lufs(track_audio, np.array([0.0, 1.0, 1.5, 1.51, 2.0]))
    np.testing.assert_allclose(result, [-20.0, -10.0, -120.0, -120.0], atol=1e-6)
    both = window_loudness_lufs(track_audio, np.array([0.5, 1.5]))
    np.testing.assert_allclose(both, 10 * np.log10((0.01 + 0.1) / 2), atol=1e-6)
