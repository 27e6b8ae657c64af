"""Sums over adjoining bands are the product with the filterbank of the same edges."""

import numpy as np
import pytest

from nmjax.dsp.filterbanks import band_filterbank
from nmjax.reference.band_sums import BandSums
from nmjax.reference.bands import CENTERS_HZ, EDGES_HZ

RATE = 44_100


@pytest.mark.parametrize("fft_size", [1024, 16_384])  # narrow bands share a bin, wide ones span many
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_the_product_with_the_filterbank(fft_size, dtype):
    edges_hz = np.geomspace(80.0, 15_000.0, 90)
    power = np.random.default_rng(0).exponential(size=(2, 3, fft_size // 2 + 1)).astype(dtype)
    weights = band_filterbank(edges_hz[:-1], edges_hz[1:], fft_size, RATE)
    expected = power.astype(np.float64) @ weights
    np.testing.assert_allclose(BandSums(edges_hz, fft_size, RATE)(power), expected, rtol=1e-11)


def test_a_band_beside_a_much_louder_one_keeps_its_level():
    power = np.full(8193, 1e-12)
    power[:500] = 1.0
    edges_hz = np.array([100.0, 1400.0, 1500.0])  # the second one is beyond the loud bins
    sums = BandSums(edges_hz, 16_384, RATE)(power)
    assert sums[1] == pytest.approx(1e-12 * 100.0 * 16_384 / RATE, rel=1e-6)


def test_the_bands_of_a_match_adjoin():
    half_band = 2.0 ** (1.0 / 12.0)
    np.testing.assert_allclose(EDGES_HZ[:-1] * half_band, CENTERS_HZ, rtol=1e-12)
    np.testing.assert_allclose(EDGES_HZ[1:] / half_band, CENTERS_HZ, rtol=1e-12)


@pytest.mark.parametrize("edges_hz", [[0.0, 100.0], [100.0, 22_049.0], [200.0, 100.0], [100.0, 100.0]])
def test_edges_that_cannot_be_used_are_refused(edges_hz):
    with pytest.raises(ValueError, match="edges_hz"):
        BandSums(np.array(edges_hz), 1024, RATE)
