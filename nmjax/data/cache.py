"""What is done once for every file: it is read through and measured; lossy ones are decoded into FLAC on the way (in
Vorbis and MP3 seeking is not exact)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from nmjax import io
from nmjax.data.measure import Measured, Meter
from nmjax.data.places import File
from nmjax.errors import BadInputError
from nmjax.io import AudioInfo

SCALE = 0.25  # decoded music peaks above full scale; 24 bits have room for two bits less


def default_dir() -> Path:
    """Where indices and decoded files go if the settings name no place."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nmjax"


def heard(file: File, cache_dir: Path) -> tuple[AudioInfo, Measured, str]:
    """What a file's header says, what it measures, and its decoded twin's name in `cache_dir` ("" for lossless ones).

    It is read to its end, because a damaged place or a NaN would stop a training hours later.

    Raises:
        BadInputError: no audio, damaged, cut short, not finite, or louder than +12 dBFS.
        CannotWriteError: `cache_dir` cannot be written.
    """
    info = io.probe(file.path)
    meter, name = Meter(info.sample_rate, info.channels), ""
    if info.lossy:
        name = f"{hashed(f'{file.real}|{file.size}|{file.mtime_ns}')}.flac"
        _decode(info, cache_dir / name, meter)
    else:
        for piece in io.pieces(info.path):
            meter.hear(piece)
        if meter.frames != info.frames:
            raise BadInputError(f"'{info.path}' ends after {meter.frames} of {info.frames} samples; export it again.")
    if meter.frames < 2:
        raise BadInputError(f"'{info.path}' holds a single sample; leave it out.")
    return info, meter.result(), name


def hashed(text: str) -> str:
    """A short name for a long one."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:24]


def _heard(pieces: Iterable[np.ndarray], meter: Meter) -> Iterator[np.ndarray]:
    for piece in pieces:
        meter.hear(piece)
        yield piece


def _decode(info: AudioInfo, cached: Path, meter: Meter) -> None:
    if cached.is_file():  # an earlier index knew of it
        for piece in io.pieces(cached):
            meter.hear(piece / np.float32(SCALE))
        return
    with io.temporary_beside(cached) as temporary:
        pieces = _scaled(_heard(io.pieces(info.path), meter), info)
        io.encode(temporary, pieces, info.sample_rate, info.channels, "FLAC", "PCM_24")
        io.publish(temporary, cached)


def _scaled(pieces: Iterable[np.ndarray], info: AudioInfo) -> Iterator[np.ndarray]:
    for piece in pieces:
        if np.abs(piece).max() * SCALE >= 1.0:
            raise BadInputError(f"'{info.path}' peaks above +12 dBFS, which no music does; leave it out.")
        yield piece * np.float32(SCALE)
