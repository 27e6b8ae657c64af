"""Decoded audio on disk: float32 frames in a file of their own, read by position."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nmjax.audio.spool import read_frames_at
from nmjax.audio.streams import CHUNK_FRAMES, AudioChunks
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import CannotWriteError

_BYTES = 4  # of a sample


class Spool:
    """Audio `[frames, channel]` float32 in a file.

    Args:
        path: the file.
        channels: number of channels.
    """

    def __init__(self, path: Path, channels: int):
        self.path, self.channels = path, channels
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  (who reads a deleted spool reads on)
        self.frames = os.fstat(self._file.fileno()).st_size // (_BYTES * channels)
        weakref.finalize(self, self._file.close)

    def read(self, start: int, frames: int) -> Float[np.ndarray, "frames channel"]:
        """`frames` frames from `start`; silence before the start and after the end."""
        audio = np.zeros((max(0, frames), self.channels), np.float32)
        first, end = max(0, start), min(self.frames, start + frames)
        if first < end:
            samples = read_frames_at(self._file.fileno(), self.channels, first, end - first)
            audio[first - start : first - start + len(samples)] = samples
        return audio

    def chunks(self, size: int = CHUNK_FRAMES) -> Iterator[np.ndarray]:
        """The audio from its start, in chunks as a file reader gives them."""
        for start in range(0, self.frames, size):
            yield self.read(start, min(size, self.frames - start))

    def delete(self) -> None:
        """Remove the file; who has the spool can still read it."""
        self.path.unlink(missing_ok=True)


def write_spool(path: Path, chunks: AudioChunks, channels: int) -> Spool:
    """Write chunks `[frames, channel]`; the file appears complete or not at all.

    Raises:
        CannotWriteError: the disk is full or the folder cannot be written.
    """
    with atomic_files.temporary_sibling(path) as temporary:
        with open(temporary, "wb") as file:
            for chunk in chunks:
                _write(file, np.ascontiguousarray(chunk, np.float32), path)
        os.replace(temporary, path)
    return Spool(path, channels)


def _write(file, chunk: np.ndarray, path: Path) -> None:
    try:
        file.write(chunk.data)
    except OSError as error:
        raise CannotWriteError(atomic_files.write_error_message(path, error)) from None
