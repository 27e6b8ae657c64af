"""Excerpts and players, decoded again and measured by pyloudnorm."""

import base64
import io

import numpy as np
import pyloudnorm
import pytest
import soundfile

from nmjax.report import audio_players
from nmjax.report.audio_players import Excerpt, Side, add_reference, encode_players, select_excerpts
from tests.report.test_spectral_change import analyze_audio
from tests.synthetic_audio import music


def split_chunks(audio, size=30_001):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def decode_player(text):
    return soundfile.read(io.BytesIO(base64.b64decode(text)), always_2d=True)


def one_excerpt(before, after, rate, name="One", start_s=0.0):
    sides = [("original", "Input", "A", before), ("master", "Master", "B", after)]
    return Excerpt(name, start_s, tuple(Side(*words, rate, audio) for *words, audio in sides))


def lufs(audio, rate):
    return pyloudnorm.Meter(rate, "DeMan").integrated_loudness(audio)


@pytest.fixture(scope="module")
def song():
    """45 s at 8 kHz: quiet, loud from 20 s to 32 s, then in between."""
    rate = 8000
    audio = music(45.0, rate, 2, seed=1).astype(np.float32)
    level = np.full(45 * rate, 0.1, np.float32)
    level[20 * rate : 32 * rate] = 1.0
    level[32 * rate :] = 0.3
    return audio * level[:, None], rate


def test_the_loudest_excerpt_is_chosen_and_both_versions_are_aligned(song):
    before, rate = song
    after = 0.5 * before
    result = select_excerpts(split_chunks(before), split_chunks(after, 777), analyze_audio(after, rate), 10.0)
    assert len(result) == 2
    assert 20.0 <= result[0].start_s <= 22.0
    assert abs(result[1].start_s - result[0].start_s) >= 10.0
    for excerpt in result:
        first = round(excerpt.start_s * rate)
        np.testing.assert_array_equal(excerpt.sides[0].audio, before[first : first + 10 * rate])
        np.testing.assert_array_equal(excerpt.sides[1].audio, 0.5 * excerpt.sides[0].audio)


def test_excerpts_have_30_seconds_or_the_whole_track(song):
    before, rate = song
    for seconds, frames in ((30.0, 30 * rate), (np.inf, len(before))):
        result = select_excerpts(split_chunks(before), split_chunks(before), analyze_audio(before, rate), seconds)
        assert [len(side.audio) for side in result[0].sides] == [frames, frames]
    assert len(select_excerpts(split_chunks(before), split_chunks(before), analyze_audio(before, rate))) == 1


def test_a_reference_is_a_third_side_as_long_as_the_others_and_as_loud(song):
    before, rate = song
    reference = music(12.0, 16_000, 1, seed=9).astype(np.float32)
    excerpts = select_excerpts(split_chunks(before), split_chunks(before), analyze_audio(before, rate), 10.0)
    result = add_reference(excerpts, split_chunks(reference), analyze_audio(reference, 16_000), 10.0)
    for player in encode_players(result):
        assert [(x.name, x.key) for x in player.sides] == [("original", "A"), ("master", "B"), ("reference", "R")]
        sound, decoded_rate = decode_player(player.sides[2].flac)
        assert (len(sound), decoded_rate) == (160_000, 16_000)
        levels = [lufs(*decode_player(side.flac)) for side in player.sides]
        assert np.ptp(levels) < 0.1
    short = add_reference(excerpts, split_chunks(reference[:16_000]), analyze_audio(reference[:16_000], 16_000), 10.0)
    audio = short[0].sides[2].audio
    assert len(audio) == 160_000 and audio[:16_000].any() and not audio[16_000:].any()


def test_nothing_beyond_the_excerpts_is_read(song):
    before, rate = song
    frames_read = 0

    def counted():
        nonlocal frames_read
        for chunk in split_chunks(before):
            frames_read += len(chunk)
            yield chunk

    result = select_excerpts(counted(), split_chunks(before), analyze_audio(before, rate), 10.0)
    assert frames_read < (max(e.start_s for e in result) + 10.0) * rate + 60_000


