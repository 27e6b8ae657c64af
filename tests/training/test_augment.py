"""Augmentation: EQ, mixup and channel swap against closed forms, and pairs that get the same augmentation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import freqz
from scipy.stats import truncnorm

from nmjax.config import load_config
from nmjax.training.augment import (
    AugmentationDraws,
    apply_zero_phase_eq,
    augment_batch,
    augmentation_shapes,
    eq_distribution,
    mixup,
    swap_channels,
)
from nmjax.training.random_inputs import draw_uniforms, normal_from_uniform, per_example
from tests.synthetic_audio import music
from tests.training.tiny_run import smooth_eq_distribution

RATE = 44_100
AUGMENT = load_config("1a").augment


def music_excerpts(count=3, seconds=0.5, channels=2):
    return jnp.asarray(np.stack([music(seconds, channels=channels, seed=i) for i in range(count)]), jnp.float32)


def make_batch(count=3):
    lengths = jnp.asarray([22_050, 10_000, 22_050][:count], jnp.int32)
    return {"target": music_excerpts(count), "length": lengths, "number": jnp.arange(count, dtype=jnp.int32)}


def random_draws(count=3, seed=0):
    return draw_uniforms(jax.random.key(seed), jnp.arange(count), augmentation_shapes(smooth_eq_distribution()))


def fixed_draws(mix=(0.0, 0.0), mix_level=(0.0, 0.0), swap=(0.0, 0.0)):
    eq_curve = jnp.full((len(mix), 8), 0.5)
    return AugmentationDraws(eq_curve, jnp.asarray(mix), jnp.asarray(mix_level), jnp.asarray(swap))


def test_the_zero_phase_eq_has_the_given_gain_and_no_delay():
    centers_hz = np.array([100.0, 400.0, 1600.0, 6400.0])
    gain_db = np.array([[6.0, -3.0, 2.0, -8.0]])
    impulse = np.zeros((1, 32_768, 1), np.float32)
    impulse[0, 16_384] = 1.0
    out = np.asarray(
        apply_zero_phase_eq(jnp.asarray(impulse), jnp.asarray(gain_db, jnp.float32), jnp.asarray(centers_hz), RATE)
    )
    assert np.argmax(np.abs(out[0, :, 0])) == 16_384
    np.testing.assert_allclose(out[0, 16_384 + 1 : 20_000, 0], out[0, 16_383 : 16_384 - 3616 : -1, 0], atol=1e-5)
    query_hz = np.concatenate([centers_hz, [20.0, 200.0, 18_000.0]])
    expected = [6.0, -3.0, 2.0, -8.0, 6.0, 1.5, -8.0]
    result = 20 * np.log10(np.abs(freqz(out[0, :, 0].astype(np.float64), worN=query_hz, fs=RATE)[1]))
    np.testing.assert_allclose(result, expected, atol=0.3)


def test_random_eq_curves_have_the_covariance_of_the_songs():
    uniforms = draw_uniforms(jax.random.key(0), jnp.arange(20_000), per_example(8))
    draws = np.asarray(normal_from_uniform(uniforms))
    curves = draws @ np.asarray(smooth_eq_distribution().covariance_factor).T
    octaves = np.log2(np.geomspace(50.0, 16_000.0, 8))
    expected = 16.0 * np.exp(-0.5 * (octaves[:, None] - octaves[None]) ** 2)
    np.testing.assert_allclose(np.cov(curves.T), truncnorm.var(-2.5, 2.5) * expected, atol=0.5)
    rank_one = eq_distribution(np.array([100.0, 1000.0]), np.array([[4.0, 2.0], [2.0, 1.0]]))
    np.testing.assert_allclose(
        rank_one.covariance_factor @ rank_one.covariance_factor.T, [[4.0, 2.0], [2.0, 1.0]], atol=1e-5
    )


def test_mixup_sums_two_excerpts_at_one_loudness():
    audio = music_excerpts(2, 1.0)
    louder = audio.at[1].multiply(7.0)
    lengths = jnp.array([44_100, 20_000])
    out, new_lengths = mixup(louder, lengths, fixed_draws(mix=(0.1, 0.9), mix_level=(0.5, 0.5)), 0.5, RATE)
    np.testing.assert_array_equal(out[1], louder[1])
    np.testing.assert_array_equal(new_lengths, [44_100, 20_000])
    first, second = (np.asarray(x, np.float64) for x in audio)
    design = np.stack([first.ravel(), second.ravel()], axis=1)
    gains, *_ = np.linalg.lstsq(design, np.asarray(out[0], np.float64).ravel(), rcond=None)
    np.testing.assert_allclose(design @ gains, np.asarray(out[0]).ravel(), atol=1e-4)

    def level_db(x):
        import pyloudnorm

        return pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(x)

    assert level_db(gains[1] * second) - level_db(gains[0] * first) == pytest.approx(-6.0, abs=0.05)
    _, new_lengths = mixup(audio, lengths[::-1], fixed_draws(), 0.5, RATE)
    np.testing.assert_array_equal(new_lengths, [44_100, 44_100])


def test_channels_are_swapped_with_the_set_probability():
    audio = music_excerpts(2)
    out = swap_channels(audio, fixed_draws(swap=(0.2, 0.6)), 0.5)
    np.testing.assert_array_equal(out[0], audio[0, :, ::-1])
    np.testing.assert_array_equal(out[1], audio[1])


def test_disabled_augmentation_is_the_identity_and_pairs_get_the_same():
    off = AUGMENT.model_copy(update=dict.fromkeys(("random_eq", "mixup_prob", "channel_swap_prob"), 0.0))
    same = augment_batch(make_batch(), random_draws(), off, smooth_eq_distribution(), RATE)
    np.testing.assert_array_equal(same["target"], make_batch()["target"])
    on = augment_batch(make_batch(), random_draws(), AUGMENT, smooth_eq_distribution(), RATE)
    assert np.abs(on["target"] - make_batch()["target"]).max() > 0.01
    pair = {**make_batch(), "input": make_batch()["target"]}
    both = augment_batch(pair, random_draws(), AUGMENT, smooth_eq_distribution(), RATE)
    np.testing.assert_array_equal(both["input"], both["target"])
    np.testing.assert_array_equal(both["length"], pair["length"])  # a pair is never mixed
