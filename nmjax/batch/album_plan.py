"""An album: one set of settings for all its songs, and their loudness relative to each other.

An album is one programme. Whatever is said of a track (the level at which the network listens, the mean over all
frames, the gated loudness, the true peak) is said of its songs one after another, from sums that are taken song by
song: only what lies across the joints is left out (23 ms of the encoder's field, three gating blocks of 400 ms).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from jaxtyping import Array, Float

from nmjax.batch.jobs import to_printable
from nmjax.dsp import MeterState, read_meter
from nmjax.mastering.analysis import with_input_gain
from nmjax.mastering.network import PooledFrames
from nmjax.models import MODEL_LUFS, Prediction
from nmjax.runtime.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class AlbumLevel:
    """Of a programme. lufs: integrated, −inf where there is none. true_peak_db: the highest, dBTP."""

    lufs: float
    true_peak_db: float


@dataclasses.dataclass(frozen=True)
class AlbumPlan:
    """What all songs of an album share. prediction: its `input_gain_db` is the album's. delivery_gain_db: after the
    model. rendered: the album after the model and before that gain."""

    prediction: Prediction
    delivery_gain_db: float
    rendered_level: AlbumLevel
    notes: list[str]

    @property
    def lufs(self) -> float:
        """The album's loudness as it is delivered."""
        return self.rendered_level.lufs + self.delivery_gain_db


def album_prediction(
    pooled_songs: Sequence[PooledFrames],
    decode_pooled: Callable[[Float[Array, "ears size"]], Prediction],
    input_gain_db: float,
) -> Prediction:
    """The settings for all songs: from the mean over all their frames, so that a long song counts for more.

    Args:
        songs: each heard at the album's level, `input_gain_db` above its own.
        settle: from a mean to settings, as a network does it for one track.
        input_gain_db: is written into the settings.

    Raises:
        ValueError: no song has a frame.
    """
    num_frames = sum(song.num_frames for song in pooled_songs)
    if not num_frames:
        raise ValueError("no song has a frame")
    return with_input_gain(
        decode_pooled(PooledFrames(sum(song.frame_sum for song in pooled_songs), num_frames).mean), input_gain_db
    )


def measure_album_level(meters: Sequence[tuple[MeterState, int]]) -> AlbumLevel:
    """Loudness and true peak of songs as one programme; each after its last sample, with its rate in Hz.

    BS.1770's gates fall where the blocks of all songs put them: a song 10 LU under the others does not count.
    """
    readings = [jax.device_get(_read_meter_jit(state, rate)) for state, rate in meters]
    state, rate = meters[0]
    gating = sum(
        state.gating_histogram for state, _ in meters
    )  # blocks counted by their loudness: counts and powers add up
    album_reading = _read_meter_jit(dataclasses.replace(state, gating_histogram=gating), rate)
    return AlbumLevel(
        float(album_reading.integrated_lufs[0]), max(float(song_reading.true_peak_db[0]) for song_reading in readings)
    )


_read_meter_jit = jax.jit(read_meter, static_argnums=1)


def album_input_gain_db(level: AlbumLevel) -> float:
    """What brings the album to the model's level; 0 where it has no loudness."""
    return MODEL_LUFS - level.lufs if math.isfinite(level.lufs) else 0.0


def album_delivery_gain_db(
    level: AlbumLevel, target_lufs: float, ceiling_db: float, max_limiting_db: float = 0.0
) -> float:
    """The one gain to a loudness, as far as the album's highest true peak (dBTP) passes the ceiling by no more than a
    limiter may take off (dB)."""
    if level.true_peak_db == -math.inf:
        return 0.0
    headroom_db = ceiling_db + max_limiting_db - level.true_peak_db
    return min(target_lufs - level.lufs if math.isfinite(level.lufs) else 0.0, headroom_db)


@dataclasses.dataclass(frozen=True)
class SongOperations:
    """How one song is treated; each reads it from its start and raises BadInputError where it cannot be used.

    measure: its meter at the end. listen: what the encoder heard of it, so many dB louder. settle: from a mean to
    settings. render: the meter after the model with the album's settings. rate: Hz.
    """

    sample_rate: Callable[[Path], int]
    meter_input: Callable[[Path], MeterState]
    encode: Callable[[Path, float], PooledFrames]
    decode_pooled: Callable[[Float[Array, "ears size"]], Prediction]
    meter_rendered: Callable[[Path, Prediction], MeterState]


def plan_album(
    tracks: Sequence[Path],
    operations: SongOperations,
    target_lufs: float,
    ceiling_db: float,
    max_limiting_db: float = 0.0,
) -> AlbumPlan:
    """Measure, hear and render all songs once, so that each can then be mastered alone with what they share.

    Raises:
        BadInputError: a song cannot be used; an album is made of all its songs or not at all.
    """
    sample_rates = [_call_for_song(operations.sample_rate, track) for track in tracks]
    input_level = measure_album_level(
        [(_call_for_song(operations.meter_input, t), r) for t, r in zip(tracks, sample_rates, strict=True)]
    )
    input_gain_db = album_input_gain_db(input_level)
    pooled_songs = [_call_for_song(operations.encode, track, input_gain_db) for track in tracks]
    prediction = album_prediction(pooled_songs, operations.decode_pooled, input_gain_db)
    meters = [
        (_call_for_song(operations.meter_rendered, t, prediction), r) for t, r in zip(tracks, sample_rates, strict=True)
    ]
    rendered_level = measure_album_level(meters)
    delivery_gain_db = album_delivery_gain_db(rendered_level, target_lufs, ceiling_db, max_limiting_db)
    notes = []
    if rendered_level.lufs + delivery_gain_db < target_lufs - 0.05:
        notes.append(f"The album's highest peak allows no more than {rendered_level.lufs + delivery_gain_db:.1f} LUFS.")
    return AlbumPlan(prediction, delivery_gain_db, rendered_level, notes)


def _call_for_song(operation: Callable, track: Path, *arguments):
    try:
        return operation(track, *arguments)
    except BadInputError as error:
        raise BadInputError(f"The album lacks '{to_printable(track.name)}': {error}") from None
