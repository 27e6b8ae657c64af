"""The benchmark's damage: curves, drive, bias and silence."""

from __future__ import annotations

import numpy as np
import pytest

from nmjax.evaluation.damage import CURVES, Damage, apply_damage

RATE = 44_100
CASES = [(kind, index) for kind, curves in CURVES.items() for index in range(len(curves))]


def sine(amplitude=0.5, freq_hz=200.0):
    return amplitude * np.sin(2.0 * np.pi * freq_hz * np.arange(RATE // 2) / RATE)[:, None]


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_curves_have_slope_1_at_0_a_ceiling_of_1_and_grow(kind, index):
    curve, x = CURVES[kind][index], np.linspace(-50.0, 50.0, 100_001)
    y = curve(x)
    assert np.abs(y).max() <= 1.0 + 1e-12
    assert np.diff(y).min() >= -1e-12
    assert (curve(np.array(1e-4)) - curve(np.array(-1e-4))) / 2e-4 == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("kind", "index"), CASES)
@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_small_signals_keep_their_level(kind, index, bias):
    small = sine(1e-4)
    loud = np.concatenate([small, np.zeros((1000, 1)), [[1.0]], np.zeros((1000, 1))])
    damaged = apply_damage(loud, Damage(kind, index, 10.0, bias))
    np.testing.assert_allclose(damaged[500 : len(small) - 500], small[500:-500], rtol=0.02, atol=1e-7)


def test_hard_clipping_holds_the_ceiling_and_what_is_below_it():
    damaged = apply_damage(sine(), Damage("hard", 0, 12.0, 0.0))
    ceiling = 0.5 * 10.0 ** (-12.0 / 20.0)
    assert np.abs(damaged[2000:-2000]).max() == pytest.approx(ceiling, rel=0.15)  # ringing of the band limit
    below = np.abs(sine()) < 0.5 * ceiling
    assert np.abs(damaged - sine())[below][100:-100].max() < 0.02


def test_silence_and_no_drive_are_unchanged():
    np.testing.assert_array_equal(apply_damage(np.zeros((100, 2)), Damage("soft", 0, 9.0, 0.1)), np.zeros((100, 2)))
    np.testing.assert_array_equal(apply_damage(sine(), Damage("soft", 0, 0.0, 0.1)), sine())
