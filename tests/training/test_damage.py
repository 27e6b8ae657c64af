"""Damage: against NumPy's clip and tanh, small signals, shares, and the level of a damaged pair."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import load_config
from nmjax.dsp.loudness import integrated_loudness
from nmjax.runtime.errors import BadInputError
from nmjax.training.damage import DamageDraws, damage_batch, soft_clip
from nmjax.training.degrade import degradation_shapes, normalize_damaged_pair
from nmjax.training.random_inputs import draw_uniforms
from nmjax.training.step import make_pair
from tests.synthetic_audio import music

RATE = 44_100
DAMAGE = load_config("1b", ["small", "damage"]).degrade


def draws(**values):
    uniforms = {"occurs": 0.0, "drive": 0.5, "kind": 0.0, "knee": 0.5, "offset": 0.0, **values}
    return DamageDraws(**{name: jnp.full((1,), value) for name, value in uniforms.items()})


def signal(seconds=0.5):
    return jnp.asarray(music(seconds)[None], jnp.float32)


@pytest.mark.parametrize("drive", [0.0, 0.5, 1.0])
def test_hard_clipping_is_numpys_clip_at_the_ceiling(drive):
    audio = signal()
    ceiling = np.abs(audio).max() / 10.0 ** ((7.0 + 7.0 * drive) / 20.0)
    damaged = damage_batch(audio, draws(drive=drive), DAMAGE)
    np.testing.assert_allclose(damaged, np.clip(audio, -ceiling, ceiling), atol=1e-6)


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
    damaged = damage_batch(audio, DamageDraws(*(jnp.full((2,), x) for x in (0.0, 0.5, 0.0, 0.5, 0.0))), DAMAGE)
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


def test_a_minimum_above_the_maximum_is_rejected():
    with pytest.raises(BadInputError, match="min_drive_db"):
        load_config("1b", ["damage"], ["degrade.min_drive_db=15"])
