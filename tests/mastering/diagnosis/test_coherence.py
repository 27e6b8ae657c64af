"""Coherence of phases against a direct sum, and what noise and a sine give."""

import numpy as np
import pytest

from nmjax.mastering.diagnosis.coherence import CoherenceScan

BIN_HZ = 0.5


def scan(windows):
    result = CoherenceScan(BIN_HZ, 20.0)
    for window in windows:
        result.add(window)
    return result.result()


def test_the_ratio_is_that_of_a_direct_sum_over_blocks_of_16_windows():
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((21, 60)) + 1j * rng.standard_normal((21, 60))
    freq_hz = 7.13
    turns = np.exp(-2j * np.pi * round(64.0 * freq_hz / BIN_HZ) / 128.0 * np.arange(16))  # half a window a hop
    phases = windows[:, round(freq_hz / BIN_HZ)]
    phases = phases / np.abs(phases)
    expected = (abs((phases[:16] * turns).sum()) ** 2 + abs((phases[16:] * turns[:5]).sum()) ** 2) / 21.0
    assert scan(windows).at(np.array([freq_hz]))[0] == pytest.approx(expected, rel=1e-5)


def test_noise_has_1_and_a_sine_the_length_of_a_block():
    rng = np.random.default_rng(1)
    windows = rng.standard_normal((320, 42)) + 1j * rng.standard_normal((320, 42))
    windows[:, 20] = 3.0 * np.exp(2j * np.pi * 0.5 * 20.1 * np.arange(320))  # 10.05 Hz; the window's own phase is 0
    ratio = scan(windows)
    assert ratio.at(np.array([10.05]))[0] == pytest.approx(16.0, rel=0.05)
    assert np.mean(ratio.ratio[2:19]) == pytest.approx(1.0, abs=0.02)
