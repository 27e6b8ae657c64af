"""What teaching listens to: long excerpts of songs, and what the spectral encoder hears of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax import io
from nmjax.data import Song
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.spectral_encoder import HOP, features, heard, poolable

SECONDS = 30.0  # of an excerpt
_A_SONG = 8  # excerpts at most


def albums(songs: Sequence[Song]) -> list[str]:
    """Each song's album; the song where there are no albums."""
    names = [song.group for song in songs]
    return names if len(set(names)) > 1 else [song.name for song in songs]


def usable(song: Song) -> bool:
    """Whether there are excerpts of it."""
    return song.target.frames >= int(SECONDS * song.target.sample_rate) and bool(np.isfinite(song.target.loudness))


def heard_features(audio: Float[Array, "batch time 1"]) -> Float[Array, "batch features"]:
    """What z is linear in, of a whole signal."""
    return features(jnp.mean(poolable(*heard(audio)), axis=1))


def excerpts(song: Song, mono: bool) -> Iterator[np.ndarray]:
    """`[time, channel]`, evenly over a song, at the model's rate and the song at its level; none of a song that is
    shorter or silent. mono: the mean of the channels alone."""
    if not usable(song):
        return
    sound = song.target
    frames, size = int(SECONDS * sound.sample_rate), int(SECONDS * SAMPLE_RATE) // HOP * HOP
    gain = 10.0 ** ((MODEL_LUFS - sound.loudness) / 20.0) / sound.scale
    count = min(_A_SONG, int(sound.frames // frames))
    for start in np.linspace(0, sound.frames - frames, count):
        audio = io.read(sound.path, int(start), frames)
        audio = io.mono(audio)[:, None] if mono else audio
        audio = io.resampled(audio, sound.sample_rate, SAMPLE_RATE, "HQ")
        yield (audio[:size] * gain).astype(np.float32)
