"""Spectral losses against SciPy's STFT in float64 and against closed forms, in mono and in stereo."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.losses.spectral import a_weighted_loss, check_pair, mr_stft_loss

from ..dsp.oracles import noise
from . import oracles

RATE, TIME = 44_100.0, 6000
FFT_SIZES = (256, 1024)
MR_STFT = jax.jit(functools.partial(mr_stft_loss, sample_rate=RATE, fft_sizes=FFT_SIZES))
A_WEIGHTED = jax.jit(functools.partial(a_weighted_loss, sample_rate=RATE, fft_size=1024))
TERMS = {
    "mr_stft": (MR_STFT, lambda y, t: oracles.mr_stft(y, t, FFT_SIZES)),
    "a_weighted": (A_WEIGHTED, lambda y, t: oracles.a_weighted(y, t, RATE, 1024)),
}
both_terms = pytest.mark.parametrize("term, oracle", TERMS.values(), ids=TERMS.keys())


def output_and_target(channels):
    """A target, and an output that differs in level, spectrum and width from one signal of the batch to the next."""
    target = noise(1, 3, TIME, channels) * np.float32([1.0, 0.2, 3.0])[:, None, None]
    output = 0.7 * target + 0.5 * np.roll(target, 1, axis=1) + noise(2, 3, TIME, channels, level=0.02)
    return output.astype(np.float32), target


def sine(freq_hz, level):
    return level * np.sin(2 * np.pi * freq_hz * np.arange(TIME) / RATE)[None, :, None].astype(np.float32)


@both_terms
@pytest.mark.parametrize("channels", [1, 2])
def test_a_batchs_loss_is_the_mean_of_the_oracles(channels, term, oracle):
    output, target = output_and_target(channels)
    reference = np.mean([oracle(y, t) for y, t in zip(output, target, strict=True)])
    np.testing.assert_allclose(term(jnp.asarray(output), jnp.asarray(target)), reference, rtol=1e-5)


@both_terms
@pytest.mark.parametrize("channels", [1, 2])
def test_a_batchs_loss_is_the_mean_of_its_signals(channels, term, oracle):
    output, target = map(jnp.asarray, output_and_target(channels))
    single = [term(output[i : i + 1], target[i : i + 1]) for i in range(3)]
    assert np.std(single) > 0.01 * np.mean(single)  # else any one of them would do
    np.testing.assert_allclose(term(output, target), np.mean(single), rtol=1e-5)


@pytest.mark.parametrize("gain", [0.5, 0.9, 2.0])
def test_a_pure_gain_costs_what_the_formula_says(gain):
    target = jnp.asarray(noise(3, 1, TIME, 1))
    np.testing.assert_allclose(MR_STFT(gain * target, target), abs(1 - gain) + abs(np.log(gain)), rtol=1e-3)
    np.testing.assert_allclose(A_WEIGHTED(gain * target, target), abs(1 - gain), rtol=1e-3)


def test_a_gain_on_the_side_alone_is_measured_against_mid_and_side():
    """Mid and side of equal energy E, the side times 1 + g: its convergence is g·√(E/2E), the mid's is 0."""
    mid, side = noise(4, 1, TIME, 1), np.roll(noise(4, 1, TIME, 1), TIME // 2, axis=1)
    target, output = (np.concatenate([mid + side * x, mid - side * x], axis=2) for x in (1.0, 1.1))
    left_right = [oracles.mr_stft(output[0, :, i : i + 1], target[0, :, i : i + 1], FFT_SIZES) for i in (0, 1)]
    expected = (sum(left_right) + 0.1 / np.sqrt(2) + np.log(1.1)) / 4
    np.testing.assert_allclose(MR_STFT(jnp.asarray(output), jnp.asarray(target)), expected, rtol=0.02)


def test_an_error_at_1_khz_costs_more_than_an_equal_one_at_50_hz():
    """A is 30 dB lower at 50 Hz; a difference of logarithms would weight both alike."""
    both = sine(50.0, 0.1) + sine(1000.0, 0.1)
    low = A_WEIGHTED(jnp.asarray(both + sine(50.0, 0.05)), jnp.asarray(both))
    mid = A_WEIGHTED(jnp.asarray(both + sine(1000.0, 0.05)), jnp.asarray(both))
    assert mid > 10.0 * low > 0.0


@both_terms
def test_equal_signals_cost_nothing(term, oracle):
    target = jnp.asarray(output_and_target(2)[1])
    assert term(target, target) == 0.0


@both_terms
@pytest.mark.parametrize("level", [1e-6, 1e-3])
def test_a_little_side_on_mono_does_not_explode(level, term, oracle):
    """Mono stored as stereo: normalized by its own energy of almost 0, the side would cost thousands."""
    mono, side = noise(5, 1, TIME, 1), noise(6, 1, TIME, 1, level=level)
    target, output = np.concatenate([mono, mono], axis=2), np.concatenate([mono + side, mono - side], axis=2)
    value, slope = jax.jit(jax.value_and_grad(term))(jnp.asarray(output), jnp.asarray(target))
    np.testing.assert_allclose(value, oracle(output[0], target[0]), rtol=1e-3)
    assert value < (2.0 if term is MR_STFT else 20.0 * level)  # the log term remains: ln(0.02/0.0001)/4
    mid, side = slope[..., 0] + slope[..., 1], slope[..., 0] - slope[..., 1]
    assert jnp.linalg.norm(side) < 30.0 * jnp.linalg.norm(mid)


@both_terms
def test_mono_and_the_same_as_stereo_cost_alike(term, oracle):
    """Left, right and mid cost what mono costs; the side costs nothing and is a quarter of the mean."""
    output, target = map(jnp.asarray, output_and_target(1))
    stereo = term(jnp.concatenate([output, output], axis=2), jnp.concatenate([target, target], axis=2))
    np.testing.assert_allclose(stereo, 0.75 * term(output, target), rtol=2e-3)


@both_terms
def test_the_gradient_is_the_finite_difference(term, oracle):
    output, target = (x[:1, :2000] for x in output_and_target(2))
    direction = noise(7, 1, 2000, 2)
    slope = np.sum(np.asarray(jax.jit(jax.grad(term))(jnp.asarray(output), jnp.asarray(target))) * direction)
    step, output = 1e-6, np.asarray(output, np.float64)
    up, down = (oracle(output[0] + sign * step * direction[0], target[0]) for sign in (1, -1))
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-3)


