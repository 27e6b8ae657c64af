"""The loudness difference: its unit is dB of gain, and loudness is clamped to at least −70 LUFS."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm

from nmjax.losses.loudness import lufs_loss

from ..dsp.oracles import noise

RATE, TIME = 44_100.0, 22_050
DISTANCE = jax.jit(functools.partial(lufs_loss, sample_rate=RATE))


def stereo_noise(seed, *levels_db):
    """Stereo noise, each signal at its level, colored by a running sum so that K-weighting matters."""
    white = noise(seed, len(levels_db), TIME, 2)
    colored = white + 0.9 * np.roll(white, 1, axis=1)
    return jnp.asarray(colored * np.float32(10.0) ** (np.array(levels_db, np.float32) / 20)[:, None, None])


def test_loss_matches_pyloudnorm():
    meter = pyloudnorm.Meter(int(RATE), filter_class="DeMan")
    output, target = stereo_noise(1, 0.0, -20.0, 3.0), stereo_noise(2, -6.0, 0.0, 3.0)
    both = [[meter.integrated_loudness(np.asarray(x, np.float64)) for x in batch] for batch in (output, target)]
    np.testing.assert_allclose(DISTANCE(output, target), np.mean(np.abs(np.subtract(*both))), atol=0.01)


def test_a_gain_costs_its_decibels_up_and_down():
    target = stereo_noise(3, 0.0, 0.0, 0.0)
    gains = np.float32(10.0) ** (np.array([6.0, -6.0, 0.0], np.float32) / 20)
    np.testing.assert_allclose(DISTANCE(target * gains[:, None, None], target), 4.0, atol=1e-3)


def test_the_gradient_points_to_the_targets_level():
    """Along the output itself: ±20/ln 10 a signal, over the batch."""
    target = stereo_noise(4, 0.0, 0.0, 0.0)
    output = target * jnp.array([2.0, 0.5, 1.0])[:, None, None]
    slope = jax.jit(jax.grad(DISTANCE))(output, target)
    along = jnp.sum(slope * output, axis=(1, 2))
    np.testing.assert_allclose(along[:2], np.array([1.0, -1.0]) * 20.0 / np.log(10.0) / 3, rtol=1e-4)


def test_silence_is_floored_at_minus_70():
    """The distance to silence is finite, and only the audible signal has a gradient."""
    audible, silent = stereo_noise(5, 0.0, 0.0, 0.0), jnp.zeros((3, TIME, 2))
    distance = DISTANCE(audible, silent)
    np.testing.assert_allclose(DISTANCE(silent, audible), distance, rtol=1e-6)
    meter = pyloudnorm.Meter(int(RATE), filter_class="DeMan")
    expected = np.mean([meter.integrated_loudness(np.asarray(x, np.float64)) + 70.0 for x in audible])
    np.testing.assert_allclose(distance, expected, atol=0.01)
    audible_slope, silent_slope = jax.jit(jax.grad(DISTANCE, argnums=(0, 1)))(audible, silent)
    assert jnp.max(jnp.abs(audible_slope)) > 0.0
    np.testing.assert_array_equal(silent_slope, 0.0)


def test_near_the_targets_level_the_gradient_shrinks_with_the_distance():
    target = stereo_noise(7, 0.0, 0.0, 0.0)
    gains_db = np.array([0.0, 0.25, -0.1], np.float32)
    output = target * jnp.asarray(10.0 ** (gains_db / 20.0))[:, None, None]
    np.testing.assert_allclose(DISTANCE(output, target), np.abs(gains_db).mean(), atol=1e-4)
    along = jnp.sum(jax.jit(jax.grad(DISTANCE))(output, target) * output, axis=(1, 2))
    np.testing.assert_allclose(along, np.array([0.0, 0.5, -0.2]) * 20.0 / np.log(10.0) / 3, atol=1e-3)
