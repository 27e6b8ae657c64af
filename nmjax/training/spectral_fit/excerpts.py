"""Long excerpts of songs, and their features for the spectral fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nmjax.audio import reader
from nmjax.config import Config
from nmjax.data import Song
from nmjax.data.catalog import Recording
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.spectral_features import HOP, band_power_and_flatness, frame_features, pooled_features
from nmjax.runtime.errors import BadInputError
from nmjax.training.degrade import expand_dynamics

EXCERPT_SECONDS = 30.0
_MAX_EXCERPTS_PER_SONG = 8
PROGRESS_SONGS = 50  # songs between two messages

Features = Float[np.ndarray, "excerpts features"]


class GroupedFeatures(NamedTuple):
    """Features of excerpts, and the album of each excerpt, numbered from 0."""

    features: Features
    groups: Int[np.ndarray, " excerpts"]


def album_names(songs: Sequence[Song]) -> list[str]:
    """The album of each song; its own name if the songs are not in albums."""
    names = [song.group for song in songs]
    return names if len(set(names)) > 1 else [song.name for song in songs]


def is_usable(song: Song) -> bool:
    """Whether a song, and both sides of a pair at the same time, are long enough for an excerpt and not silent."""
    first, end = _common_span(song)
    sides = [song.target] if song.input is None else [song.target, song.input]
    return end - first >= EXCERPT_SECONDS and all(np.isfinite(side.loudness_lufs) for side in sides)


def check_enough_albums(songs: Sequence[Song]) -> None:
    """Raises BadInputError with fewer than two usable albums."""
    if len({name for name, song in zip(album_names(songs), songs, strict=True) if is_usable(song)}) < 2:
        raise BadInputError(
            f"The spectral fit needs two songs of {EXCERPT_SECONDS:g} s or more, of two albums if there are any. "
            "Give more music."
        )


def read_excerpts(song: Song, mono: bool) -> Iterator[Float[np.ndarray, "time channel"]]:
    """Excerpts evenly spread over a song, at the model's rate, with the whole song at the model's level.

    Args:
        song: The song; it has no excerpts if it is too short or silent.
        mono: Whether to return the mean of the channels.
    """
    if not is_usable(song):
        return
    for start in _excerpt_starts(0.0, song.seconds, int(song.seconds / EXCERPT_SECONDS)):
        yield _read_excerpt(song.target, start, mono)


def read_pair_excerpts(
    song: Song,
) -> Iterator[tuple[Float[np.ndarray, "time 1"], Float[np.ndarray, "time 1"]]]:
    """The same excerpts of the unmastered and of the mastered side of a pair, mono, that cover it if it is short.

    Each side as a whole is at the model's level.
    """
    if song.input is None or not is_usable(song):
        return
    delay, (first, end) = _delay_seconds(song), _common_span(song)
    for start in _excerpt_starts(first, end, math.ceil((end - first) / EXCERPT_SECONDS)):
        yield _read_excerpt(song.input, start - delay, mono=True), _read_excerpt(song.target, start, mono=True)


def _delay_seconds(song: Song) -> float:
    """By how much the mastered side of a pair is late."""
    return song.alignment.delay_frames / song.target.sample_rate


def _common_span(song: Song) -> tuple[float, float]:
    """First and last second of the mastered side for which there is an unmastered side, if it is a pair."""
    if song.input is None:
        return 0.0, song.seconds
    delay = _delay_seconds(song)
    return max(0.0, delay), min(song.seconds, song.input.seconds + delay)


def _excerpt_starts(first: float, end: float, count: int) -> Float[np.ndarray, " excerpts"]:
    """Starts in seconds of `count` excerpts, at most eight, evenly spread over the time from `first` to `end`."""
    return np.linspace(first, end - EXCERPT_SECONDS, min(_MAX_EXCERPTS_PER_SONG, count))


def _read_excerpt(recording: Recording, start_seconds: float, mono: bool) -> Float[np.ndarray, "time channel"]:
    frames, size = int(EXCERPT_SECONDS * recording.sample_rate), int(EXCERPT_SECONDS * SAMPLE_RATE) // HOP * HOP
    gain = 10.0 ** ((MODEL_LUFS - recording.loudness_lufs) / 20.0) / recording.scale
    audio = reader.read_frames(recording.path, round(start_seconds * recording.sample_rate), frames)
    audio = reader.to_mono(audio)[:, None] if mono else audio
    audio = reader.resample(audio, recording.sample_rate, SAMPLE_RATE, "HQ")
    return (audio[:size] * gain).astype(np.float32)


def excerpt_features(audio: Float[Array, "batch time 1"]) -> Float[Array, "batch features"]:
    """The features of whole signals that z of the spectral encoder is linear in."""
    return pooled_features(jnp.mean(frame_features(*band_power_and_flatness(audio)), axis=1))


def extract_features(songs: Sequence[Song], config: Config, report: Callable[[str], None]) -> GroupedFeatures:
    """Features of the songs' excerpts, each as it is and with its dynamics expanded or compressed.

    Args:
        songs: Mastered music.
        config: Its seed and `degrade.expansion`, the largest exponent of the dynamics.
        report: Called with messages about the progress.

    Raises:
        BadInputError: Fewer than two usable albums.
    """
    check_enough_albums(songs)
    compute_features = jax.jit(lambda audio, exponent: excerpt_features(expand_dynamics(audio, exponent)))
    rng = np.random.default_rng(config.seed)
    rows, albums = [], []
    for number, (song, album) in enumerate(zip(songs, album_names(songs), strict=True), 1):
        for audio in read_excerpts(song, mono=True):
            exponents = np.array([0.0, rng.uniform(-1.0, 1.0) * config.degrade.expansion], np.float32)
            features = compute_features(jnp.asarray(np.repeat(audio[None], 2, axis=0)), exponents)
            rows += list(np.asarray(features, np.float64))
            albums += [album] * 2
        if number % PROGRESS_SONGS == 0:
            report(f"Analyzed {number} of {len(songs)} songs.")
    return GroupedFeatures(np.stack(rows), np.unique(albums, return_inverse=True)[1])
