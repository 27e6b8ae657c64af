"""Stereo width: SciPy's biquad in float64, streaming, neutral settings, and the level of the mono sum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Width, mono_compatibility_db, widen

from .oracles import cookbook_sos, error_db, noise, sosfilt_batch

RATE = 44_100.0
RENDER = jax.jit(widen, static_argnums=(2, 4))


def width(low, high, dtype=jnp.float32):
    return Width(*(jnp.asarray(np.atleast_1d(x), dtype) for x in (low, high)))


def scipy_reference(audio, low, high, rate=RATE, crossover_hz=200.0):
    """The side in two bands, SciPy's low-pass and the rest, in float64."""
    audio = np.asarray(audio, np.float64)
    middle, side = (audio[..., :1] + audio[..., 1:]) / 2, (audio[..., :1] - audio[..., 1:]) / 2
    sos = np.stack([cookbook_sos("low_pass", crossover_hz, 0.5, rate)[None]] * len(audio))
    below = sosfilt_batch(side, sos)
    low, high = (np.asarray(x)[:, None, None] for x in (low, high))
    side = low * below + high * (side - below)
    return np.concatenate([middle + side, middle - side], axis=2)


@pytest.mark.parametrize("rate, crossover_hz", [(8_000.0, 200.0), (RATE, 700.0), (192_000.0, 200.0)])
def test_the_side_is_filtered_as_by_scipy(rate, crossover_hz):
    audio, low, high = noise(1, 2, 3000, 2), [0.2, 1.6], [1.5, 0.7]
    y, _ = RENDER(audio, width(low, high), rate, None, crossover_hz)
    assert error_db(y, scipy_reference(audio, low, high, rate, crossover_hz)) <= -115.0


def test_float64_matches_scipy_to_rounding():
    with jax.enable_x64(True):
        audio = jnp.asarray(noise(1, 1, 3000, 2), jnp.float64)
        y, _ = RENDER(audio, width(0.0, 2.0, jnp.float64), RATE)
        assert y.dtype == jnp.float64
        assert error_db(y, scipy_reference(audio, [0.0], [2.0])) <= -230.0


def test_neutral_is_bit_identical_and_has_a_gradient():
    audio = jnp.asarray(noise(2, 1, 2000, 2))
    y, _ = RENDER(audio, width(1.0, 1.0), RATE)
    np.testing.assert_array_equal(y, audio)
    slope = jax.jit(jax.grad(lambda s: jnp.sum(widen(audio, s, RATE)[0] ** 2)))(width(1.0, 1.0))
    assert abs(slope.low[0]) > 1e-3
    assert abs(slope.high[0]) > 1e-3


def test_mono_stays_mono():
    one = noise(3, 1, 500, 1)
    np.testing.assert_array_equal(RENDER(one, width(0.3, 1.7), RATE)[0], one)
    both = np.repeat(one, 2, axis=2)
    np.testing.assert_array_equal(RENDER(both, width(0.3, 1.7), RATE)[0], both)
    five = noise(4, 1, 500, 5)
    np.testing.assert_array_equal(RENDER(five, width(0.3, 1.7), RATE)[0], five)


def test_zero_width_is_mono():
    y, _ = RENDER(noise(5, 1, 500, 2), width(0.0, 0.0), RATE)
    np.testing.assert_allclose(y[..., 0], y[..., 1], atol=1e-7)


@pytest.mark.parametrize("size", [1, 128])
def test_streaming_equals_one_call(size):
    audio, settings = noise(6, 2, 1280 if size > 1 else 40, 2), width([0.2, 1.6], [1.5, 0.7])
    whole, last = RENDER(audio, settings, RATE)
    state, parts = None, []
    for start in range(0, audio.shape[1], size):
        y, state = RENDER(audio[:, start : start + size], settings, RATE, state)
        parts.append(np.asarray(y))
    assert error_db(np.concatenate(parts, axis=1), whole) <= -110.0
    assert error_db(state, last) <= -105.0


@jax.jit
def loss(settings, audio):
    y, _ = widen(audio, settings, RATE)
    return jnp.sum(jnp.asarray(noise(7, *y.shape), y.dtype) * y)


GRADIENTS = jax.jit(jax.grad(loss, argnums=(0, 1)))


@pytest.mark.parametrize("name", ["low", "high"])
def test_the_gradient_is_the_finite_difference(name):
    with jax.enable_x64(True):
        audio, at = jnp.asarray(noise(8, 1, 800, 2), jnp.float64), {"low": 0.4, "high": 1.3}
        slope = float(getattr(GRADIENTS(width(**at, dtype=jnp.float64), audio)[0], name)[0])
        ends = [loss(width(**at | {name: at[name] + h}, dtype=jnp.float64), audio) for h in (1e-4, -1e-4)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-4, rtol=1e-7)
        assert abs(slope) > 1e-5


@pytest.mark.parametrize("audio", [np.zeros((1, 64, 2)), np.ones((1, 1, 2)), np.sign(noise(9, 1, 300, 2))])
def test_value_and_gradient_are_finite(audio):
    audio = jnp.asarray(audio, jnp.float32)
    for x in jax.tree.leaves((loss(width(0.0, 2.0), audio), GRADIENTS(width(0.0, 2.0), audio))):
        assert np.all(np.isfinite(x))


def test_the_level_of_the_mono_sum():
    left, right = noise(10, 1, 100_000, 1), noise(11, 1, 100_000, 1)
    pairs = [(0.0, left, left), (-3.0103, left, right), (-3.0103, left, 0.0 * left), (-0.9691, left, left / 3)]
    for expected, *pair in pairs:
        result = mono_compatibility_db(jnp.asarray(np.concatenate(pair, axis=2)))[0]
        np.testing.assert_allclose(result, expected, atol=0.05)
    assert mono_compatibility_db(jnp.asarray(np.concatenate([left, -left], axis=2)))[0] == -np.inf
    assert mono_compatibility_db(jnp.zeros((1, 10, 2)))[0] == 0.0
    assert mono_compatibility_db(jnp.asarray(left))[0] == 0.0


def test_invalid_settings_are_reported():
    audio = jnp.zeros((1, 10, 2))
    with pytest.raises(ValueError, match=r"low must be from 0 to 2; it is 2.5"):
        widen(audio, width(2.5, 1.0), RATE)
    with pytest.raises(ValueError, match=r"high must be one value a signal, \[1\]; it is of shape \[2\]"):
        widen(audio, width(1.0, [1.0, 1.0]), RATE)
    with pytest.raises(ValueError, match=r"crossover_hz must be above 0 and below half the rate \(22050 Hz\); it is 0"):
        widen(audio, width(1.0, 1.0), RATE, None, 0.0)


def test_numpy_arrays_need_no_compiled_program():
    audio = noise(11, 2, 3000, 2).astype(np.float64)
    settings = Width(np.array([0.3, 1.5]), np.array([1.8, 0.0]))
    first, state = widen(audio[:, :999], settings, 44_100.0)
    second, _ = widen(audio[:, 999:], settings, 44_100.0, state)
    found = np.concatenate([first, second], axis=1)
    rows = Width(*(jnp.asarray(x, jnp.float32) for x in (settings.low, settings.high)))
    expected, _ = widen(jnp.asarray(audio, jnp.float32), rows, 44_100.0)
    assert isinstance(found, np.ndarray) and found.dtype == np.float64
    assert error_db(found, np.asarray(expected)) <= -115.0
