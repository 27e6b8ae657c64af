"""The weighted sums; value and gradient are finite where plain formulas give NaN."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.config import LossConfig
from nmjax.losses import regularization, signal_loss
from nmjax.losses.loudness import lufs_loss
from nmjax.losses.regularizers import gain_l1, gate_entropy, gate_l1, q_deviation
from nmjax.losses.spectral import a_weighted_loss, mr_stft_loss

from ..dsp.oracles import noise

RATE, TIME = 44_100.0, 17_640  # 400 ms: loudness measures one block
CONFIG = LossConfig(
    mr_stft=0.7,
    a_weighted=1.3,
    lufs=0.11,
    eq_response=0.0,
    relative_error=0.0,
    gain=0.017,
    q=0.023,
    gate_l1=0.031,
    gate_entropy=0.041,
    neutrality=0.02,
    gate_l1_warmup_steps=10,
    max_hz=9000.0,
    segment_seconds=0.0,
    match_level=False,
    fft_sizes=(256, 1024),
)
LEVEL_MATCHED = CONFIG.model_copy(update={"match_level": True})
SIGNAL_LOSS = jax.jit(functools.partial(signal_loss, sample_rate=RATE, config=CONFIG))
GRADIENTS = jax.jit(jax.grad(lambda y, t: signal_loss(y, t, RATE, CONFIG)[0], argnums=(0, 1)))


def settings(gain_db, q, gate_logit=None):
    """Gain, Q and gates' logits of five bands."""
    values = (gain_db, q, gate_logit)
    return tuple(None if value is None else jnp.full((2, 5), value) for value in values)


def signals(channels):
    """Extreme signals, `[case, time, channel]`."""
    t = np.arange(TIME)
    music = noise(1, TIME)
    one = np.where(t == 9000, 1.0, 0.0)
    square = np.clip(9.0 * np.sin(2 * np.pi * 50.0 * t / RATE), -1.0, 1.0)
    largest, smallest = np.finfo(np.float32).max * np.sign(square), np.finfo(np.float32).smallest_subnormal * one
    cases = [np.zeros(TIME), one, square, np.ones(TIME), 1e-20 * music, 1e3 * music, music, largest, smallest]
    cases = np.stack(cases)
    return jnp.asarray(np.stack([cases, 0.5 * cases[:, ::-1]], axis=2)[..., :channels], jnp.float32)