@pytest.mark.parametrize("seconds", [0.0005, 0.3, 1.0, 10.0])
def test_a_short_track_is_one_excerpt(seconds):
    rate = 44_100
    audio = music(seconds, rate, 1, seed=2).astype(np.float32)
    (result,) = select_excerpts(split_chunks(audio), split_chunks(audio), analyze_audio(audio, rate))
    assert result.start_s == 0.0 and len(result.sides[0].audio) == len(audio)
    (player,) = encode_players([result])
    for text in (side.flac for side in player.sides):
        sound, decoded_rate = decode_player(text)
        assert (len(sound), decoded_rate) == (len(audio), rate)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_both_versions_have_the_same_loudness_and_do_not_clip(rate, channels):
    before = music(3.0, rate, channels, seed=3).astype(np.float32)
    after = np.tanh(6.0 * before) + 0.3 * music(3.0, rate, channels, seed=4).astype(np.float32)
    (player,) = encode_players([one_excerpt(before, after, rate)])
    loudness = []
    for side, original in zip(player.sides, (before, after), strict=True):
        sound, decoded_rate = decode_player(side.flac)
        gain_db = side.gain_db
        assert decoded_rate == rate and sound.shape == original.shape
        np.testing.assert_allclose(sound, original * 10.0 ** (gain_db / 20.0), atol=2.0**-15)
        assert gain_db <= 0.0
        loudness.append(lufs(sound, rate))
    assert loudness[0] == pytest.approx(loudness[1], abs=0.05)
    assert loudness[0] == pytest.approx(player.lufs, abs=0.05)
    assert min(side.gain_db for side in player.sides) < -3.0


def test_audio_over_full_scale_is_lowered_in_both_versions():
    before = (30.0 * music(1.0, 44_100, 2, seed=5)).astype(np.float32)
    (player,) = encode_players([one_excerpt(before, before, 44_100)])
    sound, _ = decode_player(player.sides[0].flac)
    assert player.sides[0].gain_db == player.sides[1].gain_db < -6.0
    np.testing.assert_allclose(sound, before * 10.0 ** (player.sides[0].gain_db / 20.0), atol=2.0**-15)


def test_high_rates_and_many_channels_are_converted_for_browsers():
    before = music(1.0, 192_000, 6, seed=6).astype(np.float32)
    before[:, 1:] = 0.0
    before[:, 3] = 0.9  # the LFE, which is left out
    (player,) = encode_players([one_excerpt(before, before, 192_000)])
    sound, rate = decode_player(player.sides[0].flac)
    assert (rate, sound.shape) == (48_000, (48_000, 2))
    assert np.abs(sound[:, 0]).max() > 0.1 and np.abs(sound[:, 1]).max() == 0.0


@pytest.mark.parametrize("channels", range(3, 9))
def test_every_channel_but_the_lfe_is_audible(channels):
    for channel in range(channels):
        audio = np.zeros((4000, channels), np.float32)
        audio[:, channel] = 0.1
        (player,) = encode_players([one_excerpt(audio, audio, 8000)])
        sound = np.abs(decode_player(player.sides[1].flac)[0]).max(axis=0)
        assert (sound.max() > 0.05) != (channel == 3 and channels >= 6)


def test_the_loudness_of_silence_is_not_matched():
    silent = np.zeros((4410, 2), np.float32)
    (player,) = encode_players([one_excerpt(silent, silent, 44_100)])
    assert (player.sides[0].gain_db, player.sides[1].gain_db, player.lufs) == (0.0, 0.0, -np.inf)
    assert not decode_player(player.sides[0].flac)[0].any()


def test_excerpts_over_the_size_limit_are_shortened_equally(monkeypatch):
    monkeypatch.setattr(audio_players, "MAX_EXCERPTS_BYTES", 300_000)
    rng = np.random.default_rng(7)
    noise = rng.uniform(-0.5, 0.5, (2 * 44_100, 2)).astype(np.float32)
    ready = encode_players([one_excerpt(noise, 0.5 * noise, 44_100), one_excerpt(noise, noise, 44_100, "Two", 5.0)])
    assert 200_000 < sum(len(p.sides[0].flac) + len(p.sides[1].flac) for p in ready) <= 300_000
    for player in ready:
        lengths = {len(decode_player(text)[0]) for text in (player.sides[0].flac, player.sides[1].flac)}
        assert lengths == {round(player.duration_s * 44_100)}
