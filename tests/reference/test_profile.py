"""Profiles: levels against SciPy's Welch, the range against the benchmark's own, and what a file's rate changes."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import welch

from nmjax import io
from nmjax.evaluation.metrics import loudness_range_lu
from nmjax.reference.moments import Moments
from nmjax.reference.profile import BANDS, CENTRES_HZ, Profile, profile_of
from tests.music import music

RATE = 44_100


def pieces(audio, size=30_000):
    audio = audio.astype(np.float32)
    return [audio[i : i + size] for i in range(0, len(audio), size)]


def test_levels_are_welchs():
    audio = music(9.0, seed=3)
    found = profile_of(pieces(audio))
    for signal, level in ((audio.mean(axis=1), found.mid_db), ((audio[:, 0] - audio[:, 1]) / 2, found.side_db)):
        freq_hz, density = welch(signal, RATE, nperseg=16_384, scaling="density")
        for i in range(18, BANDS):  # wide enough for whole bins
            low, high = CENTRES_HZ[i] * 2 ** (-1 / 12), CENTRES_HZ[i] * 2 ** (1 / 12)
            inside = (freq_hz >= low) & (freq_hz < high)
            power = density[inside].mean() * (high - low)
            assert level[i] == pytest.approx(10 * np.log10(power), abs=0.6), CENTRES_HZ[i]


def test_pieces_make_no_difference():
    audio = music(7.5, seed=1)
    one, other = (profile_of(pieces(audio, size)) for size in (len(audio), 1_001))
    for field in set(Profile.__dataclass_fields__) - {"moments"}:
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-5, atol=1e-4)
    for field in Moments.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.moments, field), getattr(other.moments, field))


def test_moments_are_the_profile_in_pieces():
    """In the mean of their powers, and in the order of time."""
    audio = music(9.0, seed=3) * (1.0 + np.arange(9 * RATE) // (3 * RATE))[:, None]
    found = profile_of(pieces(audio))
    power = np.mean(10.0 ** (found.moments.levels_db / 10.0), axis=0)
    np.testing.assert_allclose(10.0 * np.log10(power), found.mid_db, atol=0.05)
    assert len(found.moments.levels_db) == 45
    thirds = found.moments.levels_db.mean(axis=1).reshape(3, -1).mean(axis=1)
    assert np.all(np.diff(thirds) > 1.0)


def test_the_range_is_the_benchmarks():
    swell = np.repeat(10.0 ** (np.linspace(-20.0, 0.0, 40) / 20.0), RATE // 2)
    audio = music(20.0, seed=2)[: len(swell)] * swell[:, None]
    assert profile_of(pieces(audio)).loudness_range == pytest.approx(loudness_range_lu(audio, RATE), abs=0.15)


def test_a_steady_band_is_believed_and_one_that_comes_and_goes_is_not():
    rng = np.random.default_rng(0)
    time = np.arange(30 * RATE) / RATE
    steady = rng.standard_normal(len(time)) * 0.02
    moving = 0.1 * np.sin(2 * np.pi * 3000.0 * time) * (np.floor(time / 3.0) % 3 == 0)
    doubt_db = profile_of(pieces((steady + moving)[:, None])).doubt_db
    there = int(np.argmin(np.abs(CENTRES_HZ - 3000.0)))
    assert doubt_db[there] > 1.0
    assert np.median(doubt_db) < 0.5


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (96_000, 2), (22_050, 2), (44_100, 6)])
def test_other_rates_and_channel_counts(rate, channels):
    audio = music(6.0, channels=channels).astype(np.float32)
    at_rate = io.resampled(audio, RATE, rate)
    found = profile_of(pieces(io.resampled(at_rate, rate, RATE)), min(rate, RATE) / 2)
    plain = profile_of(pieces(audio))
    assert found.stereo == (channels == 2)
    known = found.known & (found.highest_hz > 1.15 * CENTRES_HZ)  # away from the resampler's edge
    assert known.sum() == {22_050: 52}.get(rate, BANDS)
    np.testing.assert_allclose(found.mid_db[known], plain.mid_db[known], atol=0.1)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_loudness_is_pyloudnorms(channels):
    audio = music(6.0, channels=channels) * np.linspace(0.3, 1.5, channels)
    heard = audio[:, [0, 1, 2, 4, 5]] if channels == 6 else audio  # without the LFE, as BS.1770 has it
    wanted = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(heard)
    assert profile_of(pieces(audio)).lufs == pytest.approx(wanted, abs=0.01)


def test_silence_and_what_is_short():
    silence = profile_of(pieces(np.zeros((RATE, 2))))
    assert silence.silent and silence.crest_db == 0.0 and silence.lufs == -np.inf
    short = profile_of(pieces(music(0.2)))
    assert not short.silent and np.isnan(short.loudness_range) and np.all(short.doubt_db == 6.0)
    assert profile_of([]).silent and profile_of([np.zeros((0, 2), np.float32)]).silent
