"""What is done once for every file: lossless ones are read through, lossy ones decoded into FLAC (in Vorbis and MP3
seeking is not exact)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.io import AudioInfo

SCALE = 0.25  # decoded music peaks above full scale; 24 bits have room for two bits less


def default_dir() -> Path:
    """Where decoded files go if the settings name no place."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmjax"


def seekable(info: AudioInfo, cache_dir: Path) -> tuple[AudioInfo, float]:
    """A file in which seeking is exact, and the factor that its samples carry.

    Lossless files are used as they are, factor 1, after they have been read through once: a damaged place or a NaN
    would stop a training hours later. Lossy ones are decoded into `cache_dir`. Both is done once for a path, size and
    time of change.

    Raises:
        BadInputError: damaged, cut short, not finite, or louder than +12 dBFS.
        CannotWriteError: `cache_dir` cannot be written.
    """
    stat = info.path.stat()
    named = os.fsencode(f"{info.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}")
    key = hashlib.sha256(named).hexdigest()[:24]
    cached = cache_dir / (f"{key}.flac" if info.lossy else f"{key}.sound")
    if not cached.is_file():
        _decode(info, cached) if info.lossy else _hear(info, cached)
    return (io.probe(cached), SCALE) if info.lossy else (info, 1.0)


def _hear(info: AudioInfo, mark: Path) -> None:
    frames = sum(len(piece) for piece in io.pieces(info.path))
    if frames != info.frames:
        raise BadInputError(f"'{info.path}' ends after {frames} of {info.frames} samples; export it again.")
    io.write_text(mark, "")


def _decode(info: AudioInfo, cached: Path) -> None:
    with io.temporary_beside(cached) as temporary:
        io.encode(temporary, _scaled(info), info.sample_rate, info.channels, "FLAC", "PCM_24")
        io.publish(temporary, cached)


def _scaled(info: AudioInfo) -> Iterator[np.ndarray]:
    for piece in io.pieces(info.path):
        if np.abs(piece).max() * SCALE >= 1.0:
            raise BadInputError(f"'{info.path}' peaks above +12 dBFS, which no music does; leave it out.")
        yield piece * np.float32(SCALE)
