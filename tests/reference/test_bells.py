"""Bells drawn to a curve: known ones are found again, no more than are needed, within their ranges."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import sosfreqz

from nmjax.dsp import Bands
from nmjax.reference.bells import drawn, evenly
from nmjax.reference.profile import BANDS, CENTRES_HZ
from tests.dsp.oracles import peaking_sos

EVEN = np.ones(BANDS)


def bands(*rows) -> Bands:
    return Bands(*(jnp.asarray([x], jnp.float32) for x in np.array(rows, float).T))


def curve_db(found: Bands) -> np.ndarray:
    """By SciPy."""
    rows = np.stack([np.asarray(x, float)[0] for x in (found.freq_hz, found.gain_db, found.q)], axis=1)
    sections = np.stack([peaking_sos(*row, 44_100) for row in rows])
    return 20 * np.log10(np.abs(sosfreqz(sections, CENTRES_HZ, fs=44_100)[1]))


FLAT = bands((62, 0, 1), (1000, 0, 1))
KNOWN = bands((120, 5, 0.9), (1500, -4, 1.5), (7000, 6, 0.8))


@pytest.mark.parametrize("level_db", [0.0, 7.0])
def test_bells_are_found_again_but_for_a_level(level_db):
    wanted = curve_db(KNOWN) + level_db
    found = drawn(FLAT, CENTRES_HZ, wanted, EVEN)
    assert np.std(curve_db(found) - wanted) < 0.3
    assert 3 <= found.q.shape[1] <= 4
    assert np.all(np.diff(np.asarray(found.freq_hz)[0]) > 0)


def test_it_starts_from_what_is_there():
    """A curve that is drawn already needs no other bell; nothing moves far."""
    found = drawn(KNOWN, CENTRES_HZ, curve_db(KNOWN), EVEN)
    np.testing.assert_allclose(found.gain_db, KNOWN.gain_db, atol=0.3)
    np.testing.assert_allclose(found.freq_hz, KNOWN.freq_hz, rtol=0.05)


@pytest.mark.parametrize("restraint", [0.0, 0.02])
@pytest.mark.parametrize("apart", [1.0, 1.02])
def test_bells_that_lie_on_one_another_become_one(apart, restraint):
    start = bands((120, 2.5, 0.9), (120 * apart, 2.5, 0.9), (1500, -2, 1.5), (1500 * apart, -2, 1.5), (7000, 6, 0.8))
    found = drawn(start, CENTRES_HZ, curve_db(KNOWN), EVEN, restraint)
    np.testing.assert_allclose(found.freq_hz, KNOWN.freq_hz, rtol=0.05)
    np.testing.assert_allclose(found.gain_db, KNOWN.gain_db, atol=0.4)


def test_bells_that_are_not_needed_go():
    start = bands(*((60.0 * 2.0**i, 1.0 - 2.0 * (i % 2), 2.0) for i in range(8)))
    found = drawn(start, CENTRES_HZ, curve_db(bands((800, 5, 0.8))), EVEN, restraint=0.02)
    assert found.q.shape == (1, 1)
    assert np.std(curve_db(found) - curve_db(bands((800, 5, 0.8)))) < 0.3


def test_more_than_one_bell_can_do_is_drawn_by_two():
    wanted = curve_db(bands((800, 9, 0.8), (800, 9, 0.8)))
    found = drawn(FLAT, CENTRES_HZ, wanted, EVEN)
    assert np.std(curve_db(found) - wanted) < 0.3
    assert 2 <= found.q.shape[1] <= 3


def test_a_flat_curve_is_no_bell_that_is_heard():
    found = drawn(FLAT, CENTRES_HZ, np.full(BANDS, 3.0), EVEN)
    assert found.q.shape == (1, 1) and float(found.gain_db[0, 0]) == 0.0


def test_ranges_and_number_hold_for_any_curve():
    wanted = 40.0 * np.random.default_rng(1).standard_normal(BANDS)
    start = bands(*((50.0 * 1.6**i, 6.0, 1.0) for i in range(12)))
    found = drawn(start, CENTRES_HZ, wanted, EVEN, restraint=0.02)
    freq_hz, gain_db, q = (np.asarray(x)[0] for x in (found.freq_hz, found.gain_db, found.q))
    assert 1 <= len(q) <= 10
    assert np.abs(gain_db).max() <= 12.0 and q.min() >= 0.5 and q.max() <= 5.0
    assert freq_hz.min() >= 20.0 and freq_hz.max() <= 20_000.0


def test_where_the_weight_lies_it_is_near():
    wanted = np.where(CENTRES_HZ < 500, 6.0 * np.sin(np.arange(BANDS)), 0.0)
    weight = np.where(CENTRES_HZ < 500, 1e-4, 1.0)
    found = drawn(FLAT, CENTRES_HZ, wanted, weight)
    assert np.std((curve_db(found) - wanted)[CENTRES_HZ > 700]) < 0.3


def test_restraint_makes_gains_smaller():
    wanted = curve_db(bands((300, 6, 1.0), (3000, -6, 1.0)))
    loose, tight = (drawn(FLAT, CENTRES_HZ, wanted, EVEN, restraint=x) for x in (0.0, 0.5))
    assert float(jnp.abs(tight.gain_db).sum()) < 0.8 * float(jnp.abs(loose.gain_db).sum())


@pytest.mark.parametrize("constant", [0.0, 4.0])
def test_evenly_spaced_bells_fit_a_curve_but_for_a_constant(constant):
    wanted = 3.0 * np.sin(2 * np.pi * np.log10(CENTRES_HZ / 25.0) / 1.5)
    found = evenly(CENTRES_HZ, wanted + constant, 10)
    assert np.std(curve_db(found) - wanted) < 0.35
    assert found.q.shape == (1, 10) and float(jnp.abs(found.gain_db).max()) <= 12.0
