"""The share of a change that an equalizer explains, with biquads of the RBJ cookbook run by SciPy."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt, sosfreqz

from nmjax.report.spectral_change import measure_residual, measure_spectral_change
from nmjax.report.track_analysis import SignalAnalyzer
from tests.synthetic_audio import music

RATE = 44_100


def peaking_section(freq_hz, gain_db, q, rate=RATE):
    """A peaking filter of the RBJ cookbook as a SciPy section."""
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * freq_hz / rate
    alpha = np.sin(w) / (2.0 * q)
    b = np.array([1 + alpha * a, -2 * np.cos(w), 1 - alpha * a])
    denominator = np.array([1 + alpha / a, -2 * np.cos(w), 1 - alpha / a])
    return np.concatenate([b, denominator]) / denominator[0]


EQ = np.stack([peaking_section(80.0, 3.0, 0.8), peaking_section(400.0, -4.0, 2.0), peaking_section(6000.0, 2.5, 5.0)])


def analyze_audio(audio, rate=RATE):
    analyzer = SignalAnalyzer(rate, audio.shape[1])
    for _ in analyzer.watch([audio.astype(np.float32)]):
        pass
    return analyzer.result()


def response_db(sections, freq_hz, rate=RATE):
    return 20.0 * np.log10(np.abs(sosfreqz(sections, freq_hz, fs=rate)[1]))


@pytest.mark.parametrize("gain_db", [0.0, 7.0])
def test_an_equalizer_explains_all_of_its_own_change(gain_db):
    audio = music(6.0, RATE, 2, seed=1)
    before, after = analyze_audio(audio), analyze_audio(10.0 ** (gain_db / 20.0) * sosfilt(EQ, audio, axis=0))
    curve = response_db(EQ, before.freq_hz)
    result = measure_spectral_change(before, after, curve)
    assert result.r_squared == pytest.approx(1.0, abs=0.01)
    assert result.gain_db == pytest.approx(gain_db, abs=0.1)
    np.testing.assert_allclose(result.change_db, curve, atol=0.5)


def test_a_flat_equalizer_explains_nothing():
    audio = music(4.0, RATE, 1, seed=2)
    before, after = analyze_audio(audio), analyze_audio(sosfilt(EQ, audio, axis=0))
    assert measure_spectral_change(before, after, np.zeros_like(before.freq_hz)).r_squared == 0.0


def test_half_of_the_decibels_explain_three_quarters():
    """1 − (1/2)² of the squares."""
    audio = music(6.0, RATE, 1, seed=3)
    before, after = analyze_audio(audio), analyze_audio(sosfilt(EQ, audio, axis=0))
    half = 0.5 * response_db(EQ, before.freq_hz)
    assert measure_spectral_change(before, after, half).r_squared == pytest.approx(0.75, abs=0.01)


def test_a_response_in_the_wrong_direction_explains_nothing():
    audio = music(4.0, RATE, 1, seed=4)
    before, after = analyze_audio(audio), analyze_audio(sosfilt(EQ, audio, axis=0))
    assert measure_spectral_change(before, after, -response_db(EQ, before.freq_hz)).r_squared == 0.0


def test_no_change_and_a_gain_have_no_share():
    audio = music(2.0, RATE, 2, seed=5)
    before = analyze_audio(audio)
    for gain_db in (0.0, -6.0):
        after = analyze_audio(audio * 10.0 ** (gain_db / 20.0))
        result = measure_spectral_change(before, after, np.zeros_like(before.freq_hz))
        assert result.r_squared is None
        assert result.gain_db == pytest.approx(gain_db, abs=1e-3)


def test_bands_without_signal_do_not_count():
    """Above a steep low-pass there is only noise far below the music, with another level before and after."""
    rng = np.random.default_rng(6)
    audio = sosfilt(butter(8, 5000.0, fs=RATE, output="sos"), music(5.0, RATE, 1, seed=6), axis=0)
    hiss = [1e-7 * scale * rng.standard_normal(audio.shape) for scale in (1.0, 20.0)]
    before, after = analyze_audio(audio + hiss[0]), analyze_audio(sosfilt(EQ[:2], audio, axis=0) + hiss[1])
    result = measure_spectral_change(before, after, response_db(EQ[:2], before.freq_hz))
    assert np.isnan(result.change_db[before.freq_hz > 15_000.0]).all()
    assert result.r_squared == pytest.approx(1.0, abs=0.02)


def test_silence_and_another_rate():
    silent = analyze_audio(np.zeros((9000, 2)))
    result = measure_spectral_change(silent, silent, np.zeros_like(silent.freq_hz))
    assert result.r_squared is None and np.isnan(result.change_db).all()
    audio = music(2.0, 8000, 1, seed=7)
    slow = analyze_audio(audio, 8000)
    result = measure_spectral_change(slow, analyze_audio(audio, RATE), np.zeros_like(slow.freq_hz))
    assert len(result.freq_hz) == len(slow.freq_hz)


def test_the_residual_is_measured_relative_to_the_signal():
    audio = music(2.0, RATE, 2, seed=8)
    result = measure_residual(analyze_audio(audio), analyze_audio(0.01 * audio))
    assert result.level_db == pytest.approx(-40.0, abs=1e-3)
    np.testing.assert_allclose(result.residual_db - result.signal_db, -40.0, atol=1e-3)
    assert measure_residual(analyze_audio(audio), analyze_audio(0.0 * audio)).level_db == -np.inf
