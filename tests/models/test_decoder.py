"""Equalizer decoders: the closed forms of their maps, their ranges, and the effect of a gate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import response_db
from nmjax.models.decoder import (
    FIVE_BANDS_HZ,
    TEN_BANDS_HZ,
    AdaptiveDecoder,
    ParametricDecoder,
    raw_from_freq,
)
from nmjax.models.mastering_model import render_eq
from nmjax.models.raw_settings import freq_from_raw, hard_gate, nonzero_logit

from . import numpy_models
from .helpers import init_shapes, jit_apply, noise, peak_error_db, random_variables

Z = noise((3, 512), seed=7)
ROUNDING = 1e-6  # of a value in float32
DECODERS = [kind(frequency_map) for kind in (ParametricDecoder, AdaptiveDecoder) for frequency_map in ("log", "linear")]
ADAPTIVE = DECODERS[2]


def decoder_id(decoder):
    return f"{type(decoder).__name__}-{decoder.frequency_map}" if hasattr(decoder, "frequency_map") else None


def decoder_variables(decoder, seed=3):
    return random_variables(init_shapes(decoder, Z), seed)


def constant_heads(variables, **biases):
    """Heads that predict the same for every z: kernels 0, biases as given."""
    params = dict(variables["params"])
    for name, bias in biases.items():
        dense = params[name]["dense"]
        params[name] = {"dense": {"kernel": 0.0 * dense["kernel"], "bias": jnp.full_like(dense["bias"], bias)}}
    return {**variables, "params": params}


@pytest.mark.parametrize("decoder", DECODERS, ids=decoder_id)
def test_equals_the_numpy_reference(decoder):
    variables = decoder_variables(decoder)
    eq, logit = jit_apply(decoder)(variables, Z)
    expected = numpy_models.decoder(variables, Z, decoder.frequency_map)
    for name, values in zip(("freq_hz", "gain_db", "q", "gate"), expected, strict=True):
        np.testing.assert_allclose(getattr(eq, name), values, rtol=2e-5, atol=1e-5, err_msg=name)
    if isinstance(decoder, AdaptiveDecoder):
        np.testing.assert_allclose(numpy_models.sigmoid(np.float64(logit)), expected[3], rtol=2e-5)
    else:
        assert logit is None


def test_frequency_maps_have_their_closed_forms():
    raw = jnp.linspace(-8.0, 8.0, 33)[None]
    fraction = 1.0 / (1.0 + np.exp(-np.float64(raw)))
    np.testing.assert_allclose(freq_from_raw(raw, "log"), 20.0 * 1000.0**fraction, rtol=3e-6)
    np.testing.assert_allclose(freq_from_raw(raw, "linear"), 20.0 + 19_980.0 * fraction, rtol=3e-6)
    middle = jnp.zeros((1, 1))
    np.testing.assert_allclose(freq_from_raw(middle, "log"), np.sqrt(20.0 * 20_000.0), rtol=1e-6)
    np.testing.assert_allclose(freq_from_raw(middle, "linear"), (20.0 + 20_000.0) / 2.0, rtol=1e-6)


@pytest.mark.parametrize("frequency_map", ["log", "linear"])
@pytest.mark.parametrize("freq_hz", [25.0, *FIVE_BANDS_HZ, *TEN_BANDS_HZ, 19_000.0])
def test_raw_of_frequency_is_the_inverse(freq_hz, frequency_map):
    raw = jnp.full((1, 1), raw_from_freq(freq_hz, frequency_map))
    # Near 20 Hz the linear map is so steep that the last bit of a float32 raw value changes the frequency by 1e-4 Hz.
    np.testing.assert_allclose(freq_from_raw(raw, frequency_map), freq_hz, rtol=2e-5)


@pytest.mark.parametrize("decoder", DECODERS, ids=decoder_id)
@pytest.mark.parametrize("raw", [-1e30, -1e4, -20.0, 20.0, 1e4, 1e30])
def test_large_raw_values_reach_the_ends_of_the_ranges(decoder, raw):
    heads = ("frequency", "gain", "q", "gate")[: 4 if isinstance(decoder, AdaptiveDecoder) else 3]
    eq, _ = jit_apply(decoder)(constant_heads(decoder_variables(decoder), **dict.fromkeys(heads, raw)), Z)
    ends = {"freq_hz": (20.0, 20_000.0), "gain_db": (-12.0, 12.0), "q": (0.5, 5.0), "gate": (0.0, 1.0)}
    for name in list(ends)[: len(heads)]:
        np.testing.assert_allclose(getattr(eq, name), ends[name][raw > 0], rtol=ROUNDING * 5, atol=1e-8, err_msg=name)


def test_a_gate_scales_the_rendered_gain():
    variables = decoder_variables(ADAPTIVE)
    eq, _ = jit_apply(ADAPTIVE)(variables, Z)
    freq_hz, gain_db, q, gate = numpy_models.decoder(variables, Z)
    points = np.geomspace(20.0, 20_000.0, 200)
    result = response_db(eq.bands(), jnp.asarray(points, jnp.float32), 44_100)
    for row in range(len(Z)):
        curve = numpy_models.curve_db(freq_hz[row], gain_db[row] * gate[row], q[row], points)
        np.testing.assert_allclose(result[row], curve, atol=2e-3)


def test_a_closed_gate_makes_its_band_transparent():
    audio, eq_of, render = noise((3, 300, 2)), jit_apply(ADAPTIVE), jax.jit(render_eq)
    loud = constant_heads(decoder_variables(ADAPTIVE), gain=1.0)
    closed, _ = eq_of(constant_heads(loud, gate=-1e4), Z)
    assert np.all(np.abs(np.asarray(closed.gain_db)) > 9.0)
    np.testing.assert_array_equal(render(audio, closed), audio)
    almost_closed, _ = eq_of(constant_heads(loud, gate=-5.0), Z)
    assert -50.0 < peak_error_db(render(audio, almost_closed), audio) < 0.0


def test_the_gate_does_not_change_the_other_settings():
    variables = decoder_variables(ADAPTIVE)
    (closed, _), (open_, _) = (jit_apply(ADAPTIVE)(constant_heads(variables, gate=raw), Z) for raw in (-4.0, 4.0))
    for name in ("freq_hz", "gain_db", "q"):
        np.testing.assert_array_equal(getattr(closed, name), getattr(open_, name), err_msg=name)


def test_a_hard_gate_is_a_stretched_sigmoid_with_exact_ends():
    logit = np.linspace(-8.0, 8.0, 65)[None]
    gate = np.asarray(hard_gate(jnp.asarray(logit, jnp.float32)))
    np.testing.assert_allclose(gate, np.clip(1.2 / (1.0 + np.exp(-logit)) - 0.1, 0.0, 1.0), atol=1e-6)
    assert np.all(gate[logit < -2.5] == 0.0)
    assert np.all(gate[logit > 2.5] == 1.0)


@pytest.mark.parametrize("logit", [-3.0, -1.0, 0.0, 2.0])
def test_random_hard_gates_are_open_as_often_as_their_price_says(logit):
    uniform = jnp.asarray(np.random.default_rng(0).uniform(1e-6, 1.0 - 1e-6, (1, 40_000)), jnp.float32)
    logits = jnp.full(uniform.shape, logit)
    share_open = np.mean(np.asarray(hard_gate(logits, uniform)) > 0.0)
    price = 1.0 / (1.0 + np.exp(-float(nonzero_logit(logits)[0, 0])))
    assert abs(share_open - price) < 0.01
    assert price > 1.0 / (1.0 + np.exp(-logit)), "open means not 0, which includes small gates"


def test_hard_gates_are_random_only_where_their_random_numbers_are_given():
    decoder = AdaptiveDecoder(gates="hard")
    variables = constant_heads(decoder_variables(decoder), gate=0.0)
    apply = jax.jit(lambda key: decoder.apply(variables, Z, rngs=None if key is None else {"gates": key})[0].gate)
    np.testing.assert_allclose(apply(None), np.full((3, 10), 0.5), atol=1e-6)
    first, second = (np.asarray(apply(jax.random.key(seed))) for seed in (0, 1))
    assert len(np.unique(first)) > 15
    assert not np.array_equal(first, second)


def test_dropout_acts_after_both_hidden_layers_and_in_training_only():
    """With every hidden value at 1, and the first five passed on to the gains: each survives with probability 0.8²."""
    decoder, eye = ParametricDecoder(dropout=0.2), jnp.eye(256)
    params = jax.tree.map(lambda x: 0.0 * x, decoder_variables(decoder)["params"])
    params["hidden_0"]["bias"] = jnp.ones(256)
    params["hidden_1"]["kernel"], params["gain"]["dense"]["kernel"] = eye, 0.5 * eye[:, :5]
    z = jnp.zeros((2000, 512))
    eq, _ = jit_apply(decoder)({"params": params}, z)
    np.testing.assert_allclose(eq.gain_db, np.full((2000, 5), 12.0 * np.tanh(0.5)), rtol=1e-5)
    eq, _ = decoder.apply({"params": params}, z, True, rngs={"dropout": jax.random.key(0)})
    is_open = np.asarray(eq.gain_db) > 0.0
    np.testing.assert_allclose(eq.gain_db[is_open], 12.0 * np.tanh(0.5 / 0.8**2), rtol=1e-5)
    assert abs(np.mean(is_open) - 0.8**2) < 0.02
