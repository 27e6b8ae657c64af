"""A typical stretch of a track, where hearing all of it again and again would take too long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from nmjax import io
from nmjax.analysis.collection import Track
from nmjax.data.songs import BLOCK_SECONDS


def typical(track: Track, seconds: float) -> Float[np.ndarray, "time channel"]:
    """The stretch whose level is nearest to the track's loudness (the first of several), float32 at the file's rate;
    all of a shorter track."""
    sound = track.sound
    blocks = max(1, round(seconds / BLOCK_SECONDS))
    power = np.concatenate([[0.0], np.cumsum(10.0 ** (sound.levels.astype(np.float64) / 10.0))])
    count = max(1, len(sound.levels) - blocks)
    mean = (power[np.minimum(np.arange(count) + blocks, len(power) - 1)] - power[:count]) / blocks
    wanted = 10.0 ** (sound.loudness / 10.0)
    start = int(np.argmin(np.abs(np.log(np.maximum(mean, 1e-12) / max(wanted, 1e-12)))))
    frames = round(seconds * sound.sample_rate)
    first = max(0, min(round(start * BLOCK_SECONDS * sound.sample_rate), sound.frames - frames))
    return io.read(sound.path, first, frames) / np.float32(sound.scale)


def spread(tracks: Sequence[Track], count: int) -> list[int]:
    """The places of at most `count` tracks, evenly over all that sound."""
    there = [i for i, track in enumerate(tracks) if np.isfinite(track.sound.loudness)]
    chosen = np.linspace(0, len(there) - 1, min(count, len(there))).round().astype(int)
    return [there[i] for i in chosen]
