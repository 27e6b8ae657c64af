"""Hum below the music: its frequency, its harmonics and how narrow its notches may be."""

import numpy as np
import pytest

from nmjax.mastering.diagnosis.hum import fit_hum
from nmjax.mastering.diagnosis.inspection import scan_track
from tests.mastering.diagnosis.songs import RATE

HARMONICS = (1, 2, 3, 4, 5, 7)


def spectrum_of(audio):
    return scan_track([audio.astype(np.float32)], RATE, audio.shape[1])[0].spectrum


def noise_with_hum(frequency_hz, level_db, wander_hz=0.0):
    """Half a minute and more of noise, whose bins have arbitrary phases, and a hum; `level_db`: in a bin of 0.5 Hz."""
    rng = np.random.default_rng(0)
    time = np.arange(75 * RATE) / RATE
    phase = 2.0 * np.pi * frequency_hz * time + wander_hz / 0.02 * np.sin(2.0 * np.pi * 0.02 * time)
    amplitude = 10.0 ** (level_db / 20.0) * np.sqrt(2.0 * 0.5 / (RATE / 2.0))
    hum = sum(amplitude * np.sin(k * phase + k) for k in HARMONICS)
    return (0.1 * (rng.standard_normal(len(time)) + hum))[:, None]


@pytest.mark.parametrize("frequency_hz", [50.0, 59.95, 60.21])
def test_a_hum_as_loud_as_the_noise_in_its_bins_is_fitted(frequency_hz):
    hum = fit_hum(spectrum_of(noise_with_hum(frequency_hz, 0.0)))
    assert hum is not None
    assert hum.frequency_hz == pytest.approx(frequency_hz, abs=0.004)
    assert len(set(hum.harmonics) & set(HARMONICS)) >= 5
    assert set(hum.harmonics) <= set(HARMONICS) | {6, 8}
    assert hum.drift_hz <= 0.05


@pytest.mark.parametrize("frequency_hz", [48.7, 51.3, 61.0])
def test_other_fundamentals_are_no_hum(frequency_hz):
    assert fit_hum(spectrum_of(noise_with_hum(frequency_hz, 0.0))) is None


def test_noise_has_no_hum():
    assert fit_hum(spectrum_of(noise_with_hum(50.0, -60.0))) is None


def test_a_loud_hum_that_drifts_gets_wide_notches():
    steady, drifting = (fit_hum(spectrum_of(noise_with_hum(50.0, 20.0, wander))) for wander in (0.0, 0.02))
    assert steady is not None and drifting is not None
    assert drifting.frequency_hz == pytest.approx(50.0, abs=0.1)
    assert drifting.drift_hz > 2.0 * steady.drift_hz
