"""Excerpts and players, decoded again and measured by pyloudnorm."""

import base64
import io

import numpy as np
import pyloudnorm
import pytest
import soundfile

from nmjax.report import audio_players
from nmjax.report.audio_players import Excerpt, encode_players, select_excerpts
from tests.report.test_spectral_change import analyze_audio
from tests.synthetic_audio import music


def split_chunks(audio, size=30_001):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def decode_player(text):
    return soundfile.read(io.BytesIO(base64.b64decode(text)), always_2d=True)


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
    result = select_excerpts(split_chunks(before), split_chunks(after, 777), analyze_audio(after, rate))
    assert len(result) == 2
    assert 20.0 <= result[0].start_s <= 22.0
    assert abs(result[1].start_s - result[0].start_s) >= 10.0
    for excerpt in result:
        first = round(excerpt.start_s * rate)
        np.testing.assert_array_equal(excerpt.before, before[first : first + 10 * rate])
        np.testing.assert_array_equal(excerpt.after, 0.5 * excerpt.before)


def test_nothing_beyond_the_excerpts_is_read(song):
    before, rate = song
    frames_read = 0

    def counted():
        nonlocal frames_read
        for chunk in split_chunks(before):
            frames_read += len(chunk)
            yield chunk

    result = select_excerpts(counted(), split_chunks(before), analyze_audio(before, rate))
    assert frames_read < (max(e.start_s for e in result) + 10.0) * rate + 60_000


@pytest.mark.parametrize("seconds", [0.0005, 0.3, 1.0, 10.0])
def test_a_short_track_is_one_excerpt(seconds):
    rate = 44_100
    audio = music(seconds, rate, 1, seed=2).astype(np.float32)
    (result,) = select_excerpts(split_chunks(audio), split_chunks(audio), analyze_audio(audio, rate))
    assert result.start_s == 0.0 and len(result.before) == len(audio)
    (player,) = encode_players([result])
    for text in (player.before_flac, player.after_flac):
        sound, decoded_rate = decode_player(text)
        assert (len(sound), decoded_rate) == (len(audio), rate)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_both_versions_have_the_same_loudness_and_do_not_clip(rate, channels):
    before = music(3.0, rate, channels, seed=3).astype(np.float32)
    after = np.tanh(6.0 * before) + 0.3 * music(3.0, rate, channels, seed=4).astype(np.float32)
    (player,) = encode_players([Excerpt("One", 0.0, rate, before, after)])
    loudness = []
    for text, original, gain_db in (
        (player.before_flac, before, player.before_gain_db),
        (player.after_flac, after, player.after_gain_db),
    ):
        sound, decoded_rate = decode_player(text)
        assert decoded_rate == rate and sound.shape == original.shape
        np.testing.assert_allclose(sound, original * 10.0 ** (gain_db / 20.0), atol=2.0**-15)
        assert gain_db <= 0.0
        loudness.append(lufs(sound, rate))
    assert loudness[0] == pytest.approx(loudness[1], abs=0.05)
    assert loudness[0] == pytest.approx(player.lufs, abs=0.05)
    assert min(player.before_gain_db, player.after_gain_db) < -3.0


def test_audio_over_full_scale_is_lowered_in_both_versions():
    before = (30.0 * music(1.0, 44_100, 2, seed=5)).astype(np.float32)
    (player,) = encode_players([Excerpt("One", 0.0, 44_100, before, before)])
    sound, _ = decode_player(player.before_flac)
    assert player.before_gain_db == player.after_gain_db < -6.0
    np.testing.assert_allclose(sound, before * 10.0 ** (player.before_gain_db / 20.0), atol=2.0**-15)


def test_high_rates_and_many_channels_are_converted_for_browsers():
    before = music(1.0, 192_000, 6, seed=6).astype(np.float32)
    before[:, 1:] = 0.0
    before[:, 3] = 0.9  # the LFE, which is left out
    (player,) = encode_players([Excerpt("One", 0.0, 192_000, before, before)])
    sound, rate = decode_player(player.before_flac)
    assert (rate, sound.shape) == (48_000, (48_000, 2))
    assert np.abs(sound[:, 0]).max() > 0.1 and np.abs(sound[:, 1]).max() == 0.0


@pytest.mark.parametrize("channels", range(3, 9))
def test_every_channel_but_the_lfe_is_audible(channels):
    for channel in range(channels):
        audio = np.zeros((4000, channels), np.float32)
        audio[:, channel] = 0.1
        (player,) = encode_players([Excerpt("One", 0.0, 8000, audio, audio)])
        sound = np.abs(decode_player(player.after_flac)[0]).max(axis=0)
        assert (sound.max() > 0.05) != (channel == 3 and channels >= 6)


def test_the_loudness_of_silence_is_not_matched():
    silent = np.zeros((4410, 2), np.float32)
    (player,) = encode_players([Excerpt("One", 0.0, 44_100, silent, silent)])
    assert (player.before_gain_db, player.after_gain_db, player.lufs) == (0.0, 0.0, -np.inf)
    assert not decode_player(player.before_flac)[0].any()


def test_excerpts_over_the_size_limit_are_shortened_equally(monkeypatch):
    monkeypatch.setattr(audio_players, "MAX_PLAYER_BYTES", 300_000)
    rng = np.random.default_rng(7)
    noise = rng.uniform(-0.5, 0.5, (2 * 44_100, 2)).astype(np.float32)
    ready = encode_players([Excerpt("One", 0.0, 44_100, noise, 0.5 * noise), Excerpt("Two", 5.0, 44_100, noise, noise)])
    assert 200_000 < sum(len(p.before_flac) + len(p.after_flac) for p in ready) <= 300_000
    for player in ready:
        lengths = {len(decode_player(text)[0]) for text in (player.before_flac, player.after_flac)}
        assert lengths == {round(player.duration_s * 44_100)}
