"""Features of a recording: levels against SciPy's Welch, loudness against pyloudnorm, and independence of the rate."""

import numpy as np
import pyloudnorm
import pytest
from scipy.signal import welch

from nmjax.audio import reader
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.evaluation.metrics import loudness_range_lu
from nmjax.reference.bands import CENTERS_HZ, NUM_BANDS, WIDTH_FROM_HZ
from nmjax.reference.features import TrackFeatures, track_features
from nmjax.reference.frame_matching import FrameLevels
from tests.synthetic_audio import music

RATE = 44_100


def split_chunks(audio, size=30_000):
    audio = audio.astype(np.float32)
    return [audio[i : i + size] for i in range(0, len(audio), size)]


def test_levels_match_welch():
    audio = music(9.0, seed=3)
    result = track_features(split_chunks(audio))
    for signal, level in ((audio.mean(axis=1), result.mid_db), ((audio[:, 0] - audio[:, 1]) / 2, result.side_db)):
        freq_hz, density = welch(signal, RATE, nperseg=16_384, scaling="density")
        for i in range(18, NUM_BANDS):  # wider than a few bins
            low, high = CENTERS_HZ[i] * 2 ** (-1 / 12), CENTERS_HZ[i] * 2 ** (1 / 12)
            inside = (freq_hz >= low) & (freq_hz < high)
            power = density[inside].mean() * (high - low)
            assert level[i] == pytest.approx(10 * np.log10(power), abs=0.6), CENTERS_HZ[i]


def test_the_chunk_size_does_not_matter():
    audio = music(7.5, seed=1)
    one, other = (track_features(split_chunks(audio, size)) for size in (len(audio), 1_001))
    for field in set(TrackFeatures.__dataclass_fields__) - {"frames"}:
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-5, atol=1e-4)
    for field in FrameLevels.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.frames, field), getattr(other.frames, field))


def test_frames_average_to_the_long_term_levels():
    """The mean of their powers is the long-term power, and they are in temporal order."""
    audio = music(9.0, seed=3) * (1.0 + np.arange(9 * RATE) // (3 * RATE))[:, None]
    result = track_features(split_chunks(audio))
    power = np.mean(10.0 ** (result.frames.levels_db / 10.0), axis=0)
    np.testing.assert_allclose(10.0 * np.log10(power), result.mid_db, atol=0.05)
    assert len(result.frames.levels_db) == 45
    thirds = result.frames.levels_db.mean(axis=1).reshape(3, -1).mean(axis=1)
    assert np.all(np.diff(thirds) > 1.0)


def test_loudness_range_matches_the_benchmark():
    swell = np.repeat(10.0 ** (np.linspace(-20.0, 0.0, 40) / 20.0), RATE // 2)
    audio = music(20.0, seed=2)[: len(swell)] * swell[:, None]
    assert track_features(split_chunks(audio)).loudness_range == pytest.approx(loudness_range_lu(audio, RATE), abs=0.15)


def test_an_intermittent_band_has_more_uncertainty_than_a_steady_one():
    rng = np.random.default_rng(0)
    time = np.arange(30 * RATE) / RATE
    steady = rng.standard_normal(len(time)) * 0.02
    moving = 0.1 * np.sin(2 * np.pi * 3000.0 * time) * (np.floor(time / 3.0) % 3 == 0)
    std_error_db = track_features(split_chunks((steady + moving)[:, None])).std_error_db
    band = int(np.argmin(np.abs(CENTERS_HZ - 3000.0)))
    assert std_error_db[band] > 1.0
    assert np.median(std_error_db) < 0.5


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (96_000, 2), (22_050, 2), (44_100, 6)])
def test_other_rates_and_channel_counts(rate, channels):
    audio = music(6.0, channels=channels).astype(np.float32)
    at_rate = reader.resample(audio, RATE, rate)
    result = track_features(split_chunks(reader.resample(at_rate, rate, RATE)), min(rate, RATE) / 2)
    plain = track_features(split_chunks(audio))
    assert result.stereo == (channels == 2)
    known = result.known_bands & (result.max_hz > 1.15 * CENTERS_HZ)  # below the transition band of the resampler
    assert known.sum() == {22_050: 52}.get(rate, NUM_BANDS)
    np.testing.assert_allclose(result.mid_db[known], plain.mid_db[known], atol=0.1)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_loudness_matches_pyloudnorm(channels):
    audio = music(6.0, channels=channels) * np.linspace(0.3, 1.5, channels)
    without_lfe = audio[:, [0, 1, 2, 4, 5]] if channels == 6 else audio  # BS.1770 ignores the LFE
    expected = pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(without_lfe)
    assert track_features(split_chunks(audio)).lufs == pytest.approx(expected, abs=0.01)


def test_silence_and_short_audio():
    silence = track_features(split_chunks(np.zeros((RATE, 2))))
    assert silence.silent and silence.crest_db == 0.0 and silence.lufs == -np.inf
    quiet = track_features(split_chunks(3e-4 * music(6.0)))  # below −70 LUFS nothing counts
    assert not quiet.silent and np.isnan(quiet.loudness_range) and quiet.lufs == -np.inf
    short = track_features(split_chunks(music(0.2)))
    assert not short.silent and np.isnan(short.loudness_range) and np.all(short.std_error_db == 6.0)
    assert track_features([]).silent and track_features([np.zeros((0, 2), np.float32)]).silent


def test_two_equal_channels_have_no_side():
    audio = music(6.0)
    assert track_features(split_chunks(audio)).has_side
    mono = audio.mean(axis=1, keepdims=True)
    assert not track_features(split_chunks(mono)).has_side
    assert not track_features(split_chunks(np.repeat(mono, 2, axis=1))).has_side


def test_the_width_is_that_above_the_crossover_of_the_width_processor():
    assert WIDTH_FROM_HZ == CROSSOVER_HZ
