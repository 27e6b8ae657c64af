"""The response of converted bands, computed with SciPy from the cookbook's filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands, response_db
from nmjax.dsp.rate_conversion import convert_bands_to_rate

from .oracles import peaking_sos

GRID_HZ = np.geomspace(20.0, 16_000.0, 400)


def random_bands_44k(seed):
    rng = np.random.default_rng(seed)
    rows = (
        np.exp(rng.uniform(np.log(20), np.log(20_000), (1, 5))),
        rng.uniform(-12, 12, (1, 5)),
        rng.uniform(0.5, 5, (1, 5)),
    )
    return Bands(*(x.astype(np.float32) for x in rows))


def curve_db(bands, rate):
    """dB of the bands in series."""
    sections = [
        peaking_sos(f, g, q, rate)
        for f, g, q in zip(*(np.asarray(x)[0] for x in (bands.freq_hz, bands.gain_db, bands.q)), strict=True)
    ]
    return 20 * np.log10(np.abs(sosfreqz(np.stack(sections), GRID_HZ, fs=rate)[1]))


@pytest.mark.parametrize("rate", [48_000, 96_000, 192_000])
def test_the_response_is_unchanged_to_half_a_decibel_up_to_16_khz(rate):
    for seed in range(4):
        bands = random_bands_44k(seed)
        result = convert_bands_to_rate(bands, 44_100, rate)
        assert np.abs(curve_db(result, rate) - curve_db(bands, 44_100)).max() <= 0.5


def test_filter_kinds_do_not_change():
    kinds = ("low_shelf", "peaking", "high_shelf", "high_pass")
    bands = Bands(
        np.array([[200.0, 1000.0, 8000.0, 30.0]]), np.array([[6.0, -4.0, 5.0, 0.0]]), np.full((1, 4), 0.7), kinds
    )
    result = convert_bands_to_rate(bands, 44_100, 96_000)
    assert result.kind[:4] == kinds
    with jax.enable_x64(True):
        grid = jnp.asarray(GRID_HZ)
        difference = np.asarray(
            response_db(result, grid, 96_000) - response_db(jax.tree.map(jnp.asarray, bands), grid, 44_100)
        )
    assert np.abs(difference).max() <= 0.5


def test_the_same_rate_returns_the_same_bands():
    bands = random_bands_44k(0)
    assert convert_bands_to_rate(bands, 44_100, 44_100) is bands