def test_the_signal_loss_is_the_weighted_sum_of_its_named_terms():
    output, target = jnp.asarray(noise(2, 2, TIME, 2)), jnp.asarray(noise(3, 2, TIME, 2, level=0.2))
    total, terms = SIGNAL_LOSS(output, target)
    expected = {
        "mr_stft": mr_stft_loss(output, target, RATE, (256, 1024), 9000.0),
        "a_weighted": a_weighted_loss(output, target, RATE, max_hz=9000.0),
        "lufs": lufs_loss(output, target, RATE),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5)
    weighted = 0.7 * expected["mr_stft"] + 1.3 * expected["a_weighted"] + 0.11 * expected["lufs"]
    np.testing.assert_allclose(total, weighted, rtol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_regularization_is_the_weighted_sum_and_gate_l1_warms_up(share):
    total, terms = regularization(*settings(3.0, 2.5, 0.8), CONFIG, jnp.array(share))
    bands, logit = jnp.ones((2, 5)), jnp.full((2, 5), 0.8)
    expected = {
        "gain": gain_l1(3.0 * bands),
        "q": q_deviation(2.5 * bands),
        "gate_l1": gate_l1(logit),
        "gate_entropy": gate_entropy(logit),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6)
    weights = {"gain": 0.017, "q": 0.023, "gate_l1": 0.031 * share, "gate_entropy": 0.041}
    np.testing.assert_allclose(total, sum(w * expected[name] for name, w in weights.items()), rtol=1e-6)


def test_without_gates_only_gain_and_q_are_regularized():
    total, terms = regularization(*settings(3.0, 2.5), CONFIG, jnp.array(1.0))
    assert terms.keys() == {"gain", "q"}
    np.testing.assert_allclose(total, 0.017 * terms["gain"] + 0.023 * terms["q"], rtol=1e-6)


@pytest.mark.parametrize("logit", [-100.0, -20.0, 20.0, 100.0, None])
def test_regularization_is_finite_at_the_identity_and_at_saturated_gates(logit):
    def total(given):
        return regularization(*given, CONFIG, jnp.array(1.0))[0]

    value, slope = jax.value_and_grad(total)(settings(0.0, 1.0, logit))
    assert np.isfinite(value)
    for leaf in jax.tree.leaves(slope):
        np.testing.assert_allclose(leaf, 0.0, atol=1e-6)  # every term rests there


@pytest.mark.parametrize("channels", [1, 2])
def test_value_and_gradient_are_finite_for_every_pair_of_extremes(channels):
    """In all pairs of a batch; the gradient is checked per signal, so a NaN is attributed to its own pair."""
    every = signals(channels)
    for shift in range(len(every)):  # shift 0 is output equal to target
        output, target = every, jnp.roll(every, shift, axis=0)
        total, terms = SIGNAL_LOSS(output, target)
        assert np.isfinite(total), (shift, terms)
        for slope in GRADIENTS(output, target):
            bad = np.flatnonzero(~np.all(np.isfinite(slope), axis=(1, 2)))
            assert not len(bad), (shift, bad)


def test_output_equal_to_target_costs_nothing():
    every = signals(2)
    assert SIGNAL_LOSS(every, every)[0] == 0.0


@pytest.mark.parametrize("time", [1, 300])
def test_shorter_than_every_window_is_finite(time):
    pairs = [(0.0, 0.5), (0.5, 0.0), (0.5, 0.5), (1.0, -0.3)]
    for output, target in pairs:
        y, t = (jnp.full((1, time, 2), x) for x in (output, target))
        total, _ = SIGNAL_LOSS(y, t)
        assert np.isfinite(total)
        assert np.isfinite(GRADIENTS(y, t)).all()
        assert (total == 0.0) == (output == target)


def test_at_the_targets_level_a_gain_is_no_error_but_in_loudness():
    target = jnp.asarray(0.1 * noise(1, TIME), jnp.float32)[None, :, None]
    other = target + 0.05 * jnp.asarray(noise(2, TIME), jnp.float32)[None, :, None]

    def terms_of(config):
        return jax.jit(lambda gain: signal_loss(gain * other, target, RATE, config)[1])

    def slope_of(config):
        return jax.jit(jax.grad(lambda gain: signal_loss(gain * other, target, RATE, config)[1]["mr_stft"]))

    matched_terms = terms_of(LEVEL_MATCHED)
    terms, same, unmatched = matched_terms(2.0), matched_terms(1.0), terms_of(CONFIG)(2.0)
    for name in ("mr_stft", "a_weighted"):
        np.testing.assert_allclose(terms[name], same[name], rtol=1e-4)
        assert unmatched[name] > 1.2 * terms[name]
    np.testing.assert_allclose(terms["lufs"], same["lufs"] + 20.0 * np.log10(2.0), atol=1e-3)
    assert abs(slope_of(LEVEL_MATCHED)(1.0)) < 1e-3 < abs(slope_of(CONFIG)(1.0))


@pytest.mark.parametrize("channels", [1, 2])
def test_at_the_targets_level_value_and_gradient_are_finite_for_extremes(channels):
    cases = signals(channels)
    value, slope = level_matched_value_and_gradient(cases, jnp.broadcast_to(cases[6], cases.shape))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


@jax.jit
@functools.partial(jax.vmap, in_axes=(0, 0))
def level_matched_value_and_gradient(output, target):
    """Value and gradient of each pair as a batch of its own."""
    return jax.value_and_grad(lambda y: signal_loss(y[None], target[None], RATE, LEVEL_MATCHED)[0])(output)
