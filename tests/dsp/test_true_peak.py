"""True peak: between samples within the precision of the standard's filter, over channels, and in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import resample

from nmjax.dsp.true_peak import TRUE_PEAK_OVERLAP, true_peak_amplitude, true_peak_db

from .oracles import noise

RATE = 48_000.0
PEAK = jax.jit(lambda audio, rate=RATE: true_peak_db(audio, rate), static_argnums=1)
PEAK_AMPLITUDE = jax.jit(true_peak_amplitude, static_argnums=1)


def windowed_sine(cycles_a_sample, phase, time=2000):
    """A sine of amplitude 1 under a Hann window: no edge rings."""
    t = np.arange(time)
    return np.hanning(time) * np.sin(2 * np.pi * cycles_a_sample * t + phase)


def as_audio(*channels):
    return jnp.asarray(np.stack(channels, axis=-1)[None], jnp.float32)


def test_a_sine_at_a_quarter_of_the_rate_peaks_between_its_samples():
    audio = as_audio(windowed_sine(0.25, np.pi / 4))
    np.testing.assert_allclose(20 * np.log10(np.abs(audio).max()), -3.01, atol=0.01)
    np.testing.assert_allclose(PEAK(audio), 0.0, atol=0.1)


@pytest.mark.parametrize("cycles_a_sample", [0.01, 0.1, 0.2, 0.3, 0.4])
def test_every_phase_of_a_sine_reads_full_scale_within_tolerance(cycles_a_sample):
    """EBU Tech 3341 allows +0.2 and −0.4 dB; at 0.4 of the rate four times the samples alone miss up to 0.44 dB."""
    peaks = PEAK(
        jnp.concatenate([as_audio(windowed_sine(cycles_a_sample, phase)) for phase in np.linspace(0, np.pi, 9)])
    )
    assert np.all((peaks > (-0.6 if cycles_a_sample == 0.4 else -0.4)) & (peaks < 0.2))


def test_dense_signals_match_ideal_interpolation():
    """Low-passed noise, oversampled 16 times by a Fourier transform; 4 times can only read a little less."""
    spectrum = np.fft.rfft(noise(1, 8, 1024, level=1.0), axis=1)
    spectrum[:, 350:] = 0.0
    signal = np.fft.irfft(spectrum, axis=1) * np.hanning(1024)
    ideal = 20 * np.log10(np.abs(resample(signal, 16 * 1024, axis=1)).max(axis=1))
    np.testing.assert_allclose(PEAK(jnp.asarray(signal[..., None], jnp.float32)), ideal, atol=0.35)


def test_the_loudest_channel_and_never_less_than_a_sample():
    low, high = windowed_sine(0.01, 0.0), windowed_sine(0.02, 1.0)
    np.testing.assert_array_equal(PEAK(as_audio(0.1 * low, high)), PEAK(as_audio(high, 0.1 * high)))
    spike = np.zeros(50)
    spike[20] = -0.5  # the filter's own center tap is 0.972: only the sample itself shows the full height
    np.testing.assert_allclose(PEAK(as_audio(spike)), 20 * np.log10(0.5), atol=1e-5)


def test_silence_is_minus_infinity():
    assert PEAK(jnp.zeros((1, 50, 2)))[0] == -np.inf


@pytest.mark.parametrize("size", [64, 170, 1000])
def test_overlapping_chunks_give_the_whole(size):
    """A slow sine, cut near its crests: padding a chunk with zeros would ring by up to 0.9 dB."""
    audio = as_audio(windowed_sine(100 / 44_100, 0.0, 4000), 0.5 * windowed_sine(0.24, 0.3, 4000))
    starts = range(0, 4000 + TRUE_PEAK_OVERLAP, size)
    padded = np.pad(np.asarray(audio), ((0, 0), (TRUE_PEAK_OVERLAP, TRUE_PEAK_OVERLAP + size), (0, 0)))
    peaks = [PEAK_AMPLITUDE(padded[:, start : start + size + TRUE_PEAK_OVERLAP], RATE)[0] for start in starts]
    np.testing.assert_allclose(20 * np.log10(max(peaks)), PEAK(audio)[0], atol=1e-4)


@pytest.mark.parametrize(("rate", "misses"), [(48_000.0, 0.1), (96_000.0, 0.7), (192_000.0, 0.7)])
def test_oversampling_follows_the_rate(rate, misses):
    """A sine at a quarter of the rate with crests between the samples: from 96 kHz on the oversampling is 2×, since the
    standard asks for 192 kHz and not for a factor of four."""
    peaks = PEAK(
        jnp.concatenate([as_audio(windowed_sine(0.25, phase)) for phase in np.linspace(0, np.pi / 2, 33)]), rate
    )
    assert -misses <= min(peaks) < -misses / 2
    assert max(peaks) < 0.25


def test_the_gradient_is_the_finite_difference():
    with jax.enable_x64(True):
        audio, direction = (jnp.asarray(noise(seed, 1, 200, 2), jnp.float64) for seed in (3, 4))
        slope = jnp.sum(jax.jit(jax.grad(lambda x: PEAK(x)[0]))(audio) * direction)
        step = 1e-6
        reference = (PEAK(audio + step * direction)[0] - PEAK(audio - step * direction)[0]) / (2 * step)
        np.testing.assert_allclose(slope, reference, rtol=1e-6)


def test_a_silent_signal_in_the_batch_gives_finite_gradients():
    audio = jnp.asarray(noise(5, 2, 100, 1)).at[1].set(0.0)
    assert np.isfinite(jax.grad(lambda gain: PEAK(gain * audio)[0])(jnp.array(1.0)))


def test_invalid_arguments_are_reported():
    with pytest.raises(ValueError, match="sample_rate must be above 0 Hz; it is -1"):
        true_peak_db(jnp.zeros((1, 10, 1)), -1)
