"""Benchmark examples: an excerpt of each song (or the whole song), degraded, and references for the systems."""

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
from nmjax.data.segment_reader import SegmentReader
from nmjax.data.segments import Segment
from nmjax.evaluation.degradations import apply_condition
from nmjax.evaluation.metrics import Audio, lufs, normalize_loudness
from nmjax.models import SAMPLE_RATE

PAIRS = "pairs"  # the condition of songs that have an unmastered side
_MIN_SECONDS = 5.0  # shorter examples are skipped
_MAX_REFERENCE_SECONDS = 30.0  # of another song
_MIN_ACTIVE_SHARE = 0.9  # of an excerpt's blocks
_GATE_LU = 20.0  # blocks further below the song's loudness are inactive


@dataclasses.dataclass(frozen=True)
class SongExcerpt:
    """A section of a song: start and duration in seconds."""

    song: Song
    start: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class ExamplePlan:
    """Which excerpts an example is read from.

    Attributes:
        name: unique name; with the seed it determines the degradation.
        excerpt: the original.
        same_song: another section of the same song, as a reference; None where there is none.
        other_song: a section of another song, as a reference; None where there is none.
    """

    name: str
    excerpt: SongExcerpt
    same_song: SongExcerpt | None
    other_song: SongExcerpt | None


@dataclasses.dataclass(frozen=True)
class Example:
    """The signals of an example, all at SAMPLE_RATE.

    Attributes:
        lufs: loudness of target and source.
        target: the original.
        source: the degraded input of the systems, at the loudness of the target.
        same_song: another section of the same song; None for whole songs.
        other_song: a section of another song; None where there is no other song.
    """

    lufs: float
    target: Audio
    source: Audio
    same_song: Float[np.ndarray, "same_time same_channel"] | None
    other_song: Float[np.ndarray, "other_time other_channel"] | None


def rng_for(seed: int, *names: object) -> np.random.Generator:
    """A generator that depends on the seed and these names only, whatever else is evaluated."""
    text = "|".join(str(name) for name in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little"))


def plan_examples(
    songs: Sequence[Song], seconds: float | None, excerpts_per_song: int, seed: int
) -> Iterator[ExamplePlan]:
    """Plan the examples of every song that is long enough.

    Args:
        songs: songs to draw from.
        seconds: duration of an excerpt, at most half of its song; None for whole songs.
        excerpts_per_song: number of excerpts; whole songs give one example each.
        seed: of all random choices.
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
            yield ExamplePlan(f"{song.name} #{index}", excerpt, same_song, other_song)


def read_example(plan: ExamplePlan, condition: str, seed: int, with_references: bool = True) -> Example | None:
    """Read an example, and degrade it unless it is a pair; None for silence, which has no loudness.

    Args:
        plan: where to read from.
        condition: one of degradations.CONDITIONS, or PAIRS for a song that has an unmastered side.
        seed: of the degradation.
        with_references: whether to read the references too.
    """
    if condition == PAIRS:
        target, source = read_pair(plan.excerpt)
    else:
        target = read_excerpt(plan.excerpt).astype(np.float64)
        source = apply_condition(target, condition, SAMPLE_RATE, rng_for(seed, plan.name, condition))
    target_lufs = lufs(target, SAMPLE_RATE)
    if not np.isfinite(target_lufs):
        return None
    same_song, other_song = (plan.same_song, plan.other_song) if with_references else (None, None)
    return Example(
        lufs=target_lufs,
        target=target,
        source=normalize_loudness(source, target_lufs, SAMPLE_RATE),
        same_song=read_excerpt(same_song) if same_song else None,
        other_song=read_excerpt(other_song) if other_song else None,
    )


def read_excerpt(excerpt: SongExcerpt) -> Audio:
    """Audio of an excerpt at SAMPLE_RATE, float32, at most two channels."""
    recording = excerpt.song.target
    rate = recording.sample_rate
    frames = reader.read_frames(Path(recording.path), round(excerpt.start * rate), round(excerpt.seconds * rate))
    audio = frames / np.float32(recording.scale)
    return reader.resample(np.ascontiguousarray(audio[:, :2]), rate, SAMPLE_RATE)


def read_pair(excerpt: SongExcerpt) -> tuple[Audio, Audio]:
    """The mastered and the aligned unmastered side of an excerpt at SAMPLE_RATE, float64, at most two channels."""
    channels = min(excerpt.song.target.channels, 2)
    read = SegmentReader(excerpt.seconds, SAMPLE_RATE, channels)
    sides = read(Segment(excerpt.song, np.array([excerpt.start]), jitter_seconds=0.0), np.random.default_rng(0))
    target, source = (sides[name][: sides["length"]].astype(np.float64) for name in ("target", "input"))
    return target, source


def _sample_other_song(song: Song, songs: Sequence[Song], rng: np.random.Generator) -> SongExcerpt | None:
    """An excerpt of a song from another package, or from the same package if there is no other."""
    long_songs = [s for s in songs if s.name != song.name and s.seconds >= 2 * _MIN_SECONDS]
    candidates = [s for s in long_songs if s.group != song.group] or long_songs
    if not candidates:
        return None
    other_song = candidates[rng.integers(len(candidates))]
    return _sample_two_excerpts(other_song, min(_MAX_REFERENCE_SECONDS, other_song.seconds / 2.0), rng)[0]


def _sample_two_excerpts(song: Song, length: float, rng: np.random.Generator) -> tuple[SongExcerpt, SongExcerpt | None]:
    """Two excerpts without overlap, active throughout if possible; None where the song has no room for a second."""
    starts = _active_starts(song, length)
    first = float(rng.choice(starts))
    disjoint = starts[np.abs(starts - first) >= length]
    if not len(disjoint):  # take the end of the song with more room
        disjoint = np.array([0.0 if first >= song.seconds - length - first else song.seconds - length])
        disjoint = disjoint[np.abs(disjoint - first) >= length - 1e-6]
    second = SongExcerpt(song, float(rng.choice(disjoint)), length) if len(disjoint) else None
    return SongExcerpt(song, first, length), second


def _active_starts(song: Song, length: float) -> Float[np.ndarray, " starts"]:
    """Starts (a multiple of 0.5 s) of the excerpts that are active throughout, or of the most active ones."""
    levels_lufs = song.target.levels_lufs.astype(np.float64)
    active = (levels_lufs > song.target.loudness_lufs - _GATE_LU).astype(np.float64)
    blocks = max(1, int(length / LEVEL_BLOCK_SECONDS))
    last = max(0.0, song.seconds - length)
    starts = np.arange(int(last / LEVEL_BLOCK_SECONDS) + 1)
    total = np.concatenate([[0.0], np.cumsum(active)])
    share = (total[np.minimum(starts + blocks, len(active))] - total[np.minimum(starts, len(active))]) / blocks
    allowed = starts[share >= min(_MIN_ACTIVE_SHARE, share.max())]
    return np.minimum(allowed * LEVEL_BLOCK_SECONDS, last)
