"""Damage: against NumPy's clip and tanh, small signals, shares, and the level of a damaged pair."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from nmjax.config import load_config
from nmjax.dsp.loudness import integrated_loudness
from nmjax.runtime.errors import BadInputError
from nmjax.training.damage import DamageDraws, damage_batch, double_rate, halve_rate, soft_clip
from nmjax.training.degrade import degradation_shapes, normalize_damaged_pair
from nmjax.training.random_inputs import draw_uniforms
from nmjax.training.step import make_pair
from tests.synthetic_audio import music

RATE = 44_100
DAMAGE = load_config("1b", ["small", "damage"]).degrade


def draws(**values):
    uniforms = {
        "occurs": 0.0,
        "drive": 0.5,
        "kind": 0.0,
        "knee": 0.5,
        "offset": 0.0,
        "blend": 0.9,
        "rate": 0.9,
        **values,
    }
    return DamageDraws(**{name: jnp.full((1,), value) for name, value in uniforms.items()})


def signal(seconds=0.5):
    return jnp.asarray(music(seconds)[None], jnp.float32)


@pytest.mark.parametrize("drive", [0.0, 0.5, 1.0])
def test_hard_clipping_is_numpys_clip_at_the_ceiling(drive):
    audio = signal()
    ceiling = np.abs(audio).max() / 10.0 ** (16.0 * drive / 20.0)
    damaged = damage_batch(audio, draws(drive=drive), DAMAGE)
    np.testing.assert_allclose(damaged, np.clip(audio, -ceiling, ceiling), atol=1e-6)


def test_at_twice_the_rate_it_is_the_same_curve_without_aliasing():
    """Against SciPy's resampling, in float64."""
    audio = signal()
    ceiling = np.abs(audio).max() / 10.0 ** (8.0 / 20.0)
    dense = scipy.signal.resample_poly(np.asarray(audio[0], float), 2, 1, window=("kaiser", 12.0))
    expected = scipy.signal.resample_poly(np.clip(dense, -ceiling, ceiling), 1, 2, window=("kaiser", 12.0))
    damaged = damage_batch(audio, draws(rate=0.1), DAMAGE)
    error, reference = (np.abs(np.fft.rfft(x, axis=0))[: len(x) // 3] for x in (damaged[0] - expected, expected))
    assert np.sqrt(np.mean(error**2) / np.mean(reference**2)) < 10.0 ** (-45.0 / 20.0)  # below 14.7 kHz
    aliased = damage_batch(audio, draws(rate=0.9), DAMAGE)
    assert np.abs(aliased - damaged).max() > 0.005


@pytest.mark.parametrize("frequency", [100.0, 1_000.0, 10_000.0, 18_000.0])
def test_twice_and_half_the_rate_keep_a_sine(frequency):
    turn = 2.0 * np.pi * frequency / RATE * np.arange(3_000)
    sine, dense = np.sin(turn)[None, :, None], np.sin(np.arange(6_000) * turn[1] / 2.0)[None, :, None]
    doubled, halved = double_rate(jnp.asarray(sine, jnp.float32)), halve_rate(jnp.asarray(dense, jnp.float32), 3_000)
    np.testing.assert_allclose(doubled[:, 100:-100], dense[:, 100:-100], atol=1e-4)
    np.testing.assert_allclose(halved[:, 100:-100], sine[:, 100:-100], atol=1e-4)


def test_a_blend_keeps_some_of_the_clean_signal_above_the_ceiling():
    audio = signal()
    wet, blended = (damage_batch(audio, draws(drive=1.0, kind=0.9, blend=x), DAMAGE) for x in (0.9, 0.0))
    ceiling = np.abs(audio).max() / 10.0 ** (16.0 / 20.0)
    assert np.abs(wet).max() <= ceiling < 2.0 * ceiling < np.abs(blended).max()
    np.testing.assert_allclose(blended, 0.6 * wet + 0.4 * audio, atol=1e-5)


@pytest.mark.parametrize("knee", [1.5, 2.0, 4.0, 8.0])
def test_soft_clipping_matches_its_formula_and_does_not_overflow(knee):
    x = np.concatenate([np.linspace(-30.0, 30.0, 1001), [0.0, 1e4, -1e30]])
    expected = x / (1.0 + np.abs(np.clip(x, -1e30, 1e30).astype(np.longdouble)) ** knee) ** (1.0 / knee)
    values = soft_clip(jnp.asarray(x, jnp.float32), jnp.float32(knee))
    np.testing.assert_allclose(values, expected.astype(float), atol=2e-6)


def test_an_offset_makes_clipping_asymmetric_and_silence_stays_silent():
    damaged = np.asarray(damage_batch(signal(), draws(offset=0.999), DAMAGE))
    assert damaged.min() < -1.8 * damaged.max() or damaged.max() > 1.8 * -damaged.min()
    silence = jnp.zeros((1, 100, 2))
    np.testing.assert_array_equal(damage_batch(silence, draws(offset=0.9, kind=0.9), DAMAGE), silence)


def test_the_share_that_is_not_damaged_is_bit_identical():
    audio = signal()
    config = DAMAGE.model_copy(update={"damage_prob": 0.25})
    np.testing.assert_array_equal(damage_batch(audio, draws(occurs=0.26), config), audio)
    assert np.abs(damage_batch(audio, draws(occurs=0.24), config) - audio).max() > 0.05


def test_a_damaged_pair_has_the_inputs_gain_and_samples_below_the_ceiling_agree():
    audio = jnp.concatenate([signal(1.0), 0.1 * signal(1.0)])
    damaged = damage_batch(
        audio, DamageDraws(*(jnp.full((2,), x) for x in (0.0, 0.5, 0.0, 0.5, 0.0, 0.9, 0.9))), DAMAGE
    )
    source, target = normalize_damaged_pair(damaged, audio, jnp.array([0.0, 1.0]), RATE)
    np.testing.assert_allclose(integrated_loudness(source, RATE), [-20.0, -19.0], atol=0.01)
    below = np.abs(source) < 0.99 * np.abs(source).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(np.asarray(source)[below], np.asarray(target)[below], atol=1e-6)
    assert (np.abs(target) >= np.abs(source) - 1e-6).all()


def test_a_train_pair_is_damaged_by_its_own_numbers():
    config = load_config("1b", ["small", "damage"])
    uniforms = draw_uniforms(jax.random.key(3), jnp.arange(2), degradation_shapes(config.degrade))
    batch = {"target": jnp.concatenate([signal(1.0)] * 2), "length": jnp.full((2,), RATE)}
    pair = make_pair(batch, uniforms, config)
    assert np.abs(pair.source - pair.target).max() > 0.05
    assert np.abs(pair.source[0] - pair.source[1]).max() > 0.01


def test_without_damage_no_numbers_are_drawn_for_it():
    assert degradation_shapes(load_config("1b").degrade).damage is None


def test_parts_that_do_not_go_together_are_rejected():
    with pytest.raises(BadInputError, match="Phase 2 needs the side"):
        load_config("2", ["damage"])
    with pytest.raises(BadInputError, match=r"model\.residual=curve needs model\.encoder=amplitude"):
        load_config("1b", [], ["model.residual=curve"])


def test_a_minimum_above_the_maximum_is_rejected():
    with pytest.raises(BadInputError, match="min_drive_db"):
        load_config("1b", ["damage"], ["degrade.min_drive_db=17"])
