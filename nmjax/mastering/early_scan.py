"""Measurements of tracks, made in a process of its own while this one imports modules, or masters the track before."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nmjax.runtime.forked_task import ForkedTask, can_fork

if TYPE_CHECKING:
    from nmjax.audio.streams import AudioChunks
    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackStatistics
    from nmjax.mastering.reference_features import Excerpts
    from nmjax.reference.features import TrackFeatures


class Measurements(NamedTuple):
    """Of a track. What was not asked for is None.

    Attributes:
        scan: its loudness.
        statistics: for its diagnosis.
        features: for a match.
        excerpts: the same, where the length in the file's header is that of the track.
    """

    scan: LoudnessScan
    statistics: TrackStatistics | None = None
    features: TrackFeatures | None = None
    excerpts: Excerpts | None = None


_SCAN, _STATISTICS, _FEATURES, _EXCERPTS = Measurements._fields


class _Request(NamedTuple):
    """One pass over a file. names: fields of `Measurements` to measure."""

    path: Path
    names: tuple[str, ...]


class _Result(NamedTuple):
    """Of a request. stamp: size and time of the file before it was read; values: None where it cannot be read."""

    request: _Request
    stamp: tuple[int, int] | None
    values: dict[str, Any] | None


class EarlyScans:
    """Measures the loudness of tracks, and what their diagnosis needs, in a child process, in the order of requests.

    Call `close` at the end.

    Args:
        loudness_first: in two passes, the first of which ends early, and takes little time.
        with_features: also what a match needs, in that pass.
    """

    def __init__(self, loudness_first: bool = False, with_features: bool = False):
        first, rest = (_SCAN, _FEATURES, _EXCERPTS) if with_features else (_SCAN,), (_STATISTICS,)
        self._passes = (first, rest) if loudness_first else ((*first, *rest),)
        self._task = ForkedTask(_measure_requested)
        self._messages = self._task.messages()
        self._requested: list[_Request] = []
        self._first: tuple[Path, dict[str, Any] | None] | None = None  # file and values of a first pass

    def request(self, path: Path) -> None:
        """Starts to measure a file after those before it.

        Request few at a time: results stay in the memory of the child until they are read.
        """
        for names in self._passes:
            request = _Request(path, names)
            with contextlib.suppress(OSError):  # the child has ended
                self._task.send(request)
                self._requested.append(request)

    def wait_for_loudness(self, path: Path) -> Measurements | None:
        """The measurements but for the statistics, where they are known before `wait` returns."""
        if len(self._passes) == 1:
            return None
        if not self._first or self._first[0] != path:
            self._first = path, self._values(_Request(path, self._passes[0]))
        values = self._first[1]
        return Measurements(**values) if values else None

    def wait(self, path: Path, watch: Callable[[AudioChunks], AudioChunks] = iter) -> Measurements | None:
        """The measurements of a file; None where it was not requested, cannot be read, or has changed since.

        Args:
            path: the file.
            watch: is given silence in chunks `[frames, 1]` of the lengths that the child reads, as it reads them.
        """
        first, self._first = self.wait_for_loudness(path), None
        values = self._values(_Request(path, self._passes[-1]), watch)
        if values is None or (first is None and len(self._passes) > 1):
            return None
        return first._replace(**values) if first else Measurements(**values)

    def _values(self, request: _Request, watch: Callable[[AudioChunks], AudioChunks] = iter) -> dict[str, Any] | None:
        """What was measured at a request."""
        values: list[dict[str, Any] | None] = []
        for _ in watch(self._chunks_until_result(request, values.append)):
            pass
        return values[0] if values else None

    def _chunks_until_result(self, request: _Request, found: Callable[[dict[str, Any] | None], None]) -> AudioChunks:
        """Silence, until the values of a request are there, which `found` is called with."""
        import numpy as np

        while request in self._requested:
            message = next(self._messages, None)
            if message is None:  # the child has ended
                self._requested.clear()
            elif isinstance(message, _Result):
                self._requested.remove(message.request)
                if message.request == request:
                    return found(message.values if message.stamp == _stamp(request.path) else None)
            elif self._requested[0] == request:
                yield np.broadcast_to(np.float32(0.0), (message, 1))

    def close(self) -> None:
        """Ends the child."""
        self._task.close()


def start_early_scans(loudness_first: bool = False, with_features: bool = False) -> EarlyScans | None:
    """Starts the child process; None where this one cannot fork any more. Close what is returned."""
    return EarlyScans(loudness_first, with_features) if can_fork() else None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _measure_requested(requests: Iterator[Any], send: Callable[[Any], None]) -> None:
    for request in requests:
        stamp, values = _stamp(request.path), None
        with contextlib.suppress(Exception):  # whoever reads the file next reports what is wrong with it
            values = _measure(request, send)
        send(_Result(request, stamp, values))


def _measure(request: _Request, send: Callable[[Any], None]) -> dict[str, Any]:
    """Makes the pass of a request; sends the length of each chunk that it has read."""
    from nmjax.audio import reader
    from nmjax.audio.streams import StreamBranch
    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackScan
    from nmjax.mastering.reference_features import features_and_excerpts

    info, names, values = reader.probe(request.path), request.names, {}
    track_scan = TrackScan(info.sample_rate, info.channels) if _STATISTICS in names else None

    def read_chunks() -> AudioChunks:
        for chunk in reader.read_chunks(request.path):
            if track_scan:
                track_scan.update(chunk)
            yield chunk
            send(len(chunk))

    with contextlib.ExitStack() as stack:
        chunks, branch = read_chunks(), None
        if _FEATURES in names:
            measure = partial(
                features_and_excerpts, sample_rate=info.sample_rate, frames=info.frames, with_loudness=False
            )
            branch = stack.enter_context(StreamBranch(measure))
            chunks = branch.watch(chunks)
        if _SCAN in names:
            values[_SCAN] = LoudnessScan(chunks, info.sample_rate, info.channels, max_limiting_db=None)
        for _ in chunks:
            pass
        if branch:
            features, values[_EXCERPTS] = branch.result()
            scan = values[_SCAN]  # has measured the loudness
            loudness_range = scan.loudness_range_lu() if math.isfinite(scan.lufs) else math.nan
            values[_FEATURES] = dataclasses.replace(features, lufs=scan.lufs, loudness_range=loudness_range)
            if values[_SCAN].frames != info.frames:
                del values[_EXCERPTS]  # they are not where they should be
    if track_scan:
        values[_STATISTICS] = track_scan.result()
    return values
