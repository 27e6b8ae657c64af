"""The survey against pyloudnorm, SciPy's oversampling, and itself with all peaks known."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly

from nmjax.inference.deliver.survey import Survey
from tests.inference.deliver.test_delivery import drums

RATE = 44_100


def audio():
    """Quiet, loud, then between."""
    return np.concatenate([level * drums(3.0, RATE, seed) for seed, level in ((1, 0.1), (2, 0.9), (3, 0.4))])


@pytest.mark.parametrize("limiting_db", [0.0, 6.0, np.inf])
def test_loudness_and_true_peak_do_not_depend_on_how_well_lower_peaks_are_known(limiting_db):
    x = audio()
    found = Survey([x[:100_000], x[100_000:]], RATE, x.shape[1], limiting_db)
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    assert found.frames == len(x)
    assert found.lufs == pytest.approx(meter.integrated_loudness(x.astype(np.float64)), abs=0.02)
    peak = np.abs(resample_poly(np.pad(x.astype(np.float64), ((64, 64), (0, 0))), 16, 1, axis=0)).max()
    assert 20 * np.log10(found.true_peak / peak) == pytest.approx(0.0, abs=0.1)
    assert found.true_peak == Survey([x], RATE, x.shape[1]).true_peak


def test_within_the_limiting_that_was_announced_the_estimate_is_the_same():
    x = audio()
    whole, fast = (Survey([x], RATE, x.shape[1], limiting_db) for limiting_db in (np.inf, 6.0))
    for reduction_db in (0.0, 1.0, 3.0, 6.0):
        gain = 10 ** (reduction_db / 20) * 0.8 / whole.true_peak
        assert fast.limited_lufs(gain, 0.8) == whole.limited_lufs(gain, 0.8)
    assert fast.limited_lufs(40.0, 0.8) != whole.limited_lufs(40.0, 0.8)  # beyond it, it is allowed to differ
