"""The saturator: a slow SciPy model in float64, level, aliasing, DC, streaming, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.signal import resample
from scipy.stats import norm

from nmjax.dsp import SATURATOR_LATENCY, Saturator, saturate, saturate_stream
from nmjax.dsp.saturator import REFERENCE_RMS, level_compensation

from .oracles import cookbook_sos, error_db, noise, sosfilt_batch

RATE = 44_100.0
SETTINGS = {"drive_db": 12.0, "mix": 0.7, "asymmetry": 0.5}
RENDER = jax.jit(saturate, static_argnums=2)
STREAM = jax.jit(saturate_stream, static_argnums=2)


def saturator(dtype=jnp.float32, **other):
    return Saturator(**{k: jnp.asarray(np.atleast_1d(v), dtype) for k, v in (SETTINGS | other).items()})


def gaussian_level(drive_db, asymmetry):
    """RMS of the output for Gaussian noise at −20 dBFS, without its mean, by quadrature."""

    def curve(n):
        t = np.tanh(10 ** (drive_db / 20) * 0.1 * n)
        return t + asymmetry / 2 * t * t

    mean, square = (quad(lambda n, p=p: curve(n) ** p * norm.pdf(n), -12, 12, limit=200)[0] for p in (1, 2))
    return np.sqrt(square - mean**2)


@pytest.mark.parametrize("drive_db", [0.0, 6.0, 12.0, 24.0])
@pytest.mark.parametrize("asymmetry", [0.0, 1.0])
def test_the_level_of_gaussian_noise_does_not_change(drive_db, asymmetry):
    level_gain = level_compensation(saturator(drive_db=drive_db, asymmetry=asymmetry))[0]
    np.testing.assert_allclose(level_gain, REFERENCE_RMS / gaussian_level(drive_db, asymmetry), rtol=1e-4)
    audio = noise(1, 1, 44_100, 1)
    y = np.asarray(RENDER(audio, saturator(drive_db=drive_db, asymmetry=asymmetry, mix=1.0), RATE))
    assert abs(20 * np.log10(y.std() / audio.std())) <= 0.6  # includes the loss above 20 kHz


def oversampled_reference(audio, drive_db, mix, asymmetry, rate):
    """The nonlinearity at 32 times the rate by one Fourier transform; DC removed with SciPy's low-pass."""
    audio = np.asarray(audio, np.float64)
    t = np.tanh(10 ** (drive_db / 20) * resample(audio, 32 * audio.shape[1], axis=1))
    odd, even = (resample(x, audio.shape[1], axis=1) for x in (t, asymmetry / 2 * t * t))
    even = even - sosfilt_batch(even, cookbook_sos("low_pass", 10.0, 0.5, rate)[None, None])
    wet = REFERENCE_RMS / gaussian_level(drive_db, asymmetry) * (odd + even)
    return audio + mix * (wet - audio)


@pytest.mark.parametrize("rate", [8_000.0, 192_000.0])
@pytest.mark.parametrize("other", [{}, {"mix": -0.5, "asymmetry": 0.0}, {"mix": 1.0, "asymmetry": 1.0}], ids=str)
def test_matches_the_oversampled_curve(other, rate):
    """On swelling tones, up to 0.43 of the rate: the filters fall from 0.4535 on."""
    positions = np.arange(4000)
    tones = sum(np.sin(2 * np.pi * f * positions + k) for k, f in enumerate((0.011, 0.037, 0.09, 0.17)))
    audio = (0.08 * tones * np.hanning(4000))[None, :, None].astype(np.float32)
    pair = (
        np.asarray(RENDER(audio, saturator(**other), rate)),
        oversampled_reference(audio, **SETTINGS | other, rate=rate),
    )
    result, expected = (np.fft.irfft(np.fft.rfft(x, axis=1)[:, :1720], 4000, axis=1) for x in pair)
    assert error_db(result, expected) <= -85.0


def spectrum(drive_db, asymmetry, freq_hz=5_000.0, level=1.0):
    """Amplitudes in bins of 2 Hz of a saturated full-scale sine, after its onset."""
    sine = level * np.sin(2 * np.pi * freq_hz * np.arange(44_100) / RATE)
    y = RENDER(sine[None, :, None].astype(np.float32), saturator(drive_db=drive_db, asymmetry=asymmetry, mix=1.0), RATE)
    return 2 * np.abs(np.fft.rfft(np.asarray(y, np.float64)[0, 14_000:36_050, 0])) / 22_050


@pytest.mark.parametrize("asymmetry", [0.0, 1.0])
def test_a_sine_of_5_khz_does_not_alias(asymmetry):
    """Everything that is no multiple of 5 kHz, relative to the strongest partial."""
    result = spectrum(12.0, asymmetry)
    harmonics = result[::2_500]
    aliases = np.delete(result, np.arange(0, len(result), 2_500))
    assert 20 * np.log10(aliases.max() / result.max()) <= -80.0
    assert 20 * np.log10(harmonics[3] / harmonics[1]) >= -20.0  # it does saturate
    second = 20 * np.log10(harmonics[2] / harmonics[1])
    assert second >= -20.0 if asymmetry else second <= -100.0


