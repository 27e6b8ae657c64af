"""An album equals its concatenated songs: loudness, gains and settings."""

import math
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyloudnorm
import pytest

from nmjax.batch.album_plan import (
    AlbumLevel,
    SongMeter,
    SongOperations,
    album_delivery_gain_db,
    album_input_gain_db,
    album_prediction,
    measure_album_level,
    plan_album,
)
from nmjax.dsp import initial_meter_state, update_meter
from nmjax.mastering.network import PooledFrames
from nmjax.models import build_model
from nmjax.runtime.errors import BadInputError
from tests.models.helpers import peak_error_db
from tests.random_networks import random_network
from tests.synthetic_audio import music

RATE = 44_100


def make_song(lufs: float, seconds: float, seed: int, channels: int = 2) -> np.ndarray:
    audio = music(seconds, RATE, channels, seed)
    return audio * 10.0 ** ((lufs - pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(audio)) / 20.0)


@partial(jax.jit, static_argnums=1)
def _meter_state(audio, channels):
    return update_meter(audio, RATE, initial_meter_state(1, channels))


@cache
def _cached_meter_state(content: bytes, channels: int):
    audio = np.frombuffer(content).reshape(1, -1, channels).astype(np.float32)
    return _meter_state(jnp.asarray(audio), channels)


def song_meter(audio: np.ndarray) -> SongMeter:
    return SongMeter(_cached_meter_state(audio.tobytes(), audio.shape[1]), RATE)


def lufs_of(*songs: np.ndarray) -> float:
    return pyloudnorm.Meter(RATE, filter_class="DeMan").integrated_loudness(np.concatenate(songs))


def gated_loudness(*songs: np.ndarray) -> float:
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
def test_album_loudness_equals_that_of_the_concatenated_songs(levels):
    songs = [make_song(level, 6.0, seed) for seed, level in enumerate(levels)]
    result = measure_album_level([song_meter(audio) for audio in songs]).lufs
    assert abs(result - gated_loudness(*songs)) <= 0.02
    assert abs(result - lufs_of(*songs)) <= 0.2, "three blocks in sixty at each joint"


def test_a_song_far_below_the_others_does_not_count_and_the_loudest_peak_does():
    loud, quiet = make_song(-10.0, 6.0, 0), make_song(-32.0, 6.0, 1)
    alone, both = measure_album_level([song_meter(loud)]), measure_album_level([song_meter(quiet), song_meter(loud)])
    assert abs(both.lufs - alone.lufs) <= 0.01
    assert both.true_peak_db == alone.true_peak_db >= 20 * np.log10(np.abs(loud).max())


def test_songs_of_other_rates_and_channels_and_silence_belong_to_an_album():
    stereo, mono = make_song(-14.0, 6.0, 0), make_song(-14.0, 6.0, 1, channels=1)
    silence = np.zeros((6 * RATE, 2))
    result = measure_album_level([song_meter(stereo), song_meter(mono), song_meter(silence)])
    assert abs(result.lufs + 14.0) <= 0.05
    assert measure_album_level([song_meter(silence)]) == AlbumLevel(-math.inf, -math.inf)


@pytest.mark.parametrize(
    "level, limiting, gain",
    [
        (AlbumLevel(-20.0, -12.0), 0.0, 6.0),
        (AlbumLevel(-20.0, -5.0), 0.0, 4.0),
        (AlbumLevel(-20.0, -5.0), 6.0, 6.0),
        (AlbumLevel(-20.0, -5.0), 1.0, 5.0),
        (AlbumLevel(-10.0, -0.5), 0.0, -4.0),
        (AlbumLevel(-math.inf, 0.5), 0.0, -1.5),
        (AlbumLevel(-math.inf, -30.0), 0.0, 0.0),
        (AlbumLevel(-math.inf, -math.inf), 0.0, 0.0),
    ],
)
def test_one_gain_for_all_as_far_as_the_peak_allows(level, limiting, gain):
    assert album_delivery_gain_db(level, -14.0, -1.0, limiting) == gain


