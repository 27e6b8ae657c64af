"""Metrics of signals with known values, and against pyloudnorm and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import sosfilt

from nmjax.evaluation import metrics
from tests.dsp.oracles import peaking_sos

RATE = 44_100


def noise(seconds=4.0, channels=2, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE), channels))


def sine(freq_hz, seconds=2.0, level_db=-20.0):
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * freq_hz * np.arange(round(seconds * RATE)) / RATE))[:, None]


def test_the_original_has_no_error_in_anything():
    audio = noise()
    result = metrics.compute_metrics(audio, audio, noise(seed=1), RATE, whole_song=True)
    assert list(result) == list(metrics.METRICS)
    assert {name: x for name, x in result.items() if name != "si_sdr_input_db"} == {
        name: 0.0 for name in metrics.METRICS if name != "si_sdr_input_db"
    }


def test_memoized_targets_give_the_same_metrics():
    audio, memo = noise(), metrics.Memo()
    for seed in (1, 2):
        inputs = (audio + 0.3 * noise(seed=seed), audio, audio, RATE, False)
        np.testing.assert_equal(metrics.compute_metrics(*inputs, memo), metrics.compute_metrics(*inputs))
    assert len(memo) == 3 * 2 + 1 + 2 * 2


def test_mono_has_no_side_and_an_excerpt_no_loudness_range():
    audio = noise(channels=1)
    result = metrics.compute_metrics(audio, audio, audio, RATE, whole_song=False)
    unknown = {name for name, value in result.items() if np.isnan(value)}
    assert unknown == {"tonal_side_db", "bark_side_db", "width_db", "loudness_range_lu"}


def test_tonal_error_of_a_peaking_filter_is_the_std_of_its_curve_at_any_gain():
    audio = noise(20.0)
    section = peaking_sos(1000.0, 6.0, 1.0, RATE)[None]
    changed = 3.0 * sosfilt(section, audio, axis=0)
    low, high = metrics.band_edges_hz("thirds")
    freq_hz = np.sqrt(low * high)
    z = np.exp(-2j * np.pi * freq_hz / RATE)
    b, a = section[0, :3], section[0, 3:]
    curve = 20 * np.log10(np.abs((b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)))
    result = metrics.compute_metrics(changed, audio, audio, RATE, whole_song=False)
    assert result["tonal_mid_db"] == pytest.approx(np.std(curve), abs=0.05)
    assert result["tonal_side_db"] == pytest.approx(np.std(curve), abs=0.05)
    assert result["crest_db"] < 1.0


def test_band_levels_of_a_sine():
    result = metrics.band_levels_db(sine(1000.0)[:, 0], "thirds", RATE)
    low, high = metrics.band_edges_hz("thirds")
    assert len(result) == 28
    assert high[-1] < 16_000.0
    assert low[np.argmax(result)] < 1000.0 < high[np.argmax(result)]
    assert np.sort(result)[0] == pytest.approx(result.max() - 80.0)
    assert len(metrics.band_levels_db(sine(1000.0)[:, 0], "bark", RATE)) == 24


def test_centroid_crest_width_and_si_sdr():
    assert metrics.centroid_hz(sine(3000.0), RATE) == pytest.approx(3000.0, rel=0.02)
    assert metrics.crest_db(sine(441.0)) == pytest.approx(20 * np.log10(np.sqrt(2)), abs=1e-3)
    mid, side = noise(channels=1), 0.5 * noise(channels=1, seed=1)
    assert metrics.width_db(np.concatenate([mid + side, mid - side], axis=1)) == pytest.approx(-6.02, abs=0.1)
    assert metrics.width_db(np.repeat(mid, 2, axis=1)) == pytest.approx(-60.0)
    x, e = noise(channels=1), noise(channels=1, seed=2)
    e -= x * np.sum(e * x) / np.sum(x * x)
    e *= 0.1 * np.linalg.norm(x) / np.linalg.norm(e)
    assert metrics.si_sdr_db(0.3 * (x + e), x) == pytest.approx(20.0, abs=1e-6)
    assert metrics.si_sdr_db(x, x) == pytest.approx(100.0)
    assert metrics.scale_invariant_error(0.3 * (x + e), x) == pytest.approx(0.1, rel=1e-6)


def test_mr_stft_of_a_gain_has_a_closed_form():
    """Half the magnitude: spectral convergence 1/2 and log distance ln 2, for every window and channel."""
    audio = noise()
    assert metrics.mr_stft(0.5 * audio, audio, RATE) == pytest.approx(0.5 + np.log(2.0), abs=1e-3)
    assert metrics.mel_distance_db(0.5 * audio, audio, RATE) == pytest.approx(6.02, abs=0.01)


def test_nothing_above_16_khz_counts():
    audio = noise()
    high = sosfilt(peaking_sos(19_500.0, 12.0, 8.0, RATE)[None], audio, axis=0)
    result = metrics.compute_metrics(high, audio, audio, RATE, whole_song=False)
    assert result["mel_db"] < 0.05
    assert result["mr_stft"] < 0.02
    assert result["tonal_mid_db"] < 0.02


def test_at_loudness_reaches_the_target():
    louder = metrics.normalize_loudness(noise(), -14.0, RATE)
    assert metrics.lufs(louder, RATE) == pytest.approx(-14.0, abs=0.01)
    silence = np.zeros((RATE, 2))
    assert np.array_equal(metrics.normalize_loudness(silence, -14.0, RATE), silence)


TECH_3342 = [((-20.0, -30.0), 10.0), ((-20.0, -15.0), 5.0), ((-40.0, -20.0), 20.0)]


@pytest.mark.parametrize(("levels_db", "range_lu"), TECH_3342)
def test_loudness_range_of_tech_3342(levels_db, range_lu):
    """Stereo sines of 1 kHz, 20 s at each level; EBU Tech 3342, test signals 1 to 3."""
    parts = [sine(1000.0, 20.0, level) for level in levels_db]
    audio = np.repeat(np.concatenate(parts), 2, axis=1)
    assert metrics.loudness_range_lu(audio, RATE) == pytest.approx(range_lu, abs=0.2)
