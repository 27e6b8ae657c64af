"""What is judged: an excerpt (or the whole) of each song, with a fault, and references a system may be given."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax import io
from nmjax.data import Song
from nmjax.data.songs import BLOCK_SECONDS
from nmjax.evaluation.faults import degraded
from nmjax.evaluation.metrics import Audio, at_loudness, lufs
from nmjax.models import SAMPLE_RATE

_LEAST_SECONDS = 5.0  # shorter items are left out
_REFERENCE_SECONDS = 30.0  # at most, of another song
_SOUNDING = 0.9  # share of an excerpt's half seconds that must sound
_QUIET_LU = 20.0  # below the song's loudness, where a half second does not count as sounding


@dataclasses.dataclass(frozen=True)
class Place:
    """A stretch of a song: seconds from its start."""

    song: Song
    start: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Item:
    """What a system is given and judged by; all signals at SAMPLE_RATE, `source` at the loudness of `target`.

    same, other: references, another part of the same song (None where the item is the whole song) and an excerpt of
    another one. lufs: of target and source.
    """

    lufs: float
    target: Audio
    source: Audio
    same: Float[np.ndarray, "same_time same_channel"] | None
    other: Float[np.ndarray, "other_time other_channel"] | None


def draw_of(seed: int, *names: object) -> np.random.Generator:
    """Chance that depends on these names alone, whatever else is evaluated."""
    text = "|".join(str(name) for name in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def made_items(
    songs: Sequence[Song], seconds: float | None, per_song: int, seed: int
) -> Iterator[tuple[str, Place, Place | None, Place | None]]:
    """`(name, item, reference of the same song, reference of another)` for every song that is long enough.

    seconds: of an item, at most half of its song; None for whole songs (then once a song).
    """
    for song in songs:
        length = song.seconds if seconds is None else min(seconds, song.seconds / 2.0)
        if length < _LEAST_SECONDS:
            continue
        for number in range(per_song if seconds else 1):
            draw = draw_of(seed, song.name, number)
            if seconds is None:
                item, same = Place(song, 0.0, length), None
            else:
                item, same = _two_places(song, length, draw)
            other = _elsewhere(song, songs, draw)
            yield f"{song.name} #{number}", item, same, other


def read_item(name: str, tier: str, item: Place, same: Place | None, other: Place | None, seed: int) -> Item | None:
    """The sounds of an item; None where it is silent, since then it has no loudness."""
    target = read(item).astype(np.float64)
    level = lufs(target, SAMPLE_RATE)
    if not np.isfinite(level):
        return None
    source = degraded(target, tier, SAMPLE_RATE, draw_of(seed, name, tier))
    source = at_loudness(source, level, SAMPLE_RATE)
    return Item(level, target, source, same and read(same), other and read(other))


def read(place: Place) -> Audio:
    """A place's sound at SAMPLE_RATE, the first two channels, float32."""
    sound = place.song.target
    rate = sound.sample_rate
    audio = io.read(Path(sound.path), round(place.start * rate), round(place.seconds * rate)) / np.float32(sound.scale)
    return io.resampled(np.ascontiguousarray(audio[:, :2]), rate, SAMPLE_RATE)


def _elsewhere(song: Song, songs: Sequence[Song], draw: np.random.Generator) -> Place | None:
    """An excerpt of a song of another package, or of the same one where there is no other."""
    long = [s for s in songs if s.name != song.name and s.seconds >= 2 * _LEAST_SECONDS]
    others = [s for s in long if s.group != song.group] or long
    if not others:
        return None
    found = others[draw.integers(len(others))]
    return _two_places(found, min(_REFERENCE_SECONDS, found.seconds / 2.0), draw)[0]


def _two_places(song: Song, length: float, draw: np.random.Generator) -> tuple[Place, Place | None]:
    """Two stretches that do not overlap and sound throughout, as far as there are such."""
    starts = _sounding_starts(song, length)
    first = float(draw.choice(starts))
    apart = starts[np.abs(starts - first) >= length]
    if not len(apart):  # at whichever end there is more room
        apart = np.array([0.0 if first >= song.seconds - length - first else song.seconds - length])
        apart = apart[np.abs(apart - first) >= length - 1e-6]
    return Place(song, first, length), Place(song, float(draw.choice(apart)), length) if len(apart) else None


def _sounding_starts(song: Song, length: float) -> np.ndarray:
    """Half seconds at which an excerpt may begin; the loudest one where none sounds throughout."""
    sounds = np.float64(song.target.levels.astype(np.float64) > song.target.loudness - _QUIET_LU)
    blocks = max(1, int(length / BLOCK_SECONDS))
    last = max(0.0, song.seconds - length)
    starts = np.arange(int(last / BLOCK_SECONDS) + 1)
    total = np.concatenate([[0.0], np.cumsum(sounds)])
    share = (total[np.minimum(starts + blocks, len(sounds))] - total[np.minimum(starts, len(sounds))]) / blocks
    good = starts[share >= min(_SOUNDING, share.max())]
    return np.minimum(good * BLOCK_SECONDS, last)