def test_album_input_gain_reaches_the_model_level():
    assert album_input_gain_db(AlbumLevel(-14.0, -1.0)) == -6.0
    assert album_input_gain_db(AlbumLevel(-math.inf, -1.0)) == 0.0


def apply_model(method: str, *arguments):
    return _apply_model(method, random_network("1c").variables, *arguments)


@partial(jax.jit, static_argnums=0)
def _apply_model(method: str, variables, *arguments):
    return build_model(random_network("1c").config).apply(variables, *arguments, method=method)


def pooled_frames(audio: np.ndarray) -> PooledFrames:
    frames = apply_model("encode_frames", jnp.asarray(audio)[None], jnp.array([len(audio)]))[0]
    return PooledFrames(np.asarray(frames, np.float64).sum(0)[None], len(frames))


decode = partial(apply_model, "decode_pooled")


def test_album_settings_equal_those_of_the_concatenated_songs():
    rng = np.random.default_rng(0)
    quiet, loud = (a * rng.standard_normal((n, 1)).astype(np.float32) for a, n in ((0.3, 16 * 400), (2.0, 16 * 1200)))
    result = album_prediction([pooled_frames(quiet), pooled_frames(loud)], decode, -3.5)
    row, alone = (random_network("1c").predict([x]) for x in (np.concatenate([quiet, loud]), loud))
    assert peak_error_db(result.z, row.z) <= -45.0, "frames near the joint see both songs in a row"
    assert peak_error_db(result.z, alone.z) >= -30.0, "or the test could not fail"
    assert result.settings.input_gain_db.tolist() == [-3.5]
    one = album_prediction([pooled_frames(loud)], decode, 0.0)
    assert peak_error_db(one.z, alone.z) <= -110.0
    with pytest.raises(ValueError, match="no song has a frame"):
        album_prediction([PooledFrames(np.zeros((1, 3)), 0)], decode, 0.0)


def make_operations(songs: dict[Path, np.ndarray], broken: Path | None = None) -> SongOperations:
    """Songs in memory; the model adds its input gain and 2 dB to each."""

    def measure(track):
        if track == broken:
            raise BadInputError("it is no music.")
        return song_meter(songs[track])

    def encode(track, gain_db):
        louder = (songs[track][: 16 * 100, :1] * 10 ** (gain_db / 20)).astype(np.float32)
        return pooled_frames(louder)

    def render(track, prediction):
        return song_meter(songs[track] * 10 ** ((float(prediction.settings.input_gain_db[0]) + 2.0) / 20))

    return SongOperations(meter_input=measure, encode=encode, decode_pooled=decode, meter_rendered=render)


@pytest.mark.parametrize("target", [-26.0, -9.0])
def test_an_album_keeps_the_songs_relative_loudness_and_reaches_the_target_as_a_whole(target):
    songs = {Path(f"{i}.wav"): make_song(level, 6.0, i) for i, level in enumerate((-12.0, -16.0, -21.0))}
    plan = plan_album(list(songs), make_operations(songs), target, -1.0)
    gain_db = float(plan.prediction.settings.input_gain_db[0]) + 2.0 + plan.delivery_gain_db
    delivered = [audio * 10 ** (gain_db / 20) for audio in songs.values()]
    assert abs(float(plan.prediction.settings.input_gain_db[0]) - (-20.0 - lufs_of(*songs.values()))) <= 0.1
    assert abs(plan.lufs - lufs_of(*delivered)) <= 0.1
    if target == -26.0:
        assert abs(plan.lufs - target) <= 0.01 and not plan.notes
    else:
        assert abs(measure_album_level([song_meter(audio) for audio in delivered]).true_peak_db + 1.0) <= 0.01
        assert plan.lufs < -10.0 and f"{plan.lufs:.1f} LUFS" in plan.notes[0]


def test_an_unreadable_song_rejects_the_album():
    songs = {Path(f"{i}.wav"): make_song(-12.0, 6.0, i) for i in range(2)}
    with pytest.raises(BadInputError, match=r"'1\.wav' cannot be used for the album: it is no music\."):
        plan_album(list(songs), make_operations(songs, broken=Path("1.wav")), -14.0, -1.0)
