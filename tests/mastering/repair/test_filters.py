"""The filters of the repairs against NumPy's convolution, cosine sums and tones of known amplitude."""

import numpy as np
import pytest

from nmjax.mastering.repair.linear_phase import add_filtered, low_pass_taps, zero_phase_taps
from nmjax.mastering.repair.tone_removal import subtract_tones

RATE = 8_000


def noise(frames, channels=2, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal((frames, channels))).astype(np.float32)


def in_chunks(audio, size):
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def rms_db(audio):
    return 20.0 * np.log10(np.sqrt(np.mean(np.square(audio))) + 1e-12)


@pytest.mark.parametrize("frames", [50, 70_000])
def test_add_filtered_is_a_centered_convolution(frames):
    audio, taps = noise(frames), np.random.default_rng(1).standard_normal(301) / 301.0
    matrix = np.array([[0.0, 0.5], [0.0, -2.0]])
    filtered = np.concatenate(list(add_filtered(in_chunks(audio, 999), taps, matrix)))
    source = audio.astype(np.float64) @ matrix
    expected = audio + np.stack([np.convolve(source[:, c], taps)[150 : 150 + frames] for c in (0, 1)], axis=1)
    np.testing.assert_allclose(filtered, expected, atol=1e-7)
    np.testing.assert_array_equal(filtered[:, 0], audio[:, 0])


def centered_response(taps, freq_hz, rate):
    """The real response of a symmetric filter whose middle is at time zero."""
    return np.cos(2.0 * np.pi * freq_hz[:, None] / rate * (np.arange(len(taps)) - len(taps) // 2)) @ taps


@pytest.mark.parametrize("rate", [8_000, 96_000])
def test_response_of_the_low_pass(rate):
    taps = low_pass_taps(120.0, 20.0, rate)
    passed, stopped = np.arange(0.0, 109.0, 9.0), np.array([131.0, 140.0, 200.0, 555.0, 2_000.0])
    np.testing.assert_allclose(centered_response(taps, passed, rate), 1.0, atol=2e-4)
    np.testing.assert_allclose(centered_response(taps, stopped, rate), 0.0, atol=2e-4)
    assert centered_response(taps, np.array([120.0]), rate)[0] == pytest.approx(0.5, abs=1e-3)


def test_zero_phase_taps_have_their_response():
    taps = zero_phase_taps(lambda freq_hz: np.tanh((freq_hz - 200.0) / 30.0), 0.5, RATE)
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-12)
    freq_hz = np.array([20.0, 150.0, 190.0, 203.0, 240.0, 400.0, 3_000.0])
    expected = np.tanh((freq_hz - 200.0) / 30.0)
    np.testing.assert_allclose(centered_response(taps, freq_hz, RATE), expected, atol=5e-3)


def test_tones_are_removed_from_the_first_sample_to_the_last():
    freq_hz, time = np.array([50.013, 150.039, 250.065]), np.arange(9 * RATE + 123)[:, None] / RATE
    hum = 0.01 * np.sin(2.0 * np.pi * freq_hz * time + [0.3, 1.0, 4.0]).sum(axis=1)[:, None] * [1.0, -0.3]
    audio = noise(len(time))
    clean = np.concatenate(list(subtract_tones(in_chunks(hum.astype(np.float32), 777), RATE, freq_hz, 0.5)))
    assert clean.shape == hum.shape
    assert np.abs(clean).max() < 1e-4 * np.abs(hum).max()
    repaired = np.concatenate(list(subtract_tones([(audio + hum).astype(np.float32)], RATE, freq_hz, 0.5)))
    assert rms_db(repaired - audio) < rms_db(hum) - 15.0  # what a notch takes from noise
    chunked = np.concatenate(
        list(subtract_tones(in_chunks((audio + hum).astype(np.float32), 1234), RATE, freq_hz, 0.5))
    )
    np.testing.assert_array_equal(chunked, repaired)


@pytest.mark.parametrize(
    ("offset_hz", "low_db", "high_db"), [(0.25, -3.5, -2.4), (2.0, -0.01, 0.01), (25.0, -0.01, 0.01)]
)
def test_width_of_a_notch(offset_hz, low_db, high_db):
    time = np.arange(20 * RATE)[:, None] / RATE
    tone = np.sin(2.0 * np.pi * (150.0 + offset_hz) * time).astype(np.float32)
    notched = np.concatenate(list(subtract_tones([tone], RATE, np.array([150.0]), 0.5)))
    middle = slice(4 * RATE, -4 * RATE)
    assert low_db < rms_db(notched[middle]) - rms_db(tone[middle]) < high_db


def test_a_signal_shorter_than_a_window_is_unchanged():
    audio = noise(500)
    np.testing.assert_array_equal(np.concatenate(list(subtract_tones([audio], RATE, np.array([50.0]), 0.5))), audio)
