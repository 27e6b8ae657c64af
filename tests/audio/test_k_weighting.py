"""K-weighting against pyloudnorm's coefficients, SciPy's response and the table of ITU-R BS.1770."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import sosfreqz

from nmjax.audio.k_weighting import k_weighting_power, k_weighting_sos


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 192_000])
def test_coefficients_are_pyloudnorms(rate):
    filters = pyloudnorm.Meter(rate, filter_class="DeMan")._filters.values()
    expected = np.stack([np.concatenate([section.b, section.a]) for section in filters])
    np.testing.assert_allclose(k_weighting_sos(rate), expected, atol=1e-11)


def test_coefficients_are_the_standards_at_48_khz():
    shelf, low_cut = k_weighting_sos(48_000)
    expected = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    np.testing.assert_allclose(shelf, expected, atol=1e-10)
    np.testing.assert_allclose(low_cut, [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621], atol=1e-10)


def test_power_response():
    freq_hz = np.array([0.0, 20.0, 1000.0, 22_050.0])
    _, response = sosfreqz(k_weighting_sos(44_100), freq_hz, fs=44_100)
    np.testing.assert_allclose(k_weighting_power(freq_hz, 44_100), np.abs(response) ** 2, atol=1e-12)
