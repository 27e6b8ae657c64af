"""Audio in memory and in a temporary file, for signals that are read several times but computed once."""

from __future__ import annotations

import contextlib
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from nmjax.audio.streams import CHUNK_FRAMES, AudioChunks
from nmjax.runtime.atomic_files import write_error_message
from nmjax.runtime.errors import CannotWriteError

_SAMPLE_BYTES = 4


class Spool:
    """float32 audio: its beginning in memory, the rest in a temporary file without a name.

    The file is gone when the spool is closed, or with this object.

    Args:
        channels: of the signal.
        folder: of the file, which needs 4 bytes per sample. None for the system's folder for temporary files.
        memory_bytes: how much stays in memory.

    Raises:
        CannotWriteError: here or in any method: the disk is full, or the folder cannot be written.
    """

    def __init__(self, channels: int, folder: Path | None = None, memory_bytes: int = 0):
        self._channels, self._free_bytes = channels, memory_bytes
        self._chunks: list[np.ndarray] = []
        self._folder = folder or Path(tempfile.gettempdir())
        with self._reporting_errors():
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`, or with this object)
        self._finalizer = weakref.finalize(self, self._file.close)

    def append(self, chunk: np.ndarray) -> None:
        """Adds a chunk `[frames, channel]`, which the caller must not change afterwards."""
        samples = np.ascontiguousarray(chunk, np.float32)
        if samples.nbytes <= self._free_bytes:
            self._free_bytes -= samples.nbytes
            self._chunks.append(samples if samples.base is None else samples.copy())  # a view would hold all of it
        else:
            self._free_bytes = 0
            with self._reporting_errors():
                self._file.write(samples.data)

    def read_chunks(self) -> Iterator[np.ndarray]:
        """The signal from its start, in chunks `[frames, channel]` float32."""
        yield from self._chunks
        with self._reporting_errors():
            self._file.flush()
        start = 0
        while len(chunk := read_frames_at(self._file.fileno(), self._channels, start, CHUNK_FRAMES)):
            yield chunk
            start += len(chunk)

    @contextlib.contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CannotWriteError(write_error_message(self._folder, error)) from None

    def close(self) -> None:
        """Frees the memory and removes the file; readers must have ended."""
        self._chunks.clear()
        self._finalizer()


def read_frames_at(file_descriptor: int, channels: int, start: int, frames: int) -> np.ndarray:
    """`frames` frames from `start` of a file of float32 samples, `[frames, channel]`; fewer at its end."""
    frame_bytes = channels * _SAMPLE_BYTES
    raw_bytes = os.pread(file_descriptor, frames * frame_bytes, start * frame_bytes)
    return np.frombuffer(raw_bytes, np.float32).reshape(-1, channels)


class StoredStream:
    """A signal that is stored when it is read to its end for the first time, and read from there later.

    Args:
        open_stream: computes the signal from its start.
        channels, folder, memory_bytes: as of `Spool`.
    """

    def __init__(
        self,
        open_stream: Callable[[], AudioChunks],
        channels: int,
        folder: Path | None = None,
        memory_bytes: int = 0,
    ):
        self._open_stream = open_stream
        self._make_spool = lambda: Spool(channels, folder, memory_bytes)
        self._stored: Spool | None = None

    def read_chunks(self) -> Iterator[np.ndarray]:
        """The signal from its start, in chunks `[frames, channel]`."""
        if self._stored is not None:
            yield from self._stored.read_chunks()
            return
        spool = self._make_spool()
        for chunk in self._open_stream():
            spool.append(chunk)
            yield chunk
        self._stored = spool

    def close(self) -> None:
        """Frees what is stored; readers must have ended."""
        if self._stored is not None:
            self._stored.close()
