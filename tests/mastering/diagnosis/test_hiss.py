"""Hiss against noise of known level under notes that pause."""

import numpy as np
import pytest

from tests.mastering.diagnosis.songs import RATE, findings_of

SECONDS = 16


@pytest.fixture(scope="module")
def notes():
    """Plucked notes that decay by 60 dB in a second, with pauses: `[frames, 2]`."""
    time = np.arange(SECONDS * RATE) / RATE
    since = time % 2.0
    tone = sum(np.sin(2.0 * np.pi * 220.0 * k * time) / k for k in range(1, 40)) * np.exp(-7.0 * since)
    return 0.1 * np.stack([tone, 0.8 * tone], axis=1)


@pytest.mark.parametrize("level_db", [-70.0, -55.0])
def test_the_level_of_noise_below_the_notes(notes, level_db):
    noise = np.random.default_rng(0).standard_normal(notes.shape) * 10.0 ** (level_db / 20.0)
    finding = findings_of(notes + noise)["hiss"]
    assert finding.value == pytest.approx(level_db, abs=1.0)
    assert finding.sentence.startswith(f"Steady hiss at −{-finding.value:.0f} dBFS")


def test_notes_without_noise_and_noise_alone_have_no_hiss(notes):
    assert "hiss" not in findings_of(notes)
    noise = 0.05 * np.random.default_rng(0).standard_normal(notes.shape)
    assert "hiss" not in findings_of(noise)


def test_noise_that_comes_and_goes_with_the_music_is_no_hiss(notes):
    rng = np.random.default_rng(0)
    level = 10.0 ** (np.repeat(rng.normal(-50.0, 8.0, SECONDS * 20), RATE // 20) / 20.0)
    assert "hiss" not in findings_of(notes + level[:, None] * rng.standard_normal(notes.shape))


@pytest.mark.parametrize("freq_hz", [441.3, 1_000.0])
@pytest.mark.parametrize("shape", [np.sin, lambda phase: np.sign(np.sin(phase))])
def test_a_tone_that_never_changes_is_no_hiss(freq_hz, shape):
    tone = 0.3 * shape(2.0 * np.pi * freq_hz * np.arange(SECONDS * RATE) / RATE)
    assert "hiss" not in findings_of(np.stack([tone, tone], axis=1))


def test_noise_below_a_tone_that_never_changes_is_hiss():
    tone = 0.3 * np.sin(2.0 * np.pi * 441.3 * np.arange(SECONDS * RATE) / RATE)[:, None]
    assert "hiss" in findings_of(tone + 0.001 * np.random.default_rng(0).standard_normal((len(tone), 2)))
