"""The level of the residual is that of the added samples, in any chunks, and measuring it changes no sample."""

import math

import numpy as np
import pytest

from nmjax.mastering.residual_level import ResidualMeter, describe_residual


def split(audio, size):
    return [audio[i : i + size] for i in range(0, len(audio), size)]


@pytest.mark.parametrize("sizes", [(1000, 1000), (64, 700), (999, 31)])
def test_the_sum_is_bit_identical_and_its_level_is_measured(sizes):
    rng = np.random.default_rng(3)
    signal = rng.standard_normal((1000, 2)).astype(np.float32)
    residual = (0.01 * rng.standard_normal((1000, 2))).astype(np.float32)
    meter = ResidualMeter()
    total = np.concatenate(list(meter.add(split(signal, sizes[0]), split(residual, sizes[1]))))
    np.testing.assert_array_equal(total, signal + residual)
    expected_db = 10.0 * math.log10(np.mean(residual.astype(float) ** 2) / np.mean(signal.astype(float) ** 2))
    assert meter.level_db == pytest.approx(expected_db, abs=1e-9)


def test_no_residual_has_no_level_and_a_silent_one_is_minus_infinity():
    assert ResidualMeter().level_db is None
    meter, signal = ResidualMeter(), np.ones((10, 1), np.float32)
    list(meter.add([signal], [0.0 * signal]))
    assert meter.level_db == -math.inf


def test_the_sentence_gives_level_and_share_of_the_amplitude():
    assert describe_residual(-40.0).startswith("The residual adds −40.0 dB (1 % of the track's amplitude),")
    assert "(427 % of" in describe_residual(12.6)
    assert describe_residual(-math.inf) == "The residual adds nothing to this track."
