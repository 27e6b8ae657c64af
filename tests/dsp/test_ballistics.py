"""The envelope of attack and release: NumPy by segments and JAX by scanning, against a plain loop over the points."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp.ballistics import Ballistics, ballistics, branching_envelope

STEP_MS = 16e3 / 44_100


def plain_envelope(overshoot, initial, attack_ms, release_ms):
    """Point by point in float64, each step the exact solution for a line from one overshoot to the next."""
    envelope = [initial]
    for before, after in itertools.pairwise(overshoot):
        y = envelope[-1]
        x = STEP_MS / (attack_ms if (before + after) / 2 > y else release_ms)
        slope = (after - before) / x
        # y' = o − y with o = before + slope·t, over t from 0 to x
        envelope.append(after - slope + (y - before + slope) * np.exp(-x))
    return np.array(envelope)


def music_like(points, seed):
    """Overshoots in dB with hits, decays and rests, `[2, points]`."""
    rng = np.random.default_rng(seed)
    hits = np.repeat(rng.uniform(-20.0, 25.0, points // 40 + 1), 40)[:points]
    return np.maximum(np.stack([hits, 0.7 * hits]) + rng.normal(0.0, 3.0, (2, points)), 0.0)


@pytest.mark.parametrize(("attack_ms", "release_ms"), [(0.1, 5.0), (5.0, 100.0), (200.0, 2000.0), (100.0, 20.0)])
@pytest.mark.parametrize("points", [1, 2, 33, 5000])
def test_segments_and_scan_are_the_plain_loop(points, attack_ms, release_ms):
    overshoot = music_like(points, seed=points)
    times = np.array([attack_ms, 0.5 * attack_ms + 0.1]), np.array([release_ms, 2.0 * release_ms])
    initial = np.array([0.0, 7.0])
    expected = np.stack([plain_envelope(*row) for row in zip(overshoot, initial, *times, strict=True)])
    found = branching_envelope(overshoot, initial, ballistics(*times, STEP_MS))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=1e-8)
    scanned = branching_envelope(
        *(jnp.asarray(x, jnp.float32) for x in (overshoot, initial)),
        ballistics(*(jnp.asarray(x, jnp.float32) for x in times), STEP_MS),
    )
    np.testing.assert_allclose(scanned, expected, atol=2e-4)


@pytest.mark.parametrize("overshoot", [np.zeros((1, 900)), np.full((1, 900), 12.0), np.full((1, 900), 1e-9)])
def test_a_constant_overshoot_ends_the_search(overshoot):
    """Attack and release meet at the overshoot itself, where the choice between them is one of rounding."""
    coefficients = ballistics(np.array([10.0]), np.array([100.0]), STEP_MS)
    for initial in (0.0, overshoot[0, 0], 20.0):
        found = branching_envelope(overshoot, np.array([initial]), coefficients)
        np.testing.assert_allclose(found[0], plain_envelope(overshoot[0], initial, 10.0, 100.0), atol=1e-8)


def test_chunks_continue_where_the_last_one_ended():
    overshoot, coefficients = music_like(3000, seed=1)[:1], ballistics(np.array([3.0]), np.array([300.0]), STEP_MS)
    whole = branching_envelope(overshoot, np.zeros(1), coefficients)
    first = branching_envelope(overshoot[:, :1001], np.zeros(1), coefficients)
    second = branching_envelope(overshoot[:, 1000:], first[:, -1], coefficients)
    np.testing.assert_allclose(np.concatenate([first, second[:, 1:]], axis=1), whole, atol=1e-8)


def test_float32_stays_float32():
    coefficients = Ballistics(*(np.float32([x]) for x in (0.1, 0.05, 0.01, 0.005)))
    assert branching_envelope(np.ones((1, 70), np.float32), np.zeros(1, np.float32), coefficients).dtype == np.float32


def test_nan_passes_through_without_a_search():
    overshoot, coefficients = music_like(2000, seed=2)[:1], ballistics(np.array([3.0]), np.array([300.0]), STEP_MS)
    overshoot[0, 700] = np.nan
    found = branching_envelope(overshoot, np.zeros(1), coefficients)[0]
    np.testing.assert_allclose(found[:700], plain_envelope(overshoot[0, :700], 0.0, 3.0, 300.0), atol=1e-8)
    assert np.isnan(found[701])
