"""The degradation: each part against a closed form or SciPy, and each excerpt from its own random numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfilt

from nmjax.config import load_config
from nmjax.dsp.loudness import integrated_loudness
from nmjax.training.degrade import (
    apply_eq,
    degradation_shapes,
    degrade_batch,
    expand_dynamics,
    normalize_pair,
    random_eq,
    scale_side,
)
from nmjax.training.random_inputs import draw_uniforms
from tests.synthetic_audio import music

RATE = 44_100
DEGRADE = load_config("1a").degrade


def music_batch(count=3, seconds=0.5, channels=2):
    return jnp.asarray(np.stack([music(seconds, channels=channels, seed=i) for i in range(count)]), jnp.float32)


def random_draws(count=3, seed=0, first=0):
    return draw_uniforms(jax.random.key(seed), first + jnp.arange(count), degradation_shapes(DEGRADE))


def test_each_excerpt_depends_only_on_its_number_and_is_finite():
    audio = music_batch()
    source = degrade_batch(audio, random_draws(), DEGRADE, RATE)
    assert np.isfinite(source).all()
    again = degrade_batch(audio[1:2], random_draws(1, first=1), DEGRADE, RATE)
    np.testing.assert_allclose(again[0], source[1], atol=1e-5)
    assert np.abs(degrade_batch(audio, random_draws(seed=1), DEGRADE, RATE) - source).max() > 0.01


def test_random_inputs_follow_the_configured_distributions():
    config = DEGRADE.model_copy(update={"shelf_std_db": 4.0, "peaking_std_db": 0.0})
    filters = random_eq(random_draws(4000), config, RATE)
    low_db = 20 * np.log10(1.0 + np.asarray(filters.m2[:, 0]))  # gain of the low shelf at 0 Hz
    assert np.std(low_db) == pytest.approx(4.0, rel=0.1)
    assert 9.0 < np.abs(low_db).max() <= 10.0
    assert np.mean(low_db) == pytest.approx(0.0, abs=0.3)
    low_hz = np.arctan(np.asarray(filters.g[:, 0]) * 10 ** (low_db / 80)) / np.pi * RATE
    assert low_hz.min() >= 59.9
    assert low_hz.max() <= 400.1
    assert np.median(low_hz) == pytest.approx(np.sqrt(60 * 400), rel=0.1)


def test_no_degradation_is_bit_identical():
    no_degradation = DEGRADE.model_copy(
        update=dict.fromkeys(("shelf_std_db", "peaking_std_db", "expansion", "side_std_db"), 0.0)
    )
    mono = music_batch(channels=1)
    np.testing.assert_array_equal(degrade_batch(mono, random_draws(), no_degradation, RATE), mono)


def biquad(kind, freq_hz, gain_db, q):
    """RBJ's cookbook in float64."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * freq_hz / RATE
    alpha, c, s = np.sin(w) / (2 * q), np.cos(w), 1.0 if kind == "low" else -1.0
    if kind == "peaking":
        b, d = [1 + alpha * a, -2 * c, 1 - alpha * a], [1 + alpha / a, -2 * c, 1 - alpha / a]
    else:
        root = 2 * np.sqrt(a) * alpha
        b = [a * (a + 1 - s * (a - 1) * c + root), s * 2 * a * (a - 1 - s * (a + 1) * c)]
        b += [a * (a + 1 - s * (a - 1) * c - root)]
        d = [a + 1 + s * (a - 1) * c + root, -s * 2 * (a - 1 + s * (a + 1) * c), a + 1 + s * (a - 1) * c - root]
    return np.concatenate([b, d]) / d[0]


def test_random_eq_matches_scipy(monkeypatch):
    sections = []
    for kind, name in (("low", "low_shelf"), ("high", "high_shelf"), ("peaking", "peaking")):
        real = getattr(__import__("nmjax.training.degrade", fromlist=["x"]), name)

        def spy(freq_hz, gain_db, q, rate, kind=kind, real=real):
            values = (np.asarray(x, np.float64)[0] for x in (freq_hz, gain_db, q))
            sections.extend(biquad(kind, *row) for row in zip(*values, strict=True))
            return real(freq_hz, gain_db, q, rate)

        monkeypatch.setattr(f"nmjax.training.degrade.{name}", spy)
    audio = music_batch(1)
    config = DEGRADE.model_copy(update={"shelf_std_db": 6.0, "peaking_std_db": 4.0})
    filters = random_eq(random_draws(1), config, RATE)
    assert len(sections) == 5
    expected = sosfilt(np.stack(sections), np.asarray(audio[0], np.float64), axis=0)
    assert np.abs(apply_eq(audio, filters)[0] - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("exponent", [-0.25, 0.25])
def test_dynamics_scale_the_level_difference_of_loud_and_quiet_sections(exponent):
    noise = np.random.default_rng(0).standard_normal((2 * RATE, 1)) * 0.1
    noise[RATE:] *= 10 ** (-12 / 20)
    out = np.asarray(expand_dynamics(jnp.asarray(noise[None], jnp.float32), jnp.array([exponent])))[0]

    def level_db(x, start):
        return 10 * np.log10(np.mean(x[start : start + RATE // 2] ** 2))

    loud, quiet = RATE // 4, RATE + RATE // 4
    before = level_db(noise, loud) - level_db(noise, quiet)
    after = level_db(out, loud) - level_db(out, quiet)
    assert after == pytest.approx(before * (1 + exponent), abs=0.3)
    np.testing.assert_array_equal(expand_dynamics(jnp.zeros((1, 1000, 2)), jnp.array([exponent])), 0.0)


def test_width_scales_the_side_alone():
    audio = np.asarray(music_batch(2))
    out = np.asarray(scale_side(jnp.asarray(audio), jnp.array([6.0, -6.0])))
    np.testing.assert_allclose(out.sum(axis=2), audio.sum(axis=2), atol=1e-6)
    factor = 10 ** (np.array([6.0, -6.0]) / 20)
    np.testing.assert_allclose(out[..., 0] - out[..., 1], factor[:, None] * (audio[..., 0] - audio[..., 1]), atol=1e-5)


def test_source_and_target_reach_the_model_level_and_offset():
    audio = music_batch(2, 1.0)
    source, target = normalize_pair(audio, 0.1 * audio, jnp.array([0.0, 3.0]), RATE)
    for audio in (source, target):
        np.testing.assert_allclose(integrated_loudness(audio, RATE), [-20.0, -17.0], atol=1e-3)
    silent, _ = normalize_pair(jnp.zeros((1, RATE, 2)), target[:1], jnp.zeros(1), RATE)
    np.testing.assert_array_equal(silent, 0.0)
