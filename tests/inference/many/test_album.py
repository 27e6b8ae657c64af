"""An album is its songs one after another: its loudness, its gains, its settings."""

import math
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest

from nmjax.dsp import meter_state, metered
from nmjax.errors import BadInputError
from nmjax.inference.many.album import (
    Level,
    Pooled,
    Steps,
    album_gain_db,
    album_input_gain_db,
    album_level,
    album_prediction,
    plan_album,
)
from nmjax.models import build_model
from tests.inference.networks import network
from tests.models.helpers import apart_db
from tests.music import music

RATE = 44_100


def song(lufs: float, seconds: float, seed: int, channels: int = 2) -> np.ndarray:
    audio = music(seconds, RATE, channels, seed)
    return audio * 10.0 ** ((lufs - pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(audio)) / 20.0)


@partial(jax.jit, static_argnums=1)
def _metered(audio, channels):
    return metered(audio, RATE, meter_state(1, channels))


@cache
def _metered_once(content: bytes, channels: int):
    audio = np.frombuffer(content).reshape(1, -1, channels).astype(np.float32)
    return _metered(jnp.asarray(audio), channels)


def meter(audio: np.ndarray):
    return _metered_once(audio.tobytes(), audio.shape[1]), RATE


def lufs_of(*songs: np.ndarray) -> float:
    return pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(np.concatenate(songs))


def gated_by_hand(*songs: np.ndarray) -> float:
    """BS.1770 over the blocks of 400 ms of each song, with pyloudnorm's filters."""
    blocks = []
    for audio in songs:
        for stage in pyloudnorm.Meter(RATE, filter_class="DeMan")._filters.values():
            audio = np.stack([stage.apply_filter(audio[:, c]) for c in range(audio.shape[1])], axis=1)
        hop = RATE // 10
        blocks += [np.sum(np.mean(audio[i : i + 4 * hop] ** 2, 0)) for i in range(0, len(audio) - 4 * hop + 1, hop)]
    blocks = np.array(blocks)
    blocks = blocks[-0.691 + 10 * np.log10(blocks) > -70.0]
    blocks = blocks[blocks > np.mean(blocks) / 10.0]
    return -0.691 + 10 * np.log10(np.mean(blocks))


@pytest.mark.parametrize("levels", [(-12.0, -18.0, -15.0), (-10.0, -32.0), (-10.0, -19.0), (-20.0,)])
def test_the_loudness_of_an_album_is_that_of_its_songs_in_a_row(levels):
    songs = [song(level, 6.0, seed) for seed, level in enumerate(levels)]
    found = album_level([meter(audio) for audio in songs]).lufs
    assert abs(found - gated_by_hand(*songs)) <= 0.02
    assert abs(found - lufs_of(*songs)) <= 0.2, "three blocks in sixty at each joint"


def test_a_song_far_below_the_others_does_not_count_and_the_loudest_peak_does():
    loud, quiet = song(-10.0, 6.0, 0), song(-32.0, 6.0, 1)
    alone, both = album_level([meter(loud)]), album_level([meter(quiet), meter(loud)])
    assert abs(both.lufs - alone.lufs) <= 0.01
    assert both.true_peak_db == alone.true_peak_db >= 20 * np.log10(np.abs(loud).max())


def test_songs_of_other_rates_and_channels_and_silence_belong_to_an_album():
    stereo, mono = song(-14.0, 6.0, 0), song(-14.0, 6.0, 1, channels=1)
    silence = np.zeros((6 * RATE, 2))
    found = album_level([meter(stereo), meter(mono), meter(silence)])
    assert abs(found.lufs + 14.0) <= 0.05
    assert album_level([meter(silence)]) == Level(-math.inf, -math.inf)


@pytest.mark.parametrize(
    "level, limiting, gain",
    [
        (Level(-20.0, -12.0), 0.0, 6.0),
        (Level(-20.0, -5.0), 0.0, 4.0),
        (Level(-20.0, -5.0), 6.0, 6.0),
        (Level(-20.0, -5.0), 1.0, 5.0),
        (Level(-10.0, -0.5), 0.0, -4.0),
        (Level(-math.inf, 0.5), 0.0, -1.5),
        (Level(-math.inf, -30.0), 0.0, 0.0),
        (Level(-math.inf, -math.inf), 0.0, 0.0),
    ],
)
def test_one_gain_for_all_as_far_as_the_peak_allows(level, limiting, gain):
    assert album_gain_db(level, -14.0, -1.0, limiting) == gain


