"""Audio in a temporary file, for signals that are read several times but computed once."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nmjax.audio.streams import CHUNK_FRAMES, AudioChunks

_SAMPLE_BYTES = 4


class Spool:
    """float32 audio in a temporary file without a name, which is gone when it is closed, or with this object.

    Args:
        channels: of the signal.
        folder: of the file, which needs 4 bytes per sample. None for the system's folder for temporary files.
    """

    def __init__(self, channels: int, folder: Path | None = None):
        self._channels = channels
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`, or with this object)
        self._finalizer = weakref.finalize(self, self._file.close)

    def append(self, chunk: np.ndarray) -> None:
        """Adds a chunk `[frames, channel]`."""
        self._file.write(np.ascontiguousarray(chunk, np.float32).data)

    def read_chunks(self) -> Iterator[np.ndarray]:
        """The signal from its start, in chunks `[frames, channel]` float32."""
        self._file.flush()
        start = 0
        while len(chunk := read_frames_at(self._file.fileno(), self._channels, start, CHUNK_FRAMES)):
            yield chunk
            start += len(chunk)

    def close(self) -> None:
        """Removes the file; readers must have ended."""
        self._finalizer()


def read_frames_at(file_descriptor: int, channels: int, start: int, frames: int) -> np.ndarray:
    """`frames` frames from `start` of a file of float32 samples, `[frames, channel]`; fewer at its end."""
    frame_bytes = channels * _SAMPLE_BYTES
    raw_bytes = os.pread(file_descriptor, frames * frame_bytes, start * frame_bytes)
    return np.frombuffer(raw_bytes, np.float32).reshape(-1, channels)


def computed_once(
    open_stream: Callable[[], AudioChunks], channels: int, folder: Path | None = None
) -> Callable[[], AudioChunks]:
    """Opens the same signal, which is stored when it is read to its end for the first time, and read from there later.

    Args:
        open_stream: opens the signal from its start.
        channels, folder: as of `Spool`.
    """
    stored: Spool | None = None

    def open_stored() -> Iterator[np.ndarray]:
        nonlocal stored
        if stored is not None:
            yield from stored.read_chunks()
            return
        spool = Spool(channels, folder)
        for chunk in open_stream():
            spool.append(chunk)
            yield chunk
        stored = spool

    return open_stored
