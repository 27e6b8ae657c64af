"""Narrow resonances at known frequency and gain, made by SciPy's resonator; and notes that are none."""

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.diagnosis import narrow_levels
from tests.mastering.diagnosis.songs import RATE, findings_of, song

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swelling():
    """A song of 30 s whose level changes every second, as that of music does."""
    audio = song(30.0)
    gain_db = np.interp(np.arange(len(audio)) / RATE, np.arange(31), np.random.default_rng(5).uniform(-9.0, 3.0, 31))
    return audio * 10.0 ** (gain_db / 20.0)[:, None]


def resonate(audio, freq_hz, gain_db, q):
    """Through a resonator of the pole's Q that a peaking filter of this gain and Q has."""
    ringing = scipy.signal.lfilter(*scipy.signal.iirpeak(freq_hz, q * 10.0 ** (gain_db / 40.0), fs=RATE), audio, axis=0)
    return audio + (10.0 ** (gain_db / 20.0) - 1.0) * ringing


@pytest.mark.parametrize(("freq_hz", "q"), [(339.0, 25.0), (1_234.5, 40.0), (4_900.0, 50.0)])
def test_the_frequency_of_a_resonance(swelling, freq_hz, q):
    finding = findings_of(resonate(swelling, freq_hz, 18.0, q))["resonance"]
    assert finding.value == pytest.approx(freq_hz, rel=0.005)
    assert f"near {finding.value:,.0f} Hz" in finding.sentence
    said_db = float(finding.sentence.split(" dB")[0].split()[-1])
    assert said_db == pytest.approx(18.0, abs=3.0)
    assert finding.severity == "warning"


def test_two_resonances_are_counted(swelling):
    finding = findings_of(resonate(resonate(swelling, 500.0, 18.0, 30.0), 3_000.0, 20.0, 30.0))["resonance"]
    assert finding.sentence.endswith("There is 1 more.")


def test_music_and_weak_resonances_are_not_reported(swelling):
    assert "resonance" not in findings_of(swelling)
    assert "resonance" not in findings_of(resonate(swelling, 1_234.5, 4.0, 40.0))


def test_a_steady_tone_is_none(swelling):
    tone = 0.01 * np.sin(2.0 * np.pi * 1_500.0 * np.arange(len(swelling)) / RATE)[:, None]
    findings = findings_of(swelling + tone)
    assert "steady_tone" in findings
    assert "resonance" not in findings


def test_notes_that_are_repeated_are_none(swelling):
    time = np.arange(len(swelling)) / RATE
    note = 0.03 * np.sin(2.0 * np.pi * 440.0 * time) * np.exp(-4.0 * (time % 0.5))
    assert "resonance" not in findings_of(swelling + note[:, None])


@pytest.mark.parametrize("seconds", [0.1, 5.0])
def test_silence_and_what_is_too_short(seconds):
    assert "resonance" not in findings_of(np.zeros((round(seconds * RATE), 2)))
    assert "resonance" not in findings_of(resonate(song(seconds), 1_000.0, 24.0, 30.0))


def test_of_many_windows_evenly_spaced_ones_are_compared(monkeypatch):
    """The memory of a long track is bounded."""
    monkeypatch.setattr(narrow_levels, "_MAX_WINDOWS", 8)
    scan = narrow_levels.NarrowLevelScan(1.0, 4096, 100.0, 3000.0)
    for window in range(100):
        scan.add(np.full(4096, -float(window), np.float32))
        assert len(scan._levels) <= 8
    np.testing.assert_allclose([levels[0] for levels in scan._levels], -np.arange(0.0, 100.0, 16.0), atol=1e-4)
    assert len(scan.result().freq_hz) == len(scan._levels[0])
