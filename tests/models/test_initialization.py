"""Untrained, every phase is bit-identical to its input, and its bands have their initial frequencies."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.models import PHASES
from nmjax.models.decoder import AdaptiveDecoder, ParametricDecoder

from .helpers import init_phase, jit_apply, noise, peak_error_db

# Every length once with one channel and once with two, in phase 1b or 2, which contain the modules of 1a and 1c.
LENGTHS = [(1, 1), (7, 2), (100, 1), (1001, 2)]
CASES = [
    pytest.param(phase, *case, marks=[pytest.mark.slow] if phase in ("1a", "1c") and case != (7, 2) else [])
    for phase in PHASES
    for case in LENGTHS
]
FIVE_FREQ_HZ, TEN_FREQ_HZ = [62, 250, 1000, 4000, 12000], 40 * 350 ** (np.arange(10) / 9)
BAND_FREQ_HZ = {"1a": FIVE_FREQ_HZ, "1b": FIVE_FREQ_HZ, "1c": TEN_FREQ_HZ, "2": TEN_FREQ_HZ}


@pytest.mark.parametrize(("phase", "time", "channels"), CASES)
def test_an_untrained_phase_is_bit_identical(phase, time, channels):
    model, variables = init_phase(phase)
    channels = 3 - channels if phase == "1b" else channels
    audio = noise((2, time, channels), seed=time)
    output, _ = jit_apply(model)(variables, audio)
    np.testing.assert_array_equal(np.asarray(output).view(np.uint32), np.asarray(audio).view(np.uint32))


@pytest.mark.parametrize("phase", PHASES)
def test_untrained_bands_have_their_initial_frequencies(phase):
    model, variables = init_phase(phase)
    audio = noise((2, 100, 2 if phase == "1b" else 1), seed=100)
    _, prediction = jit_apply(model)(variables, audio)
    eq, bands = prediction.settings.eq, (2, len(BAND_FREQ_HZ[phase]))
    np.testing.assert_allclose(eq.freq_hz, np.broadcast_to(BAND_FREQ_HZ[phase], bands), rtol=1e-6)
    np.testing.assert_array_equal(eq.gain_db, np.zeros(bands))
    np.testing.assert_allclose(eq.q, np.ones(bands), rtol=1e-6)
    gate = 1.0 / (1.0 + np.exp(-2.0)) if PHASES[phase].has_gates else 1.0
    np.testing.assert_allclose(eq.gate, np.full(bands, gate), rtol=1e-6)
    np.testing.assert_array_equal(prediction.settings.input_gain_db, np.zeros(2))


def test_z_depends_on_the_signal_though_the_output_is_the_identity():
    """The heads make the output the identity, not a dead encoder."""
    model, variables = init_phase("1a")
    _, prediction = jit_apply(model)(variables, noise((2, 100, 1), seed=100))
    assert peak_error_db(prediction.z[0], prediction.z[1]) > -60.0


@pytest.mark.parametrize("kind", [ParametricDecoder, AdaptiveDecoder])
def test_initial_frequencies_with_the_linear_map(kind):
    decoder, z = kind("linear"), noise((2, 512))
    eq, _ = jit_apply(decoder)(decoder.init(jax.random.key(0), z), z)
    positions = BAND_FREQ_HZ["1c" if kind is AdaptiveDecoder else "1a"]
    np.testing.assert_allclose(eq.freq_hz, np.broadcast_to(positions, eq.freq_hz.shape), rtol=3e-6)
    np.testing.assert_array_equal(eq.gain_db, jnp.zeros_like(eq.gain_db))


def test_film_starts_near_the_identity():
    """The kernels are small: for z of unit variance gamma is near 1 and beta near 0, and both depend on z."""
    _, variables = init_phase("1b")
    z = np.asarray(noise((200, 512)), np.float64)
    for name, block in variables["params"]["residual"].items():
        if name == "out":
            assert not np.any(block["kernel"]) and not np.any(block["bias"])
            continue
        for layer, start in (("gamma", 1.0), ("beta", 0.0)):
            values = z @ np.asarray(block[layer]["kernel"], np.float64) + np.asarray(block[layer]["bias"], np.float64)
            assert 0.02 < np.max(np.abs(values - start)) < 0.6, (name, layer)
