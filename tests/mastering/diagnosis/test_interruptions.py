"""Silence, cut ends, dropouts and clicks at known places."""

import numpy as np
import pytest

from tests.mastering.diagnosis.songs import RATE, findings_of, song

NAMES = {"silence", "leading_silence", "trailing_silence", "cut_end", "dropouts", "clicks"}


def interruptions(audio):
    return {name: finding for name, finding in findings_of(audio).items() if name in NAMES}


def test_silence_at_both_ends():
    audio = np.concatenate([np.zeros((5 * RATE, 2)), song(), np.zeros((10 * RATE, 2))])
    findings = interruptions(audio)
    assert set(findings) == {"leading_silence", "trailing_silence"}
    assert findings["leading_silence"].value == pytest.approx(5.0, abs=0.05)
    assert findings["trailing_silence"].value == pytest.approx(10.0, abs=0.3)


def test_a_silent_track():
    assert set(interruptions(np.zeros((RATE, 2)))) == {"silence"}


def test_a_cut_end():
    assert set(interruptions(song()[: 10 * RATE])) == {"cut_end"}


def test_an_offset_that_continues_after_the_music_is_no_cut_end():
    audio = np.pad(song(), ((0, RATE), (0, 0))) + np.array([0.05, -0.1])
    assert not interruptions(audio)


@pytest.mark.parametrize("seconds", [0.01, 0.05])
def test_dropouts(seconds):
    audio = song()
    for start in (5.01, 9.03):
        audio[round(start * RATE) : round((start + seconds) * RATE)] = 0.0
    findings = interruptions(audio)
    assert set(findings) == {"dropouts"}
    assert findings["dropouts"].value == 2
    assert "0:05" in findings["dropouts"].sentence


def test_the_edges_of_a_gap_are_no_clicks_but_a_click_elsewhere_is():
    audio = 0.3 * np.sin(2.0 * np.pi * 220.0 * np.arange(8 * RATE) / RATE + 0.3)[:, None] * [1.0, 0.7]
    audio[2 * RATE : 2 * RATE + 2_205] = 0.0
    assert set(interruptions(audio)) == {"dropouts", "cut_end"}
    audio[5 * RATE, 0] += 0.5
    findings = interruptions(audio)
    assert set(findings) == {"dropouts", "clicks", "cut_end"}
    assert findings["clicks"].value == 1
    assert "0:05" in findings["clicks"].sentence


def test_a_rest_is_not_a_dropout():
    audio = song()
    audio[5 * RATE : 6 * RATE] = 0.0
    assert "dropouts" not in interruptions(audio)


@pytest.mark.parametrize("positions", [(7.0,), (3.0, 7.0, 11.1)])
def test_clicks(positions):
    audio = song()
    for seconds in positions:
        audio[round(seconds * RATE), 0] += 0.5
    findings = interruptions(audio)
    assert findings["clicks"].value == len(positions)
    assert f"0:{positions[0]:02.0f}" in findings["clicks"].sentence


def test_drums_are_not_clicks():
    audio, rng = song(), np.random.default_rng(3)
    for start in range(RATE, len(audio) - RATE, RATE // 2):
        decay = np.exp(-np.arange(4_000) / 600.0)
        audio[start : start + 4_000] += 0.4 * (rng.standard_normal(4_000) * decay)[:, None]
    assert "clicks" not in interruptions(audio)
