"""Hum and steady tones at known frequency and level."""

import re

import numpy as np
import pytest

from tests.mastering.diagnosis.songs import RATE, findings_of, song


def sine(freq_hz, level_db, frames):
    return 10.0 ** (level_db / 20.0) * np.sin(2.0 * np.pi * freq_hz * np.arange(frames) / RATE)[:, None]


@pytest.mark.parametrize("mains_hz", [50.0, 60.0, 49.9, 60.1])
def test_hum_with_harmonics(mains_hz):
    audio = song(30.0)
    hum = sum(sine(mains_hz * k, -34.0 - 2.0 * k, len(audio)) for k in (1, 2, 3, 4, 5, 7))
    findings = findings_of(audio + hum)
    assert f"hum of {mains_hz:.0f} Hz" in findings["hum"].sentence
    assert findings["hum"].value == pytest.approx(10.0 * np.log10(2.0 * np.mean(hum**2)), abs=3.0)
    assert "steady_tone" not in findings


def test_hum_that_the_music_masks_is_not_reported():
    audio = song(30.0)
    assert "hum" not in findings_of(audio + sum(sine(50.0 * k, -95.0, len(audio)) for k in (1, 2, 3)))


def test_a_steady_tone_and_its_frequency():
    audio = song(30.0)
    findings = findings_of(audio + sine(3_210.5, -55.0, len(audio)))
    assert findings["steady_tone"].value == pytest.approx(3_210.5, abs=0.2)
    relative_db = -55.0 - 10.0 * np.log10(2.0 * np.mean(audio**2))
    (said_db,) = re.findall(r"(\d+) dB below the music", findings["steady_tone"].sentence)
    assert -float(said_db) == pytest.approx(relative_db, abs=1.5)
    assert "hum" not in findings


def test_a_tone_that_stops_is_a_note():
    audio = song(30.0)
    is_on = np.arange(len(audio)) % (6 * RATE) < 3 * RATE
    assert "steady_tone" not in findings_of(audio + sine(3_210.5, -45.0, len(audio)) * is_on[:, None])
