"""The ceiling of peaks that were cut off, against levels that the signals were made with."""

import numpy as np
import pytest
import scipy.signal

from nmjax.mastering.diagnosis.ceiling import CeilingScan, density_after, find_ceiling
from tests.mastering.diagnosis.songs import RATE, findings_of, song
from tests.mastering.diagnosis.test_saturation import limit


def statistics_of(audio, size=10_000):
    scan = CeilingScan(audio.shape[1])
    for start in range(0, len(audio), size):
        scan.update(np.ascontiguousarray(audio[start : start + size].T))
    return scan.result()


def ceiling_of(audio, size=10_000):
    return find_ceiling(statistics_of(audio, size))


def resampled(audio):
    """Down and up again, so that flat tops ripple."""
    return scipy.signal.resample_poly(scipy.signal.resample_poly(audio, 3, 4, axis=0), 4, 3, axis=0)


def test_the_density_is_that_of_uniform_samples_with_a_known_share_at_one_level():
    rng = np.random.default_rng(0)
    audio = rng.uniform(-1.0, 1.0, (400_000, 1))
    audio[::10, 0] = 0.9 * np.sign(audio[::10, 0])
    ceiling = ceiling_of(audio)
    # A tenth of the samples in five steps of 0.1 dB at 0.9 of full scale, where nine tenths are uniform.
    width = 0.9 * (10.0 ** (0.25 / 20.0) - 10.0 ** (-0.25 / 20.0))
    below = 0.9 * (10.0 ** (-0.6 / 20.0) - 10.0 ** (-1.2 / 20.0)) * 5.0 / 6.0
    assert ceiling.density == pytest.approx((0.1 + 0.9 * width) / (0.9 * below), rel=0.05)
    np.testing.assert_allclose(ceiling.levels, 0.9, rtol=0.006)


def test_the_density_after_a_curve_is_undone_is_that_of_the_signal_before_it():
    rng = np.random.default_rng(0)
    smooth = rng.uniform(-1.0, 1.0, (400_000, 1))
    cut = smooth.copy()
    cut[::10, 0] = 0.9 * np.sign(cut[::10, 0])
    for audio, is_bent_only in ((smooth, True), (cut, False)):
        statistics = statistics_of(np.tanh(2.0 * audio))
        bent = find_ceiling(statistics)
        density = density_after(statistics, bent, lambda level: np.arctanh(np.minimum(level, 0.9999)) / 2.0)
        if is_bent_only:
            assert density.max() < 1.3 and bent.density > 1.8
        else:
            np.testing.assert_allclose(density, ceiling_of(audio).density, rtol=0.1)


@pytest.mark.parametrize("levels", [(0.5, 0.5), (0.3, 0.6)], ids=["symmetric", "asymmetric"])
def test_the_level_of_a_clipper_is_found_behind_a_filter(levels):
    audio = song()
    audio = audio / np.abs(audio).max() * 1.5
    ceiling = ceiling_of(resampled(np.clip(audio, -levels[1], levels[0])))
    assert ceiling.density > 2.0
    np.testing.assert_allclose(ceiling.levels, [levels, levels], rtol=0.02)


def test_the_blocks_do_not_matter():
    audio = song()[:100_000]
    whole, parts = ceiling_of(audio, len(audio)), ceiling_of(audio[::-1], 777)
    assert whole.density == pytest.approx(parts.density)
    np.testing.assert_array_equal(whole.levels, parts.levels)


def test_music_and_limited_music_have_no_ceiling():
    for audio in (song(), limit(song(), 9.0)):
        assert ceiling_of(audio).density < 1.2
        assert "saturation" not in findings_of(audio)


def test_tones_and_square_waves_are_not_clearly_clipped():
    time = np.arange(12 * RATE) / RATE
    drums = 0.02 * np.random.default_rng(0).standard_normal(len(time)) * np.exp(-8.0 * (time % 0.5))
    phase = 2.0 * np.pi * 220.0 * 2.0 ** (np.floor(2.0 * time) % 12 / 12.0) * time
    for wave in (np.sin(phase), np.sign(np.sin(phase)), np.sin(phase + 3.0 * np.sin(phase))):
        findings = findings_of(np.stack([0.7 * wave + drums] * 2, axis=1))
        assert "saturation" not in findings or findings["saturation"].severity == "info"


def test_levels_above_full_scale_have_a_ceiling():
    audio = song()
    audio = 30.0 * audio / np.abs(audio).max()
    assert ceiling_of(audio).density < 1.2
    np.testing.assert_allclose(ceiling_of(resampled(np.clip(audio, -10.0, 10.0))).levels, 10.0, rtol=0.02)


def test_the_constancy_is_the_share_of_the_sections_at_the_highest_ceiling():
    audio = resampled(np.clip(3.0 * song() / np.abs(song()).max(), -0.5, 0.5))
    assert ceiling_of(audio).constancy > 0.95
    quarters = np.repeat([1.0, 0.5, 0.5, 0.5], -(-len(audio) // 4))[: len(audio), None]
    assert ceiling_of(audio * quarters).constancy == pytest.approx(0.25, abs=0.1)


def test_silence_has_none():
    ceiling = ceiling_of(np.zeros((10_000, 2)))
    assert ceiling.density == 0.0 and np.isinf(ceiling.levels).all()
