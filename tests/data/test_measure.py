"""Loudness as pyloudnorm measures it, spectra as a transform of the whole gives them, whatever the pieces."""

import numpy as np
import pyloudnorm
import pytest

from nmjax.data.measure import CENTRES_HZ, FLOOR_DB, Meter
from tests.music import music


def measured(audio, rate, piece=1 << 16):
    meter = Meter(rate, audio.shape[1])
    for start in range(0, len(audio), piece):
        meter.hear(audio[start : start + piece].astype(np.float32))
    return meter.result()


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (11_025, 1), (96_000, 2)])
def test_loudness_and_its_course_are_pyloudnorms(rate, channels):
    audio = music(9.0, rate, channels)
    audio[3 * rate : 5 * rate] *= 0.02
    audio[7 * rate :] *= 3.0
    found, reference = measured(audio, rate), pyloudnorm.Meter(rate, filter_class="DeMan")
    assert found.loudness == pytest.approx(reference.integrated_loudness(audio), abs=0.05)
    weighted = audio.copy()
    for stage in reference._filters.values():
        weighted = np.stack([stage.apply_filter(x) for x in weighted.T], axis=1)
    power = np.sum(weighted**2, axis=1)
    size = rate / 2
    wanted = [-0.691 + 10 * np.log10(np.mean(power[round(i * size) : round((i + 1) * size)])) for i in range(18)]
    np.testing.assert_allclose(found.levels, wanted, atol=0.52)
    assert found.frames == len(audio)


@pytest.mark.parametrize("piece", [1000, 4410, 22_050, 50_001])
def test_pieces_make_no_difference(piece):
    audio = music(2.3)
    whole, found = measured(audio, 44_100, len(audio)), measured(audio, 44_100, piece)
    assert found.loudness == pytest.approx(whole.loudness, abs=1e-4)
    np.testing.assert_array_equal(found.levels, whole.levels)
    np.testing.assert_allclose(found.spectrum, whole.spectrum, atol=1e-3)
    assert len(found.levels) == 5


def test_the_spectrum_is_the_power_in_each_third_octave():
    rate = 48_000
    audio = np.random.default_rng(0).standard_normal((20 * rate, 1)) * 0.1
    found = measured(audio, rate).spectrum
    power = np.abs(np.fft.rfft(audio[:, 0])) ** 2 * 2 / len(audio) ** 2
    hz = np.arange(len(power)) * rate / len(audio)
    wanted = [10 * np.log10(power[(hz >= c * 10**-0.05) & (hz < c * 10**0.05)].sum()) for c in CENTRES_HZ]
    np.testing.assert_allclose(found[8:], wanted[8:], atol=0.5)  # a third octave at 160 Hz has 730 degrees of freedom
    np.testing.assert_allclose(found[:8], wanted[:8], atol=2.5)
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(2 * rate) / rate)[:, None] * np.array([1.0, 0.0])
    levels = measured(tone, rate).spectrum
    assert levels[16] == pytest.approx(10 * np.log10(0.5 * 0.25), abs=0.02)  # the mean of two channels
    assert np.delete(levels, [15, 16, 17]).max() < -60.0


@pytest.mark.parametrize("frames", [2, 300, 9000])
def test_short_sounds_and_silence_are_measured_too(frames):
    audio = np.full((frames, 1), 0.5) * (-1.0) ** np.arange(frames)[:, None]
    found = measured(audio, 44_100)
    assert len(found.levels) == 1
    assert np.isfinite(found.loudness)
    assert np.all(np.isfinite(found.spectrum))
    silent = measured(np.zeros((frames, 2)), 44_100)
    assert silent.loudness == -np.inf
    assert set(silent.levels) == {-128}
    assert set(silent.spectrum) == {np.float32(FLOOR_DB)}
