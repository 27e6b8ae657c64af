"""What a listener notes, against SciPy's Welch spectra, the loudness meter of nmjax.dsp, and plain sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import welch

from nmjax.dsp import short_term_loudness
from nmjax.inference.report.insight import FLOOR_DB, MOST_POINTS, Listener
from tests.music import music


def heard(audio, rate, size=7001):
    listener = Listener(rate, audio.shape[1])
    passed = list(listener.watch(audio[i : i + size] for i in range(0, len(audio), size)))
    np.testing.assert_array_equal(np.concatenate(passed), audio)
    return listener.result()


def welch_bands(signal, rate, window, centres_hz):
    """dB of twelfths of an octave from SciPy, each bin shared out by how much of it lies in the band."""
    freq_hz, density = welch(signal, rate, "hann", window, window // 2, detrend=False)
    width = freq_hz[1]
    levels = []
    for centre in centres_hz:
        low, high = centre * 2.0 ** (-1 / 24), centre * 2.0 ** (1 / 24)
        inside = np.clip(np.minimum(freq_hz + width / 2, high) - np.maximum(freq_hz - width / 2, low), 0.0, None)
        levels.append(10.0 * np.log10(np.sum(density * inside)))
    return np.array(levels)


@pytest.mark.parametrize(("rate", "window"), [(44_100, 16_384), (192_000, 65_536), (8_000, 4096)])
def test_spectra_are_welchs(rate, window):
    audio = music(4.0 if rate < 100_000 else 1.5, rate, 2, seed=3).astype(np.float32)
    audio[:, 1] = 0.5 * audio[:, 0] + 0.3 * audio[:, 1]
    found = heard(audio, rate)
    assert found.freq_hz[-1] * 2 ** (1 / 24) <= rate / 2
    left, right = audio.astype(np.float64).T
    middle = welch_bands((left + right) / 2, rate, window, found.freq_hz)
    side = welch_bands((left - right) / 2, rate, window, found.freq_hz)
    np.testing.assert_allclose(found.mid_db, middle, atol=0.02)
    np.testing.assert_allclose(found.side_db, side, atol=0.02)
    powers = [10.0 ** (welch_bands(x, rate, window, found.freq_hz) / 10.0) for x in (left, right)]
    np.testing.assert_allclose(found.total_db, 10.0 * np.log10(np.mean(powers, axis=0)), atol=0.02)


def test_loudness_over_time_is_the_meters():
    rate = 48_000
    audio = (music(9.7, rate, 2, seed=4) * np.linspace(0.1, 1.0, round(9.7 * rate))[:, None]).astype(np.float32)
    found = heard(audio, rate)
    meter = jax.jit(short_term_loudness, static_argnums=1)  # of 3 s, every 100 ms
    wanted = np.asarray(meter(jnp.asarray(audio)[None], rate))[0]
    np.testing.assert_allclose(found.seconds, 0.5 * np.arange(1, 20))
    np.testing.assert_allclose(found.short_term[5:], wanted[::5][: len(found.short_term) - 5], atol=0.02)


def test_levels_are_plain_sums():
    audio = music(1.3, 44_100, 2, seed=5).astype(np.float32)
    found = heard(audio, 44_100)
    assert found.rms_db == pytest.approx(10.0 * np.log10(np.mean(audio.astype(np.float64) ** 2)), abs=1e-6)
    assert found.peak_db == pytest.approx(20.0 * np.log10(np.abs(audio).max()), abs=1e-6)
    assert found.crest_db == pytest.approx(found.peak_db - found.rms_db)
    assert (found.frames, found.duration) == (len(audio), len(audio) / 44_100)


def test_the_pieces_do_not_matter_and_may_be_changed_afterwards():
    audio = music(6.0, 44_100, 2, seed=6).astype(np.float32)
    one, other = heard(audio, 44_100, 100_000), heard(audio, 44_100, 333)
    np.testing.assert_array_equal(one.total_db, other.total_db)
    np.testing.assert_array_equal(one.short_term, other.short_term)
    listener = Listener(44_100, 2)
    for piece in listener.watch(audio[i : i + 5000].copy() for i in range(0, len(audio), 5000)):
        piece[:] = 0.0
    np.testing.assert_array_equal(listener.result().total_db, one.total_db)


def test_long_signals_give_points_further_apart():
    rate, seconds = 8_000, 1_300
    audio = np.zeros((seconds * rate, 1), np.float32)
    audio[::7] = 0.1
    found = heard(audio, rate, 1 << 18)
    assert len(found.seconds) < MOST_POINTS
    np.testing.assert_allclose(np.diff(found.seconds), 1.0)
    assert found.seconds[-1] == seconds
    assert np.ptp(found.short_term[10:]) < 0.05


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_other_channel_counts_have_no_side(channels):
    audio = music(1.0, 44_100, channels, seed=7).astype(np.float32)
    found = heard(audio, 44_100)
    assert found.side_db is None
    np.testing.assert_allclose(
        found.mid_db, welch_bands(audio.mean(axis=1, dtype=np.float64), 44_100, 16_384, found.freq_hz), atol=0.02
    )
    assert np.isfinite(found.short_term).all()


@pytest.mark.parametrize("frames", [1, 2, 700, 22_049])
def test_a_sound_shorter_than_a_window_has_its_level_and_one_point(frames):
    audio = np.full((frames, 1), 0.25, np.float32) * np.cos(0.1425 * np.arange(frames))[:, None].astype(np.float32)
    found = heard(audio, 44_100)
    assert len(found.seconds) == len(found.short_term) == 1
    assert np.isfinite(found.short_term).all()
    if frames > 500:  # a tone of 1 kHz: its power lies in the bands around it
        near = np.abs(np.log2(found.freq_hz / 1000.0)) < 0.4
        power = np.sum(10.0 ** (found.total_db[near] / 10.0))
        assert 10.0 * np.log10(power) == pytest.approx(10.0 * np.log10(0.25**2 / 2.0), abs=0.3)


def test_silence():
    found = heard(np.zeros((30_000, 2), np.float32), 44_100)
    assert (found.total_db == FLOOR_DB).all() and (found.side_db == FLOOR_DB).all()
    assert (found.short_term == -np.inf).all()
    assert found.rms_db == found.peak_db == -np.inf
    assert np.isnan(found.crest_db)
    nothing = Listener(44_100, 2).result()
    assert nothing.frames == 0 and len(nothing.seconds) == 0
