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

from nmjax.dsp import MeterState, reading
from nmjax.errors import BadInputError
from nmjax.inference.many.jobs import shown
from nmjax.inference.network import Pooled
from nmjax.inference.track import at_level
from nmjax.models import MODEL_LUFS, Prediction


@dataclasses.dataclass(frozen=True)
class Level:
    """Of a programme. lufs: integrated, −inf where there is none. true_peak_db: the highest, dBTP."""

    lufs: float
    true_peak_db: float


@dataclasses.dataclass(frozen=True)
class AlbumPlan:
    """What all songs of an album share. prediction: its `input_gain_db` is the album's. delivery_gain_db: after the
    model. rendered: the album after the model and before that gain."""

    prediction: Prediction
    delivery_gain_db: float
    rendered: Level
    notes: list[str]

    @property
    def lufs(self) -> float:
        """The album's loudness as it is delivered."""
        return self.rendered.lufs + self.delivery_gain_db


def album_prediction(
    songs: Sequence[Pooled], settle: Callable[[Float[Array, "ears size"]], Prediction], input_gain_db: float
) -> Prediction:
    """The settings for all songs: from the mean over all their frames, so that a long song counts for more.

    Args:
        songs: each heard at the album's level, `input_gain_db` above its own.
        settle: from a mean to settings, as a network does it for one track.
        input_gain_db: is written into the settings.

    Raises:
        ValueError: no song has a frame.
    """
    frames = sum(song.frames for song in songs)
    if not frames:
        raise ValueError("no song has a frame")
    return at_level(settle(Pooled(sum(song.total for song in songs), frames).mean), input_gain_db)


def album_level(meters: Sequence[tuple[MeterState, int]]) -> Level:
    """Loudness and true peak of songs as one programme; each after its last sample, with its rate in Hz.

    BS.1770's gates fall where the blocks of all songs put them: a song 10 LU under the others does not count.
    """
    readings = [jax.device_get(_reading(state, rate)) for state, rate in meters]
    state, rate = meters[0]
    gating = sum(state.gating for state, _ in meters)  # blocks counted by their loudness: counts and powers add up
    together = _reading(dataclasses.replace(state, gating=gating), rate)
    return Level(float(together.integrated[0]), max(float(found.true_peak_db[0]) for found in readings))


_reading = jax.jit(reading, static_argnums=1)


def album_input_gain_db(level: Level) -> float:
    """What brings the album to the model's level; 0 where it has no loudness."""
    return MODEL_LUFS - level.lufs if math.isfinite(level.lufs) else 0.0


def album_gain_db(level: Level, target_lufs: float, ceiling_db: float, most_limiting_db: float = 0.0) -> float:
    """The one gain to a loudness, as far as the album's highest true peak (dBTP) passes the ceiling by no more than a
    limiter may take off (dB)."""
    if level.true_peak_db == -math.inf:
        return 0.0
    room = ceiling_db + most_limiting_db - level.true_peak_db
    return min(target_lufs - level.lufs if math.isfinite(level.lufs) else 0.0, room)


@dataclasses.dataclass(frozen=True)
class Steps:
    """How one song is treated; each reads it from its start and raises BadInputError where it cannot be used.

    measure: its meter at the end. listen: what the encoder heard of it, so many dB louder. settle: from a mean to
    settings. render: the meter after the model with the album's settings. rate: Hz.
    """

    rate: Callable[[Path], int]
    measure: Callable[[Path], MeterState]
    listen: Callable[[Path, float], Pooled]
    settle: Callable[[Float[Array, "ears size"]], Prediction]
    render: Callable[[Path, Prediction], MeterState]


def plan_album(
    tracks: Sequence[Path], steps: Steps, target_lufs: float, ceiling_db: float, most_limiting_db: float = 0.0
) -> AlbumPlan:
    """Measure, hear and render all songs once, so that each can then be mastered alone with what they share.

    Raises:
        BadInputError: a song cannot be used; an album is made of all its songs or not at all.
    """
    rates = [_of_song(steps.rate, track) for track in tracks]
    before = album_level([(_of_song(steps.measure, t), r) for t, r in zip(tracks, rates, strict=True)])
    gain_db = album_input_gain_db(before)
    songs = [_of_song(steps.listen, track, gain_db) for track in tracks]
    prediction = album_prediction(songs, steps.settle, gain_db)
    meters = [(_of_song(steps.render, t, prediction), r) for t, r in zip(tracks, rates, strict=True)]
    after = album_level(meters)
    delivery = album_gain_db(after, target_lufs, ceiling_db, most_limiting_db)
    notes = []
    if after.lufs + delivery < target_lufs - 0.05:
        notes.append(f"The album's highest peak allows no more than {after.lufs + delivery:.1f} LUFS.")
    return AlbumPlan(prediction, delivery, after, notes)


def _of_song(step: Callable, track: Path, *arguments):
    try:
        return step(track, *arguments)
    except BadInputError as error:
        raise BadInputError(f"The album lacks '{shown(track.name)}': {error}") from None