def test_the_album_comes_to_the_models_level():
    assert album_input_gain_db(Level(-14.0, -1.0)) == -6.0
    assert album_input_gain_db(Level(-math.inf, -1.0)) == 0.0


def whole(method: str, *arguments):
    return _applied(method, network("1c").variables, *arguments)


@partial(jax.jit, static_argnums=0)
def _applied(method: str, variables, *arguments):
    return build_model(network("1c").config).apply(variables, *arguments, method=method)


def heard(audio: np.ndarray) -> Pooled:
    frames = whole("hear", jnp.asarray(audio)[None], jnp.array([len(audio)]))[0]
    return Pooled(np.asarray(frames, np.float64).sum(0)[None], len(frames))


settle = partial(whole, "settle")


def test_the_settings_of_an_album_are_those_of_its_songs_in_a_row():
    rng = np.random.default_rng(0)
    quiet, loud = (a * rng.standard_normal((n, 1)).astype(np.float32) for a, n in ((0.3, 16 * 400), (2.0, 16 * 1200)))
    found = album_prediction([heard(quiet), heard(loud)], settle, -3.5)
    row, alone = (network("1c").predict([x]) for x in (np.concatenate([quiet, loud]), loud))
    assert apart_db(found.z, row.z) <= -45.0, "frames near the joint hear both songs in a row"
    assert apart_db(found.z, alone.z) >= -30.0, "or the test could not fail"
    assert found.settings.input_gain_db.tolist() == [-3.5]
    one = album_prediction([heard(loud)], settle, 0.0)
    assert apart_db(one.z, alone.z) <= -110.0
    with pytest.raises(ValueError, match="no song has a frame"):
        album_prediction([Pooled(np.zeros((1, 3)), 0)], settle, 0.0)


def steps(songs: dict[Path, np.ndarray], broken: Path | None = None) -> Steps:
    """Songs in memory; the model adds its input gain and 2 dB to each."""

    def measure(track):
        if track == broken:
            raise BadInputError("it is no music.")
        return meter(songs[track])[0]

    def listen(track, gain_db):
        louder = (songs[track][: 16 * 100, :1] * 10 ** (gain_db / 20)).astype(np.float32)
        return heard(louder)

    def render(track, prediction):
        return meter(songs[track] * 10 ** ((float(prediction.settings.input_gain_db[0]) + 2.0) / 20))[0]

    return Steps(lambda track: RATE, measure, listen, settle, render)


@pytest.mark.parametrize("target", [-26.0, -9.0])
def test_an_album_keeps_the_songs_relative_loudness_and_lands_as_a_whole(target):
    songs = {Path(f"{i}.wav"): song(level, 6.0, i) for i, level in enumerate((-12.0, -16.0, -21.0))}
    plan = plan_album(list(songs), steps(songs), target, -1.0)
    gain_db = float(plan.prediction.settings.input_gain_db[0]) + 2.0 + plan.delivery_gain_db
    delivered = [audio * 10 ** (gain_db / 20) for audio in songs.values()]
    assert abs(float(plan.prediction.settings.input_gain_db[0]) - (-20.0 - lufs_of(*songs.values()))) <= 0.1
    assert abs(plan.lufs - lufs_of(*delivered)) <= 0.1
    if target == -26.0:
        assert abs(plan.lufs - target) <= 0.01 and not plan.notes
    else:
        assert abs(album_level([meter(audio) for audio in delivered]).true_peak_db + 1.0) <= 0.01
        assert plan.lufs < -10.0 and f"{plan.lufs:.1f} LUFS" in plan.notes[0]


def test_an_album_lacks_no_song():
    songs = {Path(f"{i}.wav"): song(-12.0, 6.0, i) for i in range(2)}
    with pytest.raises(BadInputError, match=r"The album lacks '1\.wav': it is no music\."):
        plan_album(list(songs), steps(songs, broken=Path("1.wav")), -14.0, -1.0)
