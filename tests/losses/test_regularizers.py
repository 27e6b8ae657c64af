"""Regularizers against float64 NumPy, also at the ends of their ranges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.losses.regularizers import gain_l1, gate_entropy, gate_l1, neutrality, q_deviation

RNG = np.random.default_rng(1)
GAIN_DB, Q, LOGIT = (RNG.uniform(*ends, (4, 10)).astype(np.float32) for ends in ((-12, 12), (0.5, 5), (-6, 6)))


def entropy(logit):
    """−(w ln w + (1 − w) ln(1 − w)) in nats, float64; both logarithms from the logit, finite at any logit."""
    w, other = (1.0 / (1.0 + np.exp(-sign * np.asarray(logit, np.float64))) for sign in (1, -1))
    return w * np.logaddexp(0.0, -np.asarray(logit, np.float64)) + other * np.logaddexp(0.0, logit)


ORACLES = {
    "gain": (gain_l1, GAIN_DB, lambda g: np.mean(np.sqrt(g * g + 0.01) - 0.1)),
    "neutrality": (neutrality, LOGIT / 6.0, lambda p: np.mean(np.sqrt(p * p + 1e-4) - 0.01)),
    "q": (q_deviation, Q, lambda q: np.mean((q - 1.0) ** 2)),
    "gate_l1": (gate_l1, LOGIT, lambda x: np.mean(np.sum(1.0 / (1.0 + np.exp(-x)), axis=1))),
    "entropy": (gate_entropy, LOGIT, lambda x: np.mean(np.sum(entropy(x), axis=1))),
}
every_term = pytest.mark.parametrize("term, values, oracle", ORACLES.values(), ids=ORACLES.keys())


@every_term
def test_value_matches_numpy(term, values, oracle):
    np.testing.assert_allclose(term(jnp.asarray(values)), oracle(values.astype(np.float64)), rtol=1e-5)


@every_term
def test_the_gradient_is_the_finite_difference(term, values, oracle):
    slope = np.asarray(jax.grad(term)(jnp.asarray(values)), np.float64)
    values, step = values.astype(np.float64), 1e-6
    for position in [(0, 0), (1, 7), (3, 9)]:
        nudge = np.zeros_like(values)
        nudge[position] = step
        reference = (oracle(values + nudge) - oracle(values - nudge)) / (2 * step)
        np.testing.assert_allclose(slope[position], reference, rtol=1e-4, atol=1e-8)


@every_term
def test_a_batchs_value_is_the_mean_of_its_rows(term, values, oracle):
    rows = [term(jnp.asarray(values[i : i + 1])) for i in range(4)]
    np.testing.assert_allclose(term(jnp.asarray(values)), np.mean(rows), rtol=1e-6)


def test_the_identity_has_zero_cost_and_gradient():
    """All gains zero and Q 1 is where training starts; ‖gain‖₂ would give NaN there."""
    for term, values in [
        (gain_l1, jnp.zeros((2, 5))),
        (q_deviation, jnp.ones((2, 5))),
        (neutrality, jnp.zeros((2, 5))),
    ]:
        value, slope = jax.value_and_grad(term)(values)
        assert value == 0.0
        np.testing.assert_array_equal(slope, 0.0)


@pytest.mark.parametrize("logit", [-100.0, -20.0, -8.0, 0.0, 8.0, 20.0, 100.0])
def test_saturated_gates_have_a_finite_entropy_and_gradient(logit):
    value, slope = jax.value_and_grad(gate_entropy)(jnp.full((2, 10), logit))
    np.testing.assert_allclose(value, 10.0 * entropy(logit), rtol=1e-5, atol=1e-6)
    expected = -logit * 1.0 / (1.0 + np.exp(-logit)) / (1.0 + np.exp(logit)) / 2  # dH/dl = −l·w·(1 − w), mean over 2
    np.testing.assert_allclose(slope, np.full((2, 10), expected), rtol=1e-3, atol=1e-7)


def test_a_half_open_gate_has_the_highest_entropy():
    """ln 2 a gate at one half, falling to both sides alike."""
    np.testing.assert_allclose(gate_entropy(jnp.zeros((3, 10))), 10.0 * np.log(2.0), rtol=1e-6)
    costs = np.array([gate_entropy(jnp.full((1, 1), x)) for x in (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)])
    assert np.all(np.diff(costs) < 0.0)
    mirrored = np.array([gate_entropy(jnp.full((1, 1), -x)) for x in (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)])
    np.testing.assert_allclose(mirrored, costs, rtol=1e-3)


@pytest.mark.parametrize("logit", [-100.0, -20.0, 20.0, 100.0])
def test_saturated_gates_have_a_finite_sum(logit):
    value, slope = jax.value_and_grad(gate_l1)(jnp.full((2, 10), logit))
    np.testing.assert_allclose(value, 10.0 if logit > 0 else 0.0, atol=1e-6)
    np.testing.assert_allclose(slope, 0.0, atol=1e-8)
