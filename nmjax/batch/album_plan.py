"""Album planning: one set of settings for all songs, which keep their loudness relative to each other.

An album is treated as one program: the mean over all frames, the gated loudness and the true peak are computed from
sums over all songs. Filter state across song boundaries is ignored (23 ms of the encoder's receptive field, three
gating blocks of 400 ms).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from nmjax.dsp import MeterState, read_meter
from nmjax.mastering.analysis import with_input_gain
from nmjax.mastering.network import PooledFrames
from nmjax.models import MODEL_LUFS, Prediction
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.text import to_printable


@dataclasses.dataclass(frozen=True)
class AlbumLevel:
    """Level of a program: integrated loudness in LUFS, −inf where there is none, and highest true peak in dBTP."""

    lufs: float
    true_peak_db: float


@dataclasses.dataclass(frozen=True)
class AlbumPlan:
    """What all songs of an album share.

    Attributes:
        prediction: settings; `input_gain_db` is that of the album.
        delivery_gain_db: gain after the model.
        rendered_level: level of the album after the model and before that gain.
        notes: messages for the user.
    """

    prediction: Prediction
    delivery_gain_db: float
    rendered_level: AlbumLevel
    notes: list[str]

    @property
    def lufs(self) -> float:
        """Loudness of the delivered album."""
        return self.rendered_level.lufs + self.delivery_gain_db


def album_prediction(
    pooled_songs: Sequence[PooledFrames],
    decode_pooled: Callable[[Float[np.ndarray, "inputs size"]], Prediction],
    input_gain_db: float,
) -> Prediction:
    """Settings for all songs, from the mean over all their frames: a long song has more weight.

    Args:
        pooled_songs: encoder frames of each song, with `input_gain_db` applied.
        decode_pooled: from a mean over frames to settings, as in `Network.decode_pooled`.
        input_gain_db: is stored in the settings.

    Raises:
        ValueError: no song has a frame.
    """
    num_frames = sum(song.num_frames for song in pooled_songs)
    if not num_frames:
        raise ValueError("no song has a frame")
    frame_sum = functools.reduce(np.add, (song.frame_sum for song in pooled_songs))
    return with_input_gain(decode_pooled(PooledFrames(frame_sum, num_frames).mean), input_gain_db)


class SongMeter(NamedTuple):
    """State of a loudness meter after the last sample of a song, and the song's sample rate in Hz."""

    state: MeterState
    sample_rate: int


def measure_album_level(meters: Sequence[SongMeter]) -> AlbumLevel:
    """Loudness and true peak of all songs as one program.

    The relative gate of BS.1770 is computed from the blocks of all songs: a song 10 LU below the others is gated out.
    """
    readings = [jax.device_get(_read_meter_jit(meter.state, meter.sample_rate)) for meter in meters]
    histogram = sum(meter.state.gating_histogram for meter in meters)  # counts and powers by loudness, which add up
    first = meters[0]
    album_reading = _read_meter_jit(dataclasses.replace(first.state, gating_histogram=histogram), first.sample_rate)
    return AlbumLevel(
        lufs=float(album_reading.integrated_lufs[0]),
        true_peak_db=max(float(reading.true_peak_db[0]) for reading in readings),
    )


_read_meter_jit = jax.jit(read_meter, static_argnums=1)


def album_input_gain_db(level: AlbumLevel) -> float:
    """Gain in dB from the album to the model's level; 0 where the album has no loudness."""
    return MODEL_LUFS - level.lufs if math.isfinite(level.lufs) else 0.0


def album_delivery_gain_db(
    level: AlbumLevel, target_lufs: float, ceiling_db: float, max_limiting_db: float = 0.0
) -> float:
    """Gain in dB to the target loudness, bounded by the headroom of the highest true peak.

    Args:
        level: of the album.
        target_lufs: target loudness.
        ceiling_db: true-peak ceiling in dBTP.
        max_limiting_db: gain reduction that a limiter may add to the headroom.
    """
    if level.true_peak_db == -math.inf:
        return 0.0
    headroom_db = ceiling_db + max_limiting_db - level.true_peak_db
    return min(target_lufs - level.lufs if math.isfinite(level.lufs) else 0.0, headroom_db)


@dataclasses.dataclass(frozen=True)
class SongOperations:
    """Operations on one song; each reads the song from its start and raises BadInputError where it cannot.

    Attributes:
        meter_input: the meter after the song.
        encode: the encoder's frames of the song, with a gain in dB applied.
        decode_pooled: from a mean over frames to settings.
        meter_rendered: the meter after the song rendered with the album's settings.
    """

    meter_input: Callable[[Path], SongMeter]
    encode: Callable[[Path, float], PooledFrames]
    decode_pooled: Callable[[Float[np.ndarray, "inputs size"]], Prediction]
    meter_rendered: Callable[[Path, Prediction], SongMeter]


def plan_album(
    tracks: Sequence[Path],
    operations: SongOperations,
    target_lufs: float,
    ceiling_db: float,
    max_limiting_db: float = 0.0,
) -> AlbumPlan:
    """Measure, encode and render all songs once, so that each can then be mastered alone with the shared settings.

    Raises:
        BadInputError: a song cannot be used; an album is made of all its songs.
    """
    input_level = measure_album_level([_call_for_song(operations.meter_input, track) for track in tracks])
    input_gain_db = album_input_gain_db(input_level)
    pooled_songs = [_call_for_song(operations.encode, track, input_gain_db) for track in tracks]
    prediction = album_prediction(pooled_songs, operations.decode_pooled, input_gain_db)
    rendered_level = measure_album_level(
        [_call_for_song(operations.meter_rendered, track, prediction) for track in tracks]
    )
    delivery_gain_db = album_delivery_gain_db(rendered_level, target_lufs, ceiling_db, max_limiting_db)
    album_lufs = rendered_level.lufs + delivery_gain_db
    notes = []
    if album_lufs < target_lufs - 0.05:
        notes.append(f"The highest peak of the album allows no more than {album_lufs:.1f} LUFS.")
    return AlbumPlan(prediction, delivery_gain_db, rendered_level, notes)


def _call_for_song(operation: Callable, track: Path, *arguments):
    try:
        return operation(track, *arguments)
    except BadInputError as error:
        raise BadInputError(f"'{to_printable(track.name)}' cannot be used for the album: {error}") from None
