"""Rounded peaks against soft clippers of known ceiling, limiters and clippers."""

import numpy as np
import pytest
import scipy.ndimage

from tests.mastering.diagnosis.songs import findings_of, song


def overdrive(audio, drive_db, curve):
    """The audio through a curve whose ceiling its peaks exceed by `drive_db`."""
    return 0.5 * curve(audio / np.abs(audio).max() * 10.0 ** (drive_db / 20.0))


def limit(audio, gain_db):
    """A limiter that looks 5 ms ahead and back, and holds the gain for 10 ms."""
    loud = audio / np.abs(audio).max() * 10.0 ** (gain_db / 20.0)
    gain = scipy.ndimage.minimum_filter1d(np.minimum(1.0, 1.0 / np.abs(loud).max(axis=1)), 881)
    return 0.5 * loud * scipy.ndimage.uniform_filter1d(gain, 441)[:, None]


@pytest.mark.parametrize(
    "curve",
    [
        np.tanh,
        lambda x: 2.0 / np.pi * np.arctan(np.pi / 2.0 * x),
        lambda x: np.where(x > 0.0, np.tanh(x), x),
        lambda x: np.where(x < 0.0, np.tanh(x), 2.0 * np.tanh(x / 2.0)),
    ],
    ids=["tanh", "arctan", "positive half", "asymmetric"],
)
def test_a_soft_clipper_is_found(curve):
    finding = findings_of(overdrive(song(), 9.0, curve))["saturation"]
    assert finding.severity == "warning" and finding.percentile > 98.0


def test_the_rounding_grows_with_the_drive_and_does_not_depend_on_the_level():
    light, heavy = (findings_of(overdrive(song(), drive_db, np.tanh))["saturation"].value for drive_db in (9.0, 12.0))
    assert heavy > light + 1.0
    quiet = findings_of(0.1 * overdrive(song(), 9.0, np.tanh))["saturation"].value
    assert quiet == pytest.approx(light, abs=0.3)


def test_limited_clipped_and_clean_music_is_not_saturated():
    audio = song()
    ceiling = np.quantile(np.abs(audio), 0.995)
    for other in (audio, limit(audio, 9.0), np.clip(audio, -ceiling, ceiling)):
        assert "saturation" not in findings_of(other)


def test_a_clipper_of_changing_level_is_a_clipper():
    audio = song()
    ceiling = np.quantile(np.abs(audio), 0.995)
    fading = np.clip(audio, -ceiling, ceiling) * np.linspace(0.5, 1.0, len(audio))[:, None]
    findings = findings_of(fading)
    assert "clipping" in findings and "saturation" not in findings
