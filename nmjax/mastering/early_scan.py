"""Measurements of tracks, made in a process of its own while this one imports JAX, or masters the track before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nmjax.runtime.forked_task import ForkedTask, can_fork

if TYPE_CHECKING:
    from nmjax.audio.streams import AudioChunks
    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackStatistics

Measurements = tuple["LoudnessScan", "TrackStatistics"]


class _Result(NamedTuple):
    """Of one file. stamp: size and time of the file before it was read; measurements: None where it cannot be read."""

    path: Path
    stamp: tuple[int, int] | None
    measurements: Measurements | None


class EarlyScans:
    """Measures the loudness of tracks, and what their diagnosis needs, in a child process, in the order of requests.

    Call `close` at the end.
    """

    def __init__(self):
        self._task = ForkedTask(_scan_requested)
        self._messages = self._task.messages()
        self._requested: list[Path] = []
        self._measurements: Measurements | None = None

    def request(self, path: Path) -> None:
        """Starts to measure a file after those before it.

        Request few at a time: the child waits with its second result until the first is read.
        """
        with contextlib.suppress(OSError):  # the child has ended
            self._task.send(path)
            self._requested.append(path)

    def wait(self, path: Path, watch: Callable[[AudioChunks], AudioChunks] = iter) -> Measurements | None:
        """The measurements of a file; None where it was not requested, cannot be read, or has changed since.

        Args:
            path: the file.
            watch: is given silence in chunks `[frames, 1]` of the lengths that the child reads, as it reads them.
        """
        self._measurements = None
        for _ in watch(self._chunks(path)):
            pass
        return self._measurements

    def _chunks(self, path: Path) -> AudioChunks:
        """Silence, until the measurements of a file are there."""
        import numpy as np

        while path in self._requested:
            message = next(self._messages, None)
            if message is None:  # the child has ended
                self._requested.clear()
            elif isinstance(message, _Result):
                self._requested.remove(message.path)
                if message.path == path:
                    if message.measurements and message.stamp == _stamp(path):
                        self._measurements = message.measurements
                    return
            elif self._requested[0] == path:
                yield np.broadcast_to(np.float32(0.0), (message, 1))

    def close(self) -> None:
        """Ends the child."""
        self._task.close()


def start_early_scans() -> EarlyScans | None:
    """Starts the child process; None where this one cannot fork any more. Close what is returned."""
    return EarlyScans() if can_fork() else None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _scan_requested(requests: Iterator[Any], send: Callable[[Any], None]) -> None:
    for path in requests:
        stamp, measurements = _stamp(path), None
        with contextlib.suppress(Exception):  # whoever reads the file next reports what is wrong with it
            measurements = _scan(path, send)
        send(_Result(path, stamp, measurements))


def _scan(path: Path, send: Callable[[Any], None]) -> Measurements:
    from nmjax.audio import reader
    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackScan

    def watched_chunks() -> AudioChunks:
        for chunk in reader.read_chunks(path):
            track_scan.update(chunk)
            yield chunk
            send(len(chunk))

    info = reader.probe(path)
    track_scan = TrackScan(info.sample_rate, info.channels)
    scan = LoudnessScan(watched_chunks(), info.sample_rate, info.channels, max_limiting_db=None)
    return scan, track_scan.result()
