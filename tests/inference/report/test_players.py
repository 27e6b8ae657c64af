"""Excerpts and players: decoded again, measured by pyloudnorm."""

import base64
import io

import numpy as np
import pyloudnorm
import pytest
import soundfile

from nmjax.inference.report import players as module
from nmjax.inference.report.insight import Listener
from nmjax.inference.report.players import Excerpt, excerpts, players
from tests.music import music


def heard(audio, rate):
    listener = Listener(rate, audio.shape[1])
    for _ in listener.watch([audio]):
        pass
    return listener.result()


def pieces(audio, size=30_001):
    return (audio[i : i + size] for i in range(0, len(audio), size))


def decoded(text):
    return soundfile.read(io.BytesIO(base64.b64decode(text)), always_2d=True)


def lufs(audio, rate):
    return pyloudnorm.Meter(rate, "DeMan").integrated_loudness(audio)


@pytest.fixture(scope="module")
def song():
    """45 s at 8 kHz: quiet, loud from 20 s to 32 s, then between."""
    rate = 8000
    audio = music(45.0, rate, 2, seed=1).astype(np.float32)
    level = np.full(45 * rate, 0.1, np.float32)
    level[20 * rate : 32 * rate] = 1.0
    level[32 * rate :] = 0.3
    return audio * level[:, None], rate


def test_the_loudest_stretch_is_found_and_both_sides_are_the_same_stretch(song):
    before, rate = song
    after = 0.5 * before
    found = excerpts(pieces(before), pieces(after, 777), heard(after, rate))
    assert len(found) == 2
    assert 20.0 <= found[0].start <= 22.0
    assert abs(found[1].start - found[0].start) >= 10.0
    for excerpt in found:
        first = round(excerpt.start * rate)
        np.testing.assert_array_equal(excerpt.before, before[first : first + 10 * rate])
        np.testing.assert_array_equal(excerpt.after, 0.5 * excerpt.before)


def test_no_more_is_read_than_needed(song):
    before, rate = song
    asked = 0

    def counted():
        nonlocal asked
        for piece in pieces(before):
            asked += len(piece)
            yield piece

    found = excerpts(counted(), pieces(before), heard(before, rate))
    assert asked < (max(e.start for e in found) + 10.0) * rate + 60_000


@pytest.mark.parametrize("seconds", [0.0005, 0.3, 1.0, 10.0])
def test_a_short_track_is_one_excerpt(seconds):
    rate = 44_100
    audio = music(seconds, rate, 1, seed=2).astype(np.float32)
    (found,) = excerpts(pieces(audio), pieces(audio), heard(audio, rate))
    assert found.start == 0.0 and len(found.before) == len(audio)
    (player,) = players([found])
    for text in (player.before, player.after):
        sound, told = decoded(text)
        assert (len(sound), told) == (len(audio), rate)


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 1)])
def test_both_sides_play_at_the_same_loudness_and_none_clips(rate, channels):
    before = music(3.0, rate, channels, seed=3).astype(np.float32)
    after = np.tanh(6.0 * before) + 0.3 * music(3.0, rate, channels, seed=4).astype(np.float32)
    (player,) = players([Excerpt("One", 0.0, rate, before, after)])
    loud = []
    for text, original, gain_db in ((player.before, before, player.before_db), (player.after, after, player.after_db)):
        sound, told = decoded(text)
        assert told == rate and sound.shape == original.shape
        np.testing.assert_allclose(sound, original * 10.0 ** (gain_db / 20.0), atol=2.0**-15)
        assert gain_db <= 0.0
        loud.append(lufs(sound, rate))
    assert loud[0] == pytest.approx(loud[1], abs=0.05)
    assert loud[0] == pytest.approx(player.lufs, abs=0.05)
    assert min(player.before_db, player.after_db) < -3.0


def test_what_lies_over_full_scale_is_lowered_on_both_sides():
    before = (30.0 * music(1.0, 44_100, 2, seed=5)).astype(np.float32)
    (player,) = players([Excerpt("One", 0.0, 44_100, before, before)])
    sound, _ = decoded(player.before)
    assert player.before_db == player.after_db < -6.0
    np.testing.assert_allclose(sound, before * 10.0 ** (player.before_db / 20.0), atol=2.0**-15)


def test_high_rates_and_many_channels_become_what_a_browser_plays():
    before = music(1.0, 192_000, 6, seed=6).astype(np.float32)
    before[:, 1:] = 0.0
    before[:, 3] = 0.9  # the LFE, which is not heard
    (player,) = players([Excerpt("One", 0.0, 192_000, before, before)])
    sound, rate = decoded(player.before)
    assert (rate, sound.shape) == (48_000, (48_000, 2))
    assert np.abs(sound[:, 0]).max() > 0.1 and np.abs(sound[:, 1]).max() == 0.0


@pytest.mark.parametrize("channels", range(3, 9))
def test_every_channel_but_the_lfe_is_heard(channels):
    for channel in range(channels):
        audio = np.zeros((4000, channels), np.float32)
        audio[:, channel] = 0.1
        (player,) = players([Excerpt("One", 0.0, 8000, audio, audio)])
        sound = np.abs(decoded(player.after)[0]).max(axis=0)
        assert (sound.max() > 0.05) != (channel == 3 and channels >= 6)


def test_silence_plays_unmatched():
    silent = np.zeros((4410, 2), np.float32)
    (player,) = players([Excerpt("One", 0.0, 44_100, silent, silent)])
    assert (player.before_db, player.after_db, player.lufs) == (0.0, 0.0, -np.inf)
    assert not decoded(player.before)[0].any()


def test_too_much_sound_is_shortened_alike(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 300_000)
    rng = np.random.default_rng(7)
    noise = rng.uniform(-0.5, 0.5, (2 * 44_100, 2)).astype(np.float32)
    ready = players([Excerpt("One", 0.0, 44_100, noise, 0.5 * noise), Excerpt("Two", 5.0, 44_100, noise, noise)])
    assert 200_000 < sum(len(p.before) + len(p.after) for p in ready) <= 300_000
    for player in ready:
        lengths = {len(decoded(text)[0]) for text in (player.before, player.after)}
        assert lengths == {round(player.seconds * 44_100)}
