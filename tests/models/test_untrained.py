"""Untrained, every phase is the identity to the bit, and its bands stand at their places."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import PHASES
from nmjax.models.decoder import AdaptiveDecoder, ParametricDecoder
from nmjax.models.phases import GATED

from .helpers import apart_db, compiled, noise, untrained

# Every length once with one channel and once with two, in phase 1b or 2, which have what the other two have.
LENGTHS = [(1, 1), (7, 2), (100, 1), (1001, 2)]
CASES = [
    pytest.param(phase, *case, marks=[pytest.mark.slow] if phase in ("1a", "1c") and case != (7, 2) else [])
    for phase in PHASES
    for case in LENGTHS
]
FIVE, TEN = [62, 250, 1000, 4000, 12000], 40 * 350 ** (np.arange(10) / 9)
PLACES = {"1a": FIVE, "1b": FIVE, "1c": TEN, "2": TEN}


@pytest.mark.parametrize(("phase", "time", "channels"), CASES)
def test_an_untrained_phase_is_the_identity_to_the_bit(phase, time, channels):
    model, variables = untrained(phase)
    channels = 3 - channels if phase == "1b" else channels
    audio = noise((2, time, channels), seed=time)
    output, _ = compiled(model)(variables, audio)
    np.testing.assert_array_equal(np.asarray(output).view(np.uint32), np.asarray(audio).view(np.uint32))


@pytest.mark.parametrize("phase", PHASES)
def test_untrained_bands_stand_at_their_places(phase):
    model, variables = untrained(phase)
    audio = noise((2, 100, 2 if phase == "1b" else 1), seed=100)
    _, prediction = compiled(model)(variables, audio)
    eq, bands = prediction.settings.eq, (2, len(PLACES[phase]))
    np.testing.assert_allclose(eq.freq_hz, np.broadcast_to(PLACES[phase], bands), rtol=1e-6)
    np.testing.assert_array_equal(eq.gain_db, np.zeros(bands))
    np.testing.assert_allclose(eq.q, np.ones(bands), rtol=1e-6)
    gate = 1.0 / (1.0 + np.exp(-2.0)) if phase in GATED else 1.0
    np.testing.assert_allclose(eq.gate, np.full(bands, gate), rtol=1e-6)
    np.testing.assert_array_equal(prediction.settings.input_gain_db, np.zeros(2))


def test_z_hears_the_signal_though_the_output_does_not_change():
    """The identity is that of the heads, not of a dead encoder."""
    model, variables = untrained("1a")
    _, prediction = compiled(model)(variables, noise((2, 100, 1), seed=100))
    assert apart_db(prediction.z[0], prediction.z[1]) > -60.0


@pytest.mark.parametrize("kind", [ParametricDecoder, AdaptiveDecoder])
def test_bands_start_at_their_places_in_the_linear_map_too(kind):
    decoder, z = kind("linear"), noise((2, 512))
    eq, _ = compiled(decoder)(decoder.init(jax.random.key(0), z), z)
    places = PLACES["1c" if kind is AdaptiveDecoder else "1a"]
    np.testing.assert_allclose(eq.freq_hz, np.broadcast_to(places, eq.freq_hz.shape), rtol=3e-6)
    np.testing.assert_array_equal(eq.gain_db, jnp.zeros_like(eq.gain_db))


def test_film_starts_near_the_identity():
    """The kernels are small: for z of unit size gamma lies around 1 and beta around 0, and neither is dead."""
    _, variables = untrained("1b")
    z = np.asarray(noise((200, 512)), np.float64)
    for name, block in variables["params"]["residual"].items():
        if name == "out":
            assert not np.any(block["kernel"]) and not np.any(block["bias"])
            continue
        for layer, start in (("gamma", 1.0), ("beta", 0.0)):
            values = z @ np.asarray(block[layer]["kernel"], np.float64) + np.asarray(block[layer]["bias"], np.float64)
            assert 0.02 < np.max(np.abs(values - start)) < 0.6, (name, layer)
