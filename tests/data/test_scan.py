"""Loudness against pyloudnorm, spectra against a transform of the whole file, for any chunks."""

import numpy as np
import pyloudnorm
import pytest

from nmjax.data.scan import FLOOR_DB, THIRD_OCTAVE_CENTERS_HZ, FileScanner
from tests.synthetic_audio import music


def measure_in_chunks(audio, rate, chunk=1 << 16):
    meter = FileScanner(rate, audio.shape[1])
    for start in range(0, len(audio), chunk):
        meter.update(audio[start : start + chunk].astype(np.float32))
    return meter.result()


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (11_025, 1), (96_000, 2)])
def test_loudness_and_half_second_levels_match_pyloudnorm(rate, channels):
    audio = music(9.0, rate, channels)
    audio[3 * rate : 5 * rate] *= 0.02
    audio[7 * rate :] *= 3.0
    result, reference = measure_in_chunks(audio, rate), pyloudnorm.Meter(rate, filter_class="DeMan")
    assert result.loudness_lufs == pytest.approx(reference.integrated_loudness(audio), abs=0.05)
    weighted = audio.copy()
    for stage in reference._filters.values():
        weighted = np.stack([stage.apply_filter(x) for x in weighted.T], axis=1)
    power = np.sum(weighted**2, axis=1)
    size = rate / 2
    expected = [-0.691 + 10 * np.log10(np.mean(power[round(i * size) : round((i + 1) * size)])) for i in range(18)]
    np.testing.assert_allclose(result.levels_lufs, expected, atol=0.52)
    assert result.frames == len(audio)


@pytest.mark.parametrize("chunk", [1000, 4410, 22_050, 50_001])
def test_chunk_sizes_make_no_difference(chunk):
    audio = music(2.3)
    whole, result = measure_in_chunks(audio, 44_100, len(audio)), measure_in_chunks(audio, 44_100, chunk)
    assert result.loudness_lufs == pytest.approx(whole.loudness_lufs, abs=1e-4)
    np.testing.assert_array_equal(result.levels_lufs, whole.levels_lufs)
    np.testing.assert_allclose(result.spectrum_db, whole.spectrum_db, atol=1e-3)
    assert len(result.levels_lufs) == 5


def test_the_spectrum_is_the_power_in_each_third_octave():
    rate = 48_000
    audio = np.random.default_rng(0).standard_normal((20 * rate, 1)) * 0.1
    result = measure_in_chunks(audio, rate).spectrum_db
    power = np.abs(np.fft.rfft(audio[:, 0])) ** 2 * 2 / len(audio) ** 2
    hz = np.arange(len(power)) * rate / len(audio)
    expected = [
        10 * np.log10(power[(hz >= c * 10**-0.05) & (hz < c * 10**0.05)].sum()) for c in THIRD_OCTAVE_CENTERS_HZ
    ]
    np.testing.assert_allclose(
        result[8:], expected[8:], atol=0.5
    )  # a third octave at 160 Hz has 730 degrees of freedom
    np.testing.assert_allclose(result[:8], expected[:8], atol=2.5)
    tone = np.sin(2 * np.pi * 1000.0 * np.arange(2 * rate) / rate)[:, None] * np.array([1.0, 0.0])
    levels = measure_in_chunks(tone, rate).spectrum_db
    assert levels[16] == pytest.approx(10 * np.log10(0.5 * 0.25), abs=0.02)  # the mean of two channels
    assert np.delete(levels, [15, 16, 17]).max() < -60.0


@pytest.mark.parametrize("frames", [2, 300, 9000])
def test_short_audio_and_silence(frames):
    audio = np.full((frames, 1), 0.5) * (-1.0) ** np.arange(frames)[:, None]
    result = measure_in_chunks(audio, 44_100)
    assert len(result.levels_lufs) == 1
    assert np.isfinite(result.loudness_lufs)
    assert np.all(np.isfinite(result.spectrum_db))
    silent = measure_in_chunks(np.zeros((frames, 2)), 44_100)
    assert silent.loudness_lufs == -np.inf
    assert set(silent.levels_lufs) == {-128}
    assert set(silent.spectrum_db) == {np.float32(FLOOR_DB)}
