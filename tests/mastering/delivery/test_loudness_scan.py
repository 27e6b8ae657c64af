"""The loudness scan against pyloudnorm, SciPy's oversampling, and a scan with all peaks exact."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import resample_poly

from nmjax.audio.loudness_meter import gated_loudness
from nmjax.mastering.delivery.limiter import ReductionSmoother, required_reduction
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from tests.mastering.delivery.test_delivery import synth_drums

RATE = 44_100


def three_level_audio():
    """Quiet, loud, then between."""
    return np.concatenate([level * synth_drums(3.0, RATE, seed) for seed, level in ((1, 0.1), (2, 0.9), (3, 0.4))])


@pytest.mark.parametrize("limiting_db", [0.0, 6.0, np.inf])
def test_loudness_and_true_peak_do_not_depend_on_the_announced_limiting(limiting_db):
    x = three_level_audio()
    result = LoudnessScan([x[:100_000], x[100_000:]], RATE, x.shape[1], limiting_db)
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    assert result.frames == len(x)
    assert result.lufs == pytest.approx(meter.integrated_loudness(x.astype(np.float64)), abs=0.02)
    peak = np.abs(resample_poly(np.pad(x.astype(np.float64), ((64, 64), (0, 0))), 16, 1, axis=0)).max()
    assert 20 * np.log10(result.true_peak / peak) == pytest.approx(0.0, abs=0.1)
    # On some processors the last bit of a matrix product depends on its other rows.
    assert result.true_peak == pytest.approx(LoudnessScan([x], RATE, x.shape[1]).true_peak, rel=1e-6)


def test_estimates_agree_within_the_announced_limiting():
    x = three_level_audio()
    whole, fast = (LoudnessScan([x], RATE, x.shape[1], limiting_db) for limiting_db in (np.inf, 6.0))
    for reduction_db in (0.0, 1.0, 3.0, 6.0):
        gain = 10 ** (reduction_db / 20) * 0.8 / whole.true_peak
        assert fast.lufs_after_limiter(gain, 0.8) == pytest.approx(whole.lufs_after_limiter(gain, 0.8), abs=1e-6)
    beyond = [scan.lufs_after_limiter(40.0, 0.8) for scan in (fast, whole)]
    assert abs(beyond[0] - beyond[1]) > 1e-4


@pytest.mark.parametrize("steps", [65_535, 65_536, 65_537, 2 * 65_536])
def test_a_limiter_is_estimated_across_pages(steps):
    """The signal twice has the loudness of the signal once, though its steps fill pages of 65,536."""
    frames = -(-steps * RATE // 640)
    x = np.tile(three_level_audio(), (frames // len(three_level_audio()) + 1, 1))[:frames]
    scan = LoudnessScan([x], RATE, x.shape[1])
    gain = 2.0 * 0.8 / scan.true_peak
    smoother = ReductionSmoother(640, 1, 0)
    peaks = scan._peaks.values()
    padded = np.concatenate([required_reduction(peaks * gain, 0.8), np.zeros(smoother.delay)])
    gains = gain * (1.0 - smoother.process(padded)[smoother.delay :])
    energies = scan._loudness._steps.values()
    assert len(energies) == len(gains) == steps
    hops = len(gains) // 64
    by_hop = (energies * gains**2)[: hops * 64].reshape(hops, 64).sum(axis=1, dtype=np.float64)
    expected = gated_loudness(by_hop, np.full(hops, RATE / 10))
    assert scan.lufs_after_limiter(gain, 0.8) == pytest.approx(expected, abs=1e-3)


def test_a_scan_without_limiting_has_the_same_loudness_and_estimates_no_limiter():
    x = three_level_audio()
    scan, plain = LoudnessScan([x], RATE, x.shape[1], 0.0), LoudnessScan([x], RATE, x.shape[1], None)
    assert (plain.true_peak, plain.frames) == (scan.true_peak, scan.frames)
    assert plain.lufs == pytest.approx(scan.lufs, abs=1e-6)
    with pytest.raises(ValueError, match="max_limiting_db"):
        plain.lufs_after_limiter(1.0, 0.8)
