"""What is judged: an excerpt (or the whole) of each song, with a fault, and references a system may be given."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.data import Song
from nmjax.data.catalog import LEVEL_BLOCK_SECONDS
from nmjax.evaluation.degradations import apply_condition
from nmjax.evaluation.metrics import Audio, lufs, normalize_loudness
from nmjax.models import SAMPLE_RATE

_MIN_SECONDS = 5.0  # shorter items are left out
_REFERENCE_SECONDS = 30.0  # at most, of another song
_MIN_ACTIVE_SHARE = 0.9  # share of an excerpt's half seconds that must sound
_GATE_LU = 20.0  # below the song's loudness, where a half second does not count as sounding


@dataclasses.dataclass(frozen=True)
class SongExcerpt:
    """A stretch of a song: seconds from its start."""

    song: Song
    start: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class Example:
    """What a system is given and judged by; all signals at SAMPLE_RATE, `source` at the loudness of `target`.

    same, other: references, another part of the same song (None where the item is the whole song) and an excerpt of
    another one. lufs: of target and source.
    """

    lufs: float
    target: Audio
    source: Audio
    same_song: Float[np.ndarray, "same_time same_channel"] | None
    other_song: Float[np.ndarray, "other_time other_channel"] | None


def rng_for(seed: int, *names: object) -> np.random.Generator:
    """Chance that depends on these names alone, whatever else is evaluated."""
    text = "|".join(str(name) for name in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def plan_examples(
    songs: Sequence[Song], seconds: float | None, excerpts_per_song: int, seed: int
) -> Iterator[tuple[str, SongExcerpt, SongExcerpt | None, SongExcerpt | None]]:
    """`(name, item, reference of the same song, reference of another)` for every song that is long enough.

    seconds: of an item, at most half of its song; None for whole songs (then once a song).
    """
    for song in songs:
        length = song.seconds if seconds is None else min(seconds, song.seconds / 2.0)
        if length < _MIN_SECONDS:
            continue
        for index in range(excerpts_per_song if seconds else 1):
            rng = rng_for(seed, song.name, index)
            if seconds is None:
                excerpt, same_song = SongExcerpt(song, 0.0, length), None
            else:
                excerpt, same_song = _sample_two_excerpts(song, length, rng)
            other_song = _sample_other_song(song, songs, rng)
            yield f"{song.name} #{index}", excerpt, same_song, other_song


def read_example(
    name: str,
    condition: str,
    excerpt: SongExcerpt,
    same_song: SongExcerpt | None,
    other_song: SongExcerpt | None,
    seed: int,
) -> Example | None:
    """The sounds of an item; None where it is silent, since then it has no loudness."""
    target = read_excerpt(excerpt).astype(np.float64)
    target_lufs = lufs(target, SAMPLE_RATE)
    if not np.isfinite(target_lufs):
        return None
    source = apply_condition(target, condition, SAMPLE_RATE, rng_for(seed, name, condition))
    source = normalize_loudness(source, target_lufs, SAMPLE_RATE)
    return Example(
        target_lufs, target, source, same_song and read_excerpt(same_song), other_song and read_excerpt(other_song)
    )


def read_excerpt(excerpt: SongExcerpt) -> Audio:
    """A place's sound at SAMPLE_RATE, the first two channels, float32."""
    recording = excerpt.song.target
    rate = recording.sample_rate
    audio = reader.read_frames(
        Path(recording.path), round(excerpt.start * rate), round(excerpt.seconds * rate)
    ) / np.float32(recording.scale)
    return reader.resample(np.ascontiguousarray(audio[:, :2]), rate, SAMPLE_RATE)


def _sample_other_song(song: Song, songs: Sequence[Song], rng: np.random.Generator) -> SongExcerpt | None:
    """An excerpt of a song of another package, or of the same one where there is no other."""
    long_songs = [s for s in songs if s.name != song.name and s.seconds >= 2 * _MIN_SECONDS]
    candidates = [s for s in long_songs if s.group != song.group] or long_songs
    if not candidates:
        return None
    other_song = candidates[rng.integers(len(candidates))]
    return _sample_two_excerpts(other_song, min(_REFERENCE_SECONDS, other_song.seconds / 2.0), rng)[0]


def _sample_two_excerpts(song: Song, length: float, rng: np.random.Generator) -> tuple[SongExcerpt, SongExcerpt | None]:
    """Two stretches that do not overlap and sound throughout, as far as there are such."""
    starts = _active_starts(song, length)
    first = float(rng.choice(starts))
    disjoint = starts[np.abs(starts - first) >= length]
    if not len(disjoint):  # at whichever end there is more room
        disjoint = np.array([0.0 if first >= song.seconds - length - first else song.seconds - length])
        disjoint = disjoint[np.abs(disjoint - first) >= length - 1e-6]
    return SongExcerpt(song, first, length), SongExcerpt(song, float(rng.choice(disjoint)), length) if len(
        disjoint
    ) else None


def _active_starts(song: Song, length: float) -> np.ndarray:
    """Half seconds at which an excerpt may begin; the loudest one where none sounds throughout."""
    active = np.float64(song.target.levels_lufs.astype(np.float64) > song.target.loudness_lufs - _GATE_LU)
    blocks = max(1, int(length / LEVEL_BLOCK_SECONDS))
    last = max(0.0, song.seconds - length)
    starts = np.arange(int(last / LEVEL_BLOCK_SECONDS) + 1)
    total = np.concatenate([[0.0], np.cumsum(active)])
    share = (total[np.minimum(starts + blocks, len(active))] - total[np.minimum(starts, len(active))]) / blocks
    allowed = starts[share >= min(_MIN_ACTIVE_SHARE, share.max())]
    return np.minimum(allowed * LEVEL_BLOCK_SECONDS, last)
