"""Peaking filters fitted to a curve: known filters are recovered, without superfluous ones and within their ranges."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands
from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS
from nmjax.reference.eq_fit import fit_bands, fit_fixed_count
from nmjax.reference.limits import ResponseLimits
from tests.dsp.oracles import peaking_sos

UNIT_WEIGHT = np.ones(NUM_BANDS)


def make_bands(*rows) -> Bands:
    return Bands(*(jnp.asarray([x], jnp.float32) for x in np.array(rows, float).T))


def curve_db(bands: Bands) -> np.ndarray:
    """Response of the filters at CENTERS_HZ, by SciPy."""
    rows = np.stack([np.asarray(x, float)[0] for x in (bands.freq_hz, bands.gain_db, bands.q)], axis=1)
    sections = np.stack([peaking_sos(*row, 44_100) for row in rows])
    return 20 * np.log10(np.abs(sosfreqz(sections, CENTERS_HZ, fs=44_100)[1]))


FLAT_BANDS = make_bands((62, 0, 1), (1000, 0, 1))
KNOWN_BANDS = make_bands((120, 5, 0.9), (1500, -4, 1.5), (7000, 6, 0.8))


@pytest.mark.parametrize("level_db", [0.0, 7.0])
def test_known_bands_are_recovered_at_any_level(level_db):
    expected = curve_db(KNOWN_BANDS) + level_db
    result = fit_bands(FLAT_BANDS, CENTERS_HZ, expected, UNIT_WEIGHT)
    assert np.std(curve_db(result) - expected) < 0.3
    assert 3 <= result.q.shape[1] <= 4
    assert np.all(np.diff(np.asarray(result.freq_hz)[0]) > 0)


def test_the_fit_starts_from_the_given_bands():
    """Filters that already have the target response remain almost unchanged."""
    result = fit_bands(KNOWN_BANDS, CENTERS_HZ, curve_db(KNOWN_BANDS), UNIT_WEIGHT)
    np.testing.assert_allclose(result.gain_db, KNOWN_BANDS.gain_db, atol=0.3)
    np.testing.assert_allclose(result.freq_hz, KNOWN_BANDS.freq_hz, rtol=0.05)


@pytest.mark.parametrize("gain_penalty", [0.0, 0.02])
@pytest.mark.parametrize("ratio", [1.0, 1.02])
def test_overlapping_bands_are_merged(ratio, gain_penalty):
    start = make_bands(
        (120, 2.5, 0.9), (120 * ratio, 2.5, 0.9), (1500, -2, 1.5), (1500 * ratio, -2, 1.5), (7000, 6, 0.8)
    )
    result = fit_bands(start, CENTERS_HZ, curve_db(KNOWN_BANDS), UNIT_WEIGHT, gain_penalty)
    np.testing.assert_allclose(result.freq_hz, KNOWN_BANDS.freq_hz, rtol=0.05)
    np.testing.assert_allclose(result.gain_db, KNOWN_BANDS.gain_db, atol=0.4)


def test_unneeded_bands_are_removed():
    start = make_bands(*((60.0 * 2.0**i, 1.0 - 2.0 * (i % 2), 2.0) for i in range(8)))
    result = fit_bands(start, CENTERS_HZ, curve_db(make_bands((800, 5, 0.8))), UNIT_WEIGHT, gain_penalty=0.02)
    assert result.q.shape == (1, 1)
    assert np.std(curve_db(result) - curve_db(make_bands((800, 5, 0.8)))) < 0.3


def test_a_curve_beyond_one_band_is_fitted_by_two():
    expected = curve_db(make_bands((800, 9, 0.8), (800, 9, 0.8)))
    result = fit_bands(FLAT_BANDS, CENTERS_HZ, expected, UNIT_WEIGHT)
    assert np.std(curve_db(result) - expected) < 0.3
    assert 2 <= result.q.shape[1] <= 3


def test_a_flat_curve_gives_a_zero_gain_band():
    result = fit_bands(FLAT_BANDS, CENTERS_HZ, np.full(NUM_BANDS, 3.0), UNIT_WEIGHT)
    assert result.q.shape == (1, 1) and float(result.gain_db[0, 0]) == 0.0


def test_ranges_and_number_hold_for_any_curve():
    expected = 40.0 * np.random.default_rng(1).standard_normal(NUM_BANDS)
    start = make_bands(*((50.0 * 1.6**i, 6.0, 1.0) for i in range(12)))
    result = fit_bands(start, CENTERS_HZ, expected, UNIT_WEIGHT, gain_penalty=0.02)
    freq_hz, gain_db, q = (np.asarray(x)[0] for x in (result.freq_hz, result.gain_db, result.q))
    assert 1 <= len(q) <= 10
    assert np.abs(gain_db).max() <= 12.0 and q.min() >= 0.5 and q.max() <= 5.0
    assert freq_hz.min() >= 20.0 and freq_hz.max() <= 20_000.0


def test_the_fit_is_close_where_the_weight_is_large():
    expected = np.where(CENTERS_HZ < 500, 6.0 * np.sin(np.arange(NUM_BANDS)), 0.0)
    weight = np.where(CENTERS_HZ < 500, 1e-4, 1.0)
    result = fit_bands(FLAT_BANDS, CENTERS_HZ, expected, weight)
    assert np.std((curve_db(result) - expected)[CENTERS_HZ > 700]) < 0.3


def test_the_gain_penalty_makes_gains_smaller():
    expected = curve_db(make_bands((300, 6, 1.0), (3000, -6, 1.0)))
    loose, tight = (fit_bands(FLAT_BANDS, CENTERS_HZ, expected, UNIT_WEIGHT, gain_penalty=x) for x in (0.0, 0.5))
    assert float(jnp.abs(tight.gain_db).sum()) < 0.8 * float(jnp.abs(loose.gain_db).sum())


def test_the_fit_keeps_the_limits_of_the_response_and_fits_the_remainder():
    """More treble and sub-bass than allowed, and a dip: it is fitted as without limits, and nothing is scaled."""
    expected = curve_db(make_bands((35, 8, 1.2), (400, -5, 1.0), (6000, 11, 0.9)))
    result = curve_db(fit_bands(FLAT_BANDS, CENTERS_HZ, expected, UNIT_WEIGHT, limits=ResponseLimits(3.0, 6.0)))
    assert result[CENTERS_HZ < 60].max() <= 3.0 and result.max() <= 6.0
    assert result[CENTERS_HZ < 60].max() > 2.2 and result.max() > 5.2
    assert result[CENTERS_HZ > 60].min() < -4.0


@pytest.mark.slow
def test_no_two_bands_are_within_a_sixth_of_an_octave():
    """Narrow peaks and dips side by side, as the difference of two songs has them."""
    rng = np.random.default_rng(2)
    for _ in range(2):
        expected = np.clip(np.convolve(12.0 * rng.standard_normal(NUM_BANDS), np.ones(2) / 2, "same"), -18, 18)
        result = fit_bands(FLAT_BANDS, CENTERS_HZ, expected, UNIT_WEIGHT, gain_penalty=0.02)
        assert result.q.shape[1] > 4
        assert np.diff(np.log2(np.asarray(result.freq_hz, float)[0])).min() >= 1.0 / 6.0


@pytest.mark.parametrize("constant", [0.0, 4.0])
def test_evenly_spaced_bands_fit_a_curve_up_to_a_constant(constant):
    expected = 3.0 * np.sin(2 * np.pi * np.log10(CENTERS_HZ / 25.0) / 1.5)
    result = fit_fixed_count(CENTERS_HZ, expected + constant, 10)
    assert np.std(curve_db(result) - expected) < 0.35
    assert result.q.shape == (1, 10) and float(jnp.abs(result.gain_db).max()) <= 12.0
