"""Accuracy of float32: the worst of many random cascades on noise against SciPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nmjax.dsp import Bands, equalize

from .oracles import error_db, noise, peaking_sos, random_bands, sosfilt_batch

RENDER = jax.jit(equalize, static_argnums=2)
BATCH = 250


def widest_bands(seed, batch, bands, rate):
    """20 Hz to 0.49 of the rate, ±24 dB, Q 0.1 to 40."""
    rng = np.random.default_rng(seed)
    freq_hz = 20.0 * (0.49 * rate / 20.0) ** rng.uniform(size=(batch, bands))
    settings = freq_hz, rng.uniform(-24, 24, (batch, bands)), 0.1 * 400.0 ** rng.uniform(size=(batch, bands))
    return tuple(x.astype(np.float32) for x in settings)


def worst_db(draw, cascades, bands, rate):
    result = []
    for seed in range(cascades // BATCH):
        settings, audio = draw(seed), noise(seed, BATCH, 8000, 1)
        y = RENDER(jnp.asarray(audio), Bands(*map(jnp.asarray, settings)), float(rate))[0]
        result.append(error_db(y, sosfilt_batch(audio, peaking_sos(*settings, rate))))
    return max(result)


@pytest.mark.slow
@pytest.mark.parametrize("bands", [5, 10])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_two_thousand_cascades_in_the_models_range(rate, bands):
    assert worst_db(lambda seed: random_bands(seed, BATCH, bands), 2000, bands, rate) <= -115.0


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_two_thousand_cascades_over_the_widest_range(rate):
    assert worst_db(lambda seed: widest_bands(seed, BATCH, 10, rate), 2000, 10, rate) <= -85.0