@pytest.mark.parametrize(
    "term", [functools.partial(mr_stft_loss, fft_sizes=FFT_SIZES), functools.partial(a_weighted_loss, fft_size=1024)]
)
def test_frequencies_above_max_hz_are_ignored(term):
    """A tone at 19 kHz, where the low-pass of a codec left almost nothing in the target."""
    target = jnp.asarray(noise(7, 1, TIME, 1, level=0.1))
    output = target + jnp.asarray(sine(19_000.0, 0.01) * np.hanning(TIME)[None, :, None], jnp.float32)
    everywhere, below = (float(term(output, target, sample_rate=RATE, max_hz=f)) for f in (22_050.0, 16_000.0))
    assert everywhere > 1e-4
    assert below < 0.02 * everywhere


def test_mismatched_pairs_are_rejected():
    """`check_pair` is called directly: a session with shape checks rejects the call of a loss by its annotations."""
    mono, stereo, surround = (jnp.zeros((1, 3000, channels)) for channels in (1, 2, 6))
    with pytest.raises(ValueError, match=r"target must be of the output's shape \[1, 3000, 1\]; it is \[1, 3000, 2\]"):
        check_pair(mono, stereo, 44_100.0)
    with pytest.raises(ValueError, match=r"fft_sizes must be at least one; it is \(\)"):
        mr_stft_loss(mono, mono, 44_100.0, ())
    with pytest.raises(ValueError, match=r"output and target must be mono or stereo; it is of 6 channels"):
        a_weighted_loss(surround, surround, 44_100.0)
