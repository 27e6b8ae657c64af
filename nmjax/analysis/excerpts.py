"""A typical stretch of a track, where hearing all of it again and again would take too long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from nmjax.analysis.collection import Track
from nmjax.audio import reader
from nmjax.data.catalog import LEVEL_BLOCK_SECONDS


def read_typical_excerpt(track: Track, seconds: float) -> Float[np.ndarray, "time channel"]:
    """The stretch whose level is nearest to the track's loudness (the first of several), float32 at the file's rate;
    all of a shorter track."""
    recording = track.recording
    blocks = max(1, round(seconds / LEVEL_BLOCK_SECONDS))
    power = np.concatenate([[0.0], np.cumsum(10.0 ** (recording.levels_lufs.astype(np.float64) / 10.0))])
    num_starts = max(1, len(recording.levels_lufs) - blocks)
    mean = (power[np.minimum(np.arange(num_starts) + blocks, len(power) - 1)] - power[:num_starts]) / blocks
    target_power = 10.0 ** (recording.loudness_lufs / 10.0)
    start = int(np.argmin(np.abs(np.log(np.maximum(mean, 1e-12) / max(target_power, 1e-12)))))
    frames = round(seconds * recording.sample_rate)
    first = max(0, min(round(start * LEVEL_BLOCK_SECONDS * recording.sample_rate), recording.frames - frames))
    return reader.read_frames(recording.path, first, frames) / np.float32(recording.scale)


def evenly_spaced_indices(tracks: Sequence[Track], count: int) -> list[int]:
    """The places of at most `count` tracks, evenly over all that sound."""
    audible = [i for i, track in enumerate(tracks) if np.isfinite(track.recording.loudness_lufs)]
    positions = np.linspace(0, len(audible) - 1, min(count, len(audible))).round().astype(int)
    return [audible[i] for i in positions]
