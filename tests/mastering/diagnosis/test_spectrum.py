"""The percentiles of the long-term spectrum, against those of all windows at once."""

import numpy as np
import pytest

from nmjax.mastering.diagnosis.spectrum import PERCENTS, SpectrumScan

RATE = 8_000


def test_percentiles_are_those_of_all_windows():
    rng = np.random.default_rng(3)
    audio = rng.standard_normal((2, 60 * RATE)) * 10.0 ** (rng.uniform(-3.0, -1.0, 60).repeat(RATE))
    scan = SpectrumScan(RATE, 2)
    for start in range(0, audio.shape[1], 5_000):
        scan.update(audio[:, start : start + 5_000].astype(np.float32))
    spectrum = scan.result()
    windows = np.lib.stride_tricks.sliding_window_view(audio, scan.size, axis=1)[:, :: scan.size // 2]
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(scan.size) / scan.size)
    bins = np.fft.rfft(windows * hann / (0.25 * scan.size))
    level_db = 10.0 * np.log10(np.mean(np.abs(bins) ** 2, axis=0) + 1e-15)
    assert spectrum.num_windows == len(level_db)
    for percent in PERCENTS:
        expected = np.percentile(level_db, percent, axis=0, method="inverted_cdf")
        assert np.abs(spectrum.percentile_db(percent) - expected).max() <= 1.5 + 1e-3
    with pytest.raises(ValueError, match="tuple"):
        spectrum.percentile_db(20.0)
