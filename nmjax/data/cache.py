"""Lossy files are decoded once, from the start, into FLAC: in Vorbis and MP3 seeking is not exact."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.io import AudioInfo

SCALE = 0.25  # decoded music peaks above full scale; 24 bits have room for two bits less


def default_dir() -> Path:
    """Where decoded files go if the settings name no place."""
    return Path.home() / ".cache" / "nmjax"


def seekable(info: AudioInfo, cache_dir: Path) -> tuple[AudioInfo, float]:
    """A file in which seeking is exact, and the factor that its samples carry.

    Lossless files are used as they are, factor 1; float files are read through once, since they may hold NaN. Lossy
    ones are decoded into `cache_dir` unless that was done before for this path, size and time of change.

    Raises:
        BadInputError: damaged, not finite, or louder than +12 dBFS.
    """
    if not info.lossy:
        if info.is_float:
            for _ in io.pieces(info.path):
                pass
        return info, 1.0
    stat = info.path.stat()
    key = hashlib.sha256(f"{info.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:24]
    cached = cache_dir / f"{key}.flac"
    if not cached.is_file():
        _decode(info, cached)
    return io.probe(cached), SCALE


def _decode(info: AudioInfo, cached: Path) -> None:
    with io.temporary_beside(cached) as temporary:
        io.encode(temporary, _scaled(info), info.sample_rate, info.channels, "FLAC", "PCM_24")
        io.publish(temporary, cached)


def _scaled(info: AudioInfo) -> Iterator[np.ndarray]:
    for piece in io.pieces(info.path):
        if np.abs(piece).max() * SCALE >= 1.0:
            raise BadInputError(f"'{info.path}' peaks above +12 dBFS, which no music does; leave it out.")
        yield piece * np.float32(SCALE)
