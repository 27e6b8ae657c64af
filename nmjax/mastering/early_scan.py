"""The measurements of a track, made in a process of its own while this one imports JAX and loads the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmjax.runtime.forked_task import ForkedTask, can_fork

if TYPE_CHECKING:
    import numpy as np

    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackStatistics


class EarlyScan:
    """Measures a track's loudness, and what its diagnosis needs, in a child process.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self._task = ForkedTask(lambda send: _scan(path, send))
        self.measurements: tuple[LoudnessScan, TrackStatistics] | None = None

    def chunks(self) -> Iterator[np.ndarray]:
        """Silence in chunks `[frames, 1]` of the lengths that the child has read, as they are read; afterwards
        `measurements` are there, unless the file cannot be read."""
        import numpy as np

        for message in self._task.messages():
            if isinstance(message, int):
                yield np.broadcast_to(np.float32(0.0), (message, 1))
            else:
                self.measurements = message

    def close(self) -> None:
        """Ends the child where it still works."""
        self._task.close()


def start_early_scan(path: Path) -> EarlyScan | None:
    """Starts to measure a file; None where this process cannot fork any more. Close what is returned."""
    return EarlyScan(path) if can_fork() else None


def _scan(path: Path, send: Callable[[Any], None]) -> None:
    from nmjax.audio import reader
    from nmjax.audio.streams import AudioChunks
    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackScan

    def watched_chunks() -> AudioChunks:
        for chunk in reader.read_chunks(path):
            track_scan.update(chunk)
            yield chunk
            send(len(chunk))

    info = reader.probe(path)
    track_scan = TrackScan(info.sample_rate, info.channels)
    scan = LoudnessScan(watched_chunks(), info.sample_rate, info.channels, max_limiting_db=0.0)
    send((scan, track_scan.result()))
