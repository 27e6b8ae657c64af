"""Polarity, delay, bass, mono sum and balance against changes of known size."""

import numpy as np
import pytest
import scipy.signal

from tests.mastering.diagnosis.songs import RATE, findings_of, song

STEREO = {"polarity", "channel_delay", "bass_polarity", "wide_bass", "mono_loss", "imbalance", "silent_channel"}


def stereo_findings(audio):
    return {name: finding for name, finding in findings_of(audio).items() if name in STEREO}


def test_inverted_polarity_of_a_channel():
    findings = stereo_findings(song() * [1.0, -1.0])
    assert set(findings) == {"polarity", "mono_loss"}
    assert findings["polarity"].value < -0.5


@pytest.mark.parametrize(("channel", "frames"), [(0, 5), (1, 30), (1, 400)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_delay_of_a_channel_is_exact(channel, frames, sign):
    audio = song()
    audio[:, channel] = sign * np.roll(audio[:, channel], frames)
    finding = stereo_findings(audio)["channel_delay"]
    assert finding.value == pytest.approx((1000.0 if channel else -1000.0) * frames / RATE, abs=1e-6)
    assert f"The {('left', 'right')[channel]} channel is" in finding.sentence
    assert ("inverted" in finding.sentence) == (sign < 0.0)


def test_bass_out_of_phase():
    audio = song()
    bass = scipy.signal.sosfiltfilt(scipy.signal.butter(4, 150.0, fs=RATE, output="sos"), audio, axis=0)
    findings = stereo_findings(audio - 2.0 * bass * [0.0, 1.0])
    assert "bass_polarity" in findings
    assert findings["bass_polarity"].value < -0.5


def test_loss_in_mono_is_the_level_of_the_mean_of_the_channels():
    audio = song()
    mid, side = audio.mean(axis=1), 0.5 * (audio[:, 0] - audio[:, 1])
    side *= 1.8 * mid.std() / side.std()
    wide = np.stack([mid + side, mid - side], axis=1)
    expected_db = 10.0 * np.log10(np.mean(wide**2) / np.mean(mid**2))
    assert stereo_findings(wide)["mono_loss"].value == pytest.approx(expected_db, abs=0.3)


@pytest.mark.parametrize("gain_db", [-8.0, 8.0])
def test_imbalance(gain_db):
    finding = stereo_findings(song() * [10.0 ** (gain_db / 20.0), 1.0])["imbalance"]
    assert finding.value == pytest.approx(gain_db, abs=0.3)


def test_a_constant_in_both_channels_is_no_silent_channel():
    assert "silent_channel" not in findings_of(np.tile([0.2, -0.1], (10 * RATE, 1)))


def test_a_silent_channel():
    findings = stereo_findings(song() * [1.0, 0.0])
    assert set(findings) == {"silent_channel"}
    assert "right" in findings["silent_channel"].sentence


def test_two_equal_channels_and_mono_have_no_stereo_problems():
    mono = song().mean(axis=1, keepdims=True)
    assert not stereo_findings(mono)
    assert not stereo_findings(np.repeat(mono, 2, axis=1))
