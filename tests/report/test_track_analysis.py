"""The analysis of a signal against SciPy's Welch spectra, the loudness meter of nmjax.dsp, and plain sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import welch

from nmjax.dsp import short_term_loudness
from nmjax.report import track_analysis
from nmjax.report.track_analysis import FLOOR_DB, SignalAnalyzer
from tests.synthetic_audio import music


def analyze_in_chunks(audio, rate, size=7001):
    analyzer = SignalAnalyzer(rate, audio.shape[1])
    chunks = list(analyzer.watch(audio[i : i + size] for i in range(0, len(audio), size)))
    np.testing.assert_array_equal(np.concatenate(chunks), audio)
    return analyzer.result()


def welch_bands(signal, rate, window, centers_hz):
    """Levels in dB of twelfth-octave bands from SciPy; a bin counts by the share of it that is inside the band."""
    freq_hz, density = welch(signal, rate, "hann", window, window // 2, detrend=False)
    width = freq_hz[1]
    levels = []
    for center in centers_hz:
        low, high = center * 2.0 ** (-1 / 24), center * 2.0 ** (1 / 24)
        inside = np.clip(np.minimum(freq_hz + width / 2, high) - np.maximum(freq_hz - width / 2, low), 0.0, None)
        levels.append(10.0 * np.log10(np.sum(density * inside)))
    return np.array(levels)


@pytest.mark.parametrize(("rate", "window"), [(44_100, 16_384), (192_000, 65_536), (8_000, 4096)])
def test_spectra_match_welch(rate, window):
    audio = music(4.0 if rate < 100_000 else 1.5, rate, 2, seed=3).astype(np.float32)
    audio[:, 1] = 0.5 * audio[:, 0] + 0.3 * audio[:, 1]
    result = analyze_in_chunks(audio, rate)
    assert result.freq_hz[-1] * 2 ** (1 / 24) <= rate / 2
    left, right = audio.astype(np.float64).T
    mid = welch_bands((left + right) / 2, rate, window, result.freq_hz)
    side = welch_bands((left - right) / 2, rate, window, result.freq_hz)
    np.testing.assert_allclose(result.mid_db, mid, atol=0.02)
    np.testing.assert_allclose(result.side_db, side, atol=0.02)
    powers = [10.0 ** (welch_bands(x, rate, window, result.freq_hz) / 10.0) for x in (left, right)]
    np.testing.assert_allclose(result.total_db, 10.0 * np.log10(np.mean(powers, axis=0)), atol=0.02)


def test_loudness_over_time_matches_the_meter():
    rate = 48_000
    audio = (music(9.7, rate, 2, seed=4) * np.linspace(0.1, 1.0, round(9.7 * rate))[:, None]).astype(np.float32)
    result = analyze_in_chunks(audio, rate)
    meter = jax.jit(short_term_loudness, static_argnums=1)  # of 3 s, every 100 ms
    expected = np.asarray(meter(jnp.asarray(audio)[None], rate))[0]
    np.testing.assert_allclose(result.times_s, 0.5 * np.arange(1, 20))
    np.testing.assert_allclose(result.short_term_lufs[5:], expected[::5][: len(result.short_term_lufs) - 5], atol=0.02)


def test_levels_are_plain_sums():
    audio = music(1.3, 44_100, 2, seed=5).astype(np.float32)
    result = analyze_in_chunks(audio, 44_100)
    assert result.rms_db == pytest.approx(10.0 * np.log10(np.mean(audio.astype(np.float64) ** 2)), abs=1e-6)
    assert result.peak_db == pytest.approx(20.0 * np.log10(np.abs(audio).max()), abs=1e-6)
    assert result.crest_db == pytest.approx(result.peak_db - result.rms_db)
    assert (result.num_frames, result.duration_s) == (len(audio), len(audio) / 44_100)


def test_chunk_sizes_do_not_matter_and_chunks_may_be_modified_afterwards():
    audio = music(6.0, 44_100, 2, seed=6).astype(np.float32)
    one, other = (analyze_in_chunks(audio, 44_100, size) for size in (100_000, 333))
    np.testing.assert_array_equal(one.total_db, other.total_db)
    np.testing.assert_array_equal(one.short_term_lufs, other.short_term_lufs)
    analyzer = SignalAnalyzer(44_100, 2)
    for chunk in analyzer.watch(audio[i : i + 5000].copy() for i in range(0, len(audio), 5000)):
        chunk[:] = 0.0
    np.testing.assert_array_equal(analyzer.result().total_db, one.total_db)


def test_long_signals_have_points_further_apart(monkeypatch):
    monkeypatch.setattr(track_analysis, "MAX_POINTS", 200)
    rate, seconds = 8_000, 130
    audio = np.zeros((seconds * rate, 1), np.float32)
    audio[::7] = 0.1
    result = analyze_in_chunks(audio, rate, 1 << 18)
    assert len(result.times_s) < 200
    np.testing.assert_allclose(np.diff(result.times_s), 1.0)
    assert result.times_s[-1] == seconds
    assert np.ptp(result.short_term_lufs[10:]) < 0.05


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_other_channel_counts_have_no_side(channels):
    audio = music(1.0, 44_100, channels, seed=7).astype(np.float32)
    result = analyze_in_chunks(audio, 44_100)
    assert result.side_db is None
    np.testing.assert_allclose(
        result.mid_db, welch_bands(audio.mean(axis=1, dtype=np.float64), 44_100, 16_384, result.freq_hz), atol=0.02
    )
    assert np.isfinite(result.short_term_lufs).all()


@pytest.mark.parametrize("frames", [1, 2, 700, 22_049])
def test_audio_shorter_than_a_window_has_its_level_and_one_point(frames):
    audio = np.full((frames, 1), 0.25, np.float32) * np.cos(0.1425 * np.arange(frames))[:, None].astype(np.float32)
    result = analyze_in_chunks(audio, 44_100)
    assert len(result.times_s) == len(result.short_term_lufs) == 1
    assert np.isfinite(result.short_term_lufs).all()
    if frames > 500:  # a tone of 1 kHz, whose power is in the bands around it
        nearby_bands = np.abs(np.log2(result.freq_hz / 1000.0)) < 0.4
        power = np.sum(10.0 ** (result.total_db[nearby_bands] / 10.0))
        assert 10.0 * np.log10(power) == pytest.approx(10.0 * np.log10(0.25**2 / 2.0), abs=0.3)


def test_silence():
    result = analyze_in_chunks(np.zeros((30_000, 2), np.float32), 44_100)
    assert (result.total_db == FLOOR_DB).all() and (result.side_db == FLOOR_DB).all()
    assert (result.short_term_lufs == -np.inf).all()
    assert result.rms_db == result.peak_db == -np.inf
    assert np.isnan(result.crest_db)
    nothing = SignalAnalyzer(44_100, 2).result()
    assert nothing.num_frames == 0 and len(nothing.times_s) == 0
