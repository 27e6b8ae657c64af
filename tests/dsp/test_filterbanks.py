"""Bark bands, third octaves, smoothing and mel filters against explicit sums, published tables and torchaudio."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import bark_spectrum_db, power_spectra, smooth_spectrum_db, third_octave_spectrum_db
from nmjax.dsp.filterbanks import BARK_EDGES_HZ, THIRD_OCTAVES_HZ, band_filterbank, mel_filterbank

from .oracles import noise, stft_magnitudes

RATE = 44_100.0
BARK = jax.jit(bark_spectrum_db, static_argnums=(1, 2))
THIRDS = jax.jit(third_octave_spectrum_db, static_argnums=(1, 2))


def sine(freq_hz, seconds=0.5, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * freq_hz * np.arange(round(seconds * RATE)) / RATE)


def as_audio(*channels):
    return jnp.asarray(np.stack(channels, axis=-1)[None], jnp.float32)


def sliced_band_power(power, low_hz, high_hz, window, slices=400):
    """The power between two frequencies, with every bin divided into thin slices."""
    bin_hz, total = RATE / window, 0.0
    for n, value in enumerate(power):
        edges = np.clip([(n - 0.5) * bin_hz, (n + 0.5) * bin_hz], 0.0, RATE / 2)
        at = edges[0] + (edges[1] - edges[0]) * (np.arange(slices) + 0.5) / slices
        total += value * np.mean((at >= low_hz) & (at < high_hz))
    return total


def test_the_powers_of_the_bins_add_up_to_the_mean_square():
    audio = noise(1, 2, 40_000, 2)
    total = jnp.sum(power_spectra(jnp.asarray(audio), 1024), axis=2)
    np.testing.assert_allclose(total, np.mean(audio**2, axis=1), rtol=0.01)
    np.testing.assert_allclose(jnp.sum(power_spectra(as_audio(sine(1000.0)), 1024)), 0.5, rtol=0.01)


@pytest.mark.parametrize("band", [0, 1, 8, 23])
def test_a_bark_band_holds_the_power_between_its_edges(band):
    audio, window = noise(2, 1, 20_000, 1), 512
    power = np.mean(stft_magnitudes(audio, window, window // 4)[0, 0] ** 2, axis=0) * 2 / (0.375 * window**2)
    power[[0, -1]] /= 2
    expected = 10 * np.log10(sliced_band_power(power, *BARK_EDGES_HZ[band : band + 2], window))
    np.testing.assert_allclose(BARK(jnp.asarray(audio), RATE, window)[0, 0, band], expected, atol=0.02)


@pytest.mark.parametrize("band", range(24))
def test_a_sine_falls_in_its_bark_band(band):
    result = BARK(as_audio(sine((BARK_EDGES_HZ[band] + BARK_EDGES_HZ[band + 1]) / 2)), RATE, 8192)[0, 0]
    np.testing.assert_allclose(result[band], -3.01, atol=0.1)
    assert np.all(np.delete(result, band) < -20.0)


def test_stereo_is_read_as_mid_and_side():
    tone = sine(1000.0)
    both, opposite = (BARK(as_audio(tone, sign * tone), RATE, 4096)[0] for sign in (1.0, -1.0))
    np.testing.assert_allclose(both[0], opposite[1], atol=1e-3)
    np.testing.assert_array_equal(both[1], -120.0)
    np.testing.assert_array_equal(opposite[0], -120.0)


def test_silence_has_no_gradient_and_bands_above_nyquist_are_empty():
    silence = jnp.zeros((1, 9000, 2))
    np.testing.assert_allclose(BARK(silence, RATE, 4096), -120.0, rtol=1e-6)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(BARK(x, RATE, 4096)))(silence), 0.0)
    slow = BARK(jnp.asarray(noise(3, 1, 9000, 1)), 8000.0, 1024)[0, 0]
    np.testing.assert_allclose(slow[18:], -120.0, rtol=1e-6)  # from 4,400 Hz on
    assert np.all(slow[:18] > -60.0)


def test_the_gradient_of_bark_spectra_is_the_finite_difference():
    with jax.enable_x64(True):
        audio, direction = (jnp.asarray(noise(seed, 1, 900, 2), jnp.float64) for seed in (4, 5))
        slope = jnp.sum(jax.grad(lambda x: jnp.sum(BARK(x, RATE, 256)))(audio) * direction)
        up, down = (jnp.sum(BARK(audio + step * direction, RATE, 256)) for step in (1e-6, -1e-6))
        np.testing.assert_allclose(slope, (up - down) / 2e-6, rtol=1e-6)


def test_third_octave_centers_match_the_standard():
    np.testing.assert_allclose(THIRD_OCTAVES_HZ[17], 1000.0)
    np.testing.assert_allclose(
        np.array(THIRD_OCTAVES_HZ)[[0, 7, 20, 30]], [19.953, 100.0, 1995.26, 19_952.6], rtol=1e-4
    )
    for band in (8, 10, 17, 25, 29):  # below, the window's main lobe is wider than a band
        result = THIRDS(as_audio(sine(THIRD_OCTAVES_HZ[band], 1.0)), RATE, 16_384)[0, 0]
        np.testing.assert_allclose(result[band], -3.01, atol=0.15)


def test_pink_noise_is_flat_in_third_octaves():
    spectrum = np.fft.rfft(noise(6, 1, 2**18, 1)[0, :, 0])
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)))
    result = THIRDS(as_audio(pink), RATE, 16_384)[0, 0, 6:30]
    np.testing.assert_allclose(result - np.mean(result), 0.0, atol=1.0)


def test_smoothing_keeps_flat_spectra_and_spreads_a_line_over_a_third_octave():
    points = np.array([100.0, 1000.0, 10_000.0, 22_050.0])
    np.testing.assert_allclose(smooth_spectrum_db(jnp.full(2049, 0.01), points, RATE), -20.0, atol=1e-4)
    line = jnp.zeros(2049).at[200].set(1.0)  # at 2,153 Hz
    at = np.array([1900.0, 1950.0, 2153.3, 2380.0, 2430.0])
    result = smooth_spectrum_db(line, at, RATE)
    np.testing.assert_array_equal(result[jnp.array([0, 4])], np.float32(-120.0))
    width = at[1:4] * (2 ** (1 / 6) - 2 ** (-1 / 6)) / (RATE / 4096)
    np.testing.assert_allclose(result[1:4], -10 * np.log10(width), atol=1e-3)


def test_band_weights_sum_to_one():
    edges = np.linspace(0.0, 22_050.0, 300)  # 73.7 Hz apart, with bins of 172 Hz
    np.testing.assert_allclose(band_filterbank(edges[:-1], edges[1:], 256, RATE).sum(axis=1), 1.0, rtol=1e-12)


def test_mel_matrix_matches_torchaudio():
    known = json.loads((Path(__file__).parents[1] / "published_values.json").read_text())["mel"]
    matrix = mel_filterbank(20, 512, RATE, 50.0, 16_000.0)
    np.testing.assert_allclose(matrix.sum(axis=0), known["sum"], rtol=1e-3)
    np.testing.assert_allclose(np.arange(257) @ matrix / matrix.sum(axis=0), known["mean_bin"], atol=1e-2)


def test_invalid_arguments_are_reported():
    with pytest.raises(ValueError, match=r"fft_size must be a multiple of 4 samples; it is 6"):
        bark_spectrum_db(jnp.zeros((1, 100, 1)), RATE, 6)
    with pytest.raises(ValueError, match=r"freq_hz must be a grid of rank 1 above 0 .* 22050 Hz; it is \[0. 9.\]"):
        smooth_spectrum_db(jnp.ones(100), np.array([0.0, 9.0]), RATE)
    with pytest.raises(ValueError, match=r"low_hz and high_hz must be in order between 0 and 22050 Hz"):
        mel_filterbank(10, 512, RATE, 900.0, 800.0)
