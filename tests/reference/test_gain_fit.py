"""A compressor that undoes a difference of the dynamics of two mixes; the degradation is made by NumPy and SciPy."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from nmjax.reference.gain_fit import fit_compressor_to_mix
from tests.reference.test_dynamics import RATE, apply_compressor, drum_blocks


def level_db(audio):
    """Level over 0.2 s, `[blocks, time]`."""
    power = np.mean(np.asarray(audio, np.float64) ** 2, axis=2)
    return 10.0 * np.log10(uniform_filter1d(power, round(0.2 * RATE), axis=1) + 1e-9)


def scale_dynamics(audio, factor):
    """The audio with the deviations of its level from the median multiplied by `factor`."""
    deviation_db = level_db(audio) - np.median(level_db(audio))
    return np.asarray(audio) * 10.0 ** ((factor - 1.0) * deviation_db / 20.0)[..., None]


@pytest.mark.parametrize(("factor", "remains"), [(0.75, 0.5), (1.15, 0.65)])
def test_levels_vary_as_in_the_reference(factor, remains):
    """A factor above 1 needs an expander, whose ratio has a limit."""
    track, gain = drum_blocks(), 3.0
    reference = gain * scale_dynamics(track, factor)
    compressor = fit_compressor_to_mix(track, np.asarray(reference, np.float32), None, strength=1.0)
    assert (float(compressor.ratio[0]) > 1.0) == (factor < 1.0)
    after = np.asarray(apply_compressor(track, compressor))
    errors_db = [np.std(level_db(x) - level_db(reference)) for x in (track, after)]
    assert errors_db[1] < remains * errors_db[0]
    assert np.mean(after**2) == pytest.approx(np.mean(np.asarray(track) ** 2), rel=0.1)


def test_equal_dynamics_need_no_compressor():
    track = drum_blocks()
    assert fit_compressor_to_mix(track, 0.5 * track, None, strength=1.0) is None


def test_half_the_strength_goes_half_way():
    track = drum_blocks()
    reference = np.float32(scale_dynamics(track, 0.7))
    spreads_db = [
        np.std(level_db(apply_compressor(track, fit_compressor_to_mix(track, reference, None, strength))))
        for strength in (0.5, 1.0)
    ]
    start_db = np.std(level_db(track))
    assert (start_db - spreads_db[0]) / (start_db - spreads_db[1]) == pytest.approx(0.5, abs=0.15)
