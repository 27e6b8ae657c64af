"""The curve of a target over the spectrum of a track."""

import numpy as np
import pytest

from nmjax.studio.curves import GRID_HZ, target_spectrum

CENTERS_HZ = 1000.0 * 2.0 ** (np.arange(-32, 24) / 6.0)
SPECTRUM_DB = -40.0 - 5.0 * np.log2(GRID_HZ / 1000.0)


def test_a_tilted_target_is_a_tilted_spectrum():
    """A difference of 2 dB per octave, whatever its level, turns the spectrum around the middle of the bands."""
    target = target_spectrum(SPECTRUM_DB, 17.0 + 2.0 * np.log2(CENTERS_HZ), GRID_HZ)
    assert target is not None
    drawn = np.array([x is not None for x in target])
    np.testing.assert_array_equal(GRID_HZ[drawn] >= 24.8 / 2 ** (1 / 12), True)
    assert GRID_HZ[drawn].max() == pytest.approx(15_000.0, rel=0.05)
    moved = np.array([x for x in target if x is not None]) - SPECTRUM_DB[drawn]
    inside = (GRID_HZ[drawn] > 25.0) & (GRID_HZ[drawn] < 14_000.0)
    middle_hz = np.sqrt(CENTERS_HZ[0] * CENTERS_HZ[-1])
    np.testing.assert_allclose(moved[inside], 2.0 * np.log2(GRID_HZ[drawn] / middle_hz)[inside], atol=0.02)


def test_unknown_bands_are_not_drawn():
    difference_db = np.zeros(len(CENTERS_HZ))
    difference_db[CENTERS_HZ > 4_000.0] = np.nan
    target = target_spectrum(SPECTRUM_DB, difference_db, GRID_HZ)
    assert target is not None
    assert {x is None for x, hz in zip(target, GRID_HZ, strict=True) if hz > 4_500.0} == {True}
    assert {x is None for x, hz in zip(target, GRID_HZ, strict=True) if 30.0 < hz < 3_900.0} == {False}
    assert target_spectrum(SPECTRUM_DB, np.full(len(CENTERS_HZ), np.nan), GRID_HZ) is None
