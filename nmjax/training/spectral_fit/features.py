"""What teaching listens to: long excerpts of songs, and what the spectral encoder hears of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.audio import reader
from nmjax.data import Song
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.spectral_encoder import HOP, band_power_and_flatness, frame_features, pooled_features

EXCERPT_SECONDS = 30.0  # of an excerpt
_MAX_EXCERPTS_PER_SONG = 8  # excerpts at most


def album_names(songs: Sequence[Song]) -> list[str]:
    """Each song's album; the song where there are no albums."""
    names = [song.group for song in songs]
    return names if len(set(names)) > 1 else [song.name for song in songs]


def is_usable(song: Song) -> bool:
    """Whether there are excerpts of it."""
    return song.target.frames >= int(EXCERPT_SECONDS * song.target.sample_rate) and bool(
        np.isfinite(song.target.loudness_lufs)
    )


def excerpt_features(audio: Float[Array, "batch time 1"]) -> Float[Array, "batch features"]:
    """What z is linear in, of a whole signal."""
    return pooled_features(jnp.mean(frame_features(*band_power_and_flatness(audio)), axis=1))


def read_excerpts(song: Song, mono: bool) -> Iterator[np.ndarray]:
    """`[time, channel]`, evenly over a song, at the model's rate and the song at its level; none of a song that is
    shorter or silent. mono: the mean of the channels alone."""
    if not is_usable(song):
        return
    track = song.target
    frames, size = int(EXCERPT_SECONDS * track.sample_rate), int(EXCERPT_SECONDS * SAMPLE_RATE) // HOP * HOP
    gain = 10.0 ** ((MODEL_LUFS - track.loudness_lufs) / 20.0) / track.scale
    count = min(_MAX_EXCERPTS_PER_SONG, int(track.frames // frames))
    for start in np.linspace(0, track.frames - frames, count):
        audio = reader.read_frames(track.path, int(start), frames)
        audio = reader.to_mono(audio)[:, None] if mono else audio
        audio = reader.resample(audio, track.sample_rate, SAMPLE_RATE, "HQ")
        yield (audio[:size] * gain).astype(np.float32)