@pytest.mark.parametrize("freq_hz", [60.0, 5_000.0, 11_024.0, 14_700.0, 20_000.0])
def test_there_is_no_dc(freq_hz):
    result = spectrum(24.0, 1.0, freq_hz)
    assert 20 * np.log10(result[0] / 2 / result.max()) <= -100.0


def test_quiet_signals_pass_without_delay():
    """Only the gain of a soft signal changes: the filters are flat to 20 kHz and their delay is compensated."""
    for freq_hz in (50.0, 1_000.0, 10_000.0, 20_000.0):
        audio = (1e-3 * np.sin(2 * np.pi * freq_hz * np.arange(4000) / RATE))[None, :, None].astype(np.float32)
        settings = saturator(drive_db=0.0, mix=1.0, asymmetry=0.0)
        y = RENDER(audio, settings, RATE) / level_compensation(settings)[0]
        assert error_db(y[:, 200:-200], audio[:, 200:-200]) <= -75.0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_zero_mix_is_bit_identical(dtype):
    with jax.enable_x64(True):
        audio = jnp.asarray(noise(1, 1, 500, 2), dtype)
        y = RENDER(audio, saturator(mix=0.0), RATE)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, audio)


@pytest.mark.parametrize("size", [1, 300])
@pytest.mark.parametrize("mix", [0.0, 0.7])
def test_streaming_equals_one_call(size, mix):
    time = 1200 if size > 1 else 40
    audio, settings = noise(2, 1, time, 2, level=0.3), saturator(mix=mix)
    whole = RENDER(audio, settings, RATE)
    padded, state, parts = np.pad(audio, ((0, 0), (0, size * -(-SATURATOR_LATENCY // size)), (0, 0))), None, []
    for start in range(0, padded.shape[1], size):
        y, state = STREAM(padded[:, start : start + size], settings, RATE, state)
        parts.append(np.asarray(y))
    compensated = np.concatenate(parts, axis=1)[:, SATURATOR_LATENCY : SATURATOR_LATENCY + time]
    assert error_db(compensated, whole) <= (-110.0 if mix else -300.0)


def loss(settings, audio):
    y = saturate(audio, settings, RATE)
    return jnp.sum(jnp.asarray(noise(3, *y.shape), y.dtype) * y)


GRADIENTS = jax.jit(jax.grad(loss, argnums=(0, 1)))
LOSS = jax.jit(loss)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_the_gradient_is_the_finite_difference(name):
    audio = noise(4, 1, 400, 1, level=0.2)
    with jax.enable_x64(True):
        settings = saturator(jnp.float64)
        slope = float(getattr(GRADIENTS(settings, jnp.asarray(audio, jnp.float64))[0], name)[0])
        ends = [
            LOSS(saturator(jnp.float64, **{name: SETTINGS[name] + h}), jnp.asarray(audio, jnp.float64))
            for h in (1e-5, -1e-5)
        ]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6)
    np.testing.assert_allclose(getattr(GRADIENTS(saturator(), audio)[0], name)[0], slope, rtol=1e-3)
    assert abs(slope) > 1e-6


def test_the_gradient_by_the_signal_is_the_finite_difference():
    with jax.enable_x64(True):
        audio, direction = (jnp.asarray(noise(seed, 1, 400, 1, level=0.2), jnp.float64) for seed in (4, 5))
        above, below = (LOSS(saturator(jnp.float64), audio + h * direction) for h in (1e-6, -1e-6))
        slope = jnp.vdot(GRADIENTS(saturator(jnp.float64), audio)[1], direction)
        np.testing.assert_allclose(slope, (above - below) / 2e-6, rtol=1e-6)


def test_mix_has_a_gradient_at_the_identity():
    slope = GRADIENTS(saturator(mix=0.0), noise(4, 1, 400, 1, level=0.2))[0]
    assert abs(slope.mix[0]) > 1e-3


@pytest.mark.parametrize("level", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("time", [1, 400])
def test_value_and_gradient_are_finite(level, time):
    audio = jnp.asarray(level * np.sign(noise(6, 1, time, 1)), jnp.float32)
    settings = saturator(drive_db=24.0, asymmetry=1.0)
    for x in jax.tree.leaves((RENDER(audio, settings, RATE), GRADIENTS(settings, audio))):
        assert np.all(np.isfinite(x))


def test_invalid_arguments_are_reported():
    audio = jnp.zeros((1, 10, 2))
    with pytest.raises(ValueError, match=r"mix must be from -0.5 to 1; it is 1.5"):
        saturate(audio, saturator(mix=1.5), RATE)
    with pytest.raises(ValueError, match=r"drive_db must be one value a signal, \[1\]; it is of shape \[2\]"):
        saturate(audio, saturator(drive_db=[1.0, 2.0]), RATE)
    _, state = STREAM(noise(2, 1, 50, 2), saturator(), RATE)
    with pytest.raises(ValueError, match=r"state must be of shape \[1, 126, 1\]"):
        saturate_stream(audio[..., :1], saturator(), RATE, state)
