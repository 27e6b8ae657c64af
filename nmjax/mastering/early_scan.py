"""Measurements of tracks, made in a process of its own while this one imports modules, or masters the track before."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator
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
        loudness_first: in passes of their own, the first of which ends early, and takes little time.
        with_features: also what a match needs, in a pass after the loudness.

    Raises:
        ValueError: features without the loudness before them.
    """

    def __init__(self, loudness_first: bool = False, with_features: bool = False):
        if with_features and not loudness_first:
            raise ValueError("with_features needs loudness_first")
        self._passes: tuple[tuple[str, ...], ...] = ((_SCAN, _STATISTICS),)
        if loudness_first:
            features = ((_FEATURES, _EXCERPTS),) if with_features else ()
            self._passes = ((_SCAN,), *features, (_STATISTICS,))
        self._task = ForkedTask(_measure_requested)
        self._messages = self._task.messages()
        self._requested: list[_Request] = []
        self._measured: tuple[Path, list[dict[str, Any] | None]] | None = None  # a file, and values of its first passes

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
        """The loudness alone, where it is known before `wait` returns."""
        return self._wait_for_passes(path, 1) if len(self._passes) > 1 else None

    def wait_for_features(self, path: Path) -> Measurements | None:
        """The loudness and what a match needs, where that is measured."""
        return self._wait_for_passes(path, 2) if len(self._passes) > 2 else None

    def wait(self, path: Path, watch: Callable[[AudioChunks], AudioChunks] = iter) -> Measurements | None:
        """The measurements of a file; None where it was not requested, cannot be read, or has changed since.

        Args:
            path: the file.
            watch: is given silence in chunks `[frames, 1]` of the lengths that the child reads, as it reads them.
        """
        measurements = self._wait_for_passes(path, len(self._passes), watch)
        self._measured = None
        return measurements

    def _wait_for_passes(
        self, path: Path, count: int, watch: Callable[[AudioChunks], AudioChunks] = iter
    ) -> Measurements | None:
        """The measurements of the first passes; `watch` is that of the last of all."""
        if not self._measured or self._measured[0] != path:
            self._measured = path, []
        measured = self._measured[1]
        while len(measured) < count:
            is_last = len(measured) == len(self._passes) - 1
            measured.append(self._values(_Request(path, self._passes[len(measured)]), watch if is_last else iter))
        values: dict[str, Any] = {}
        for found in measured[:count]:
            if found is None:
                return None
            values |= found
        return _with_loudness(Measurements(**values))

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


def _with_loudness(measurements: Measurements) -> Measurements:
    """The measurements with the loudness of the scan among the features."""
    scan, features = measurements.scan, measurements.features
    if features is None:
        return measurements
    loudness_range = scan.loudness_range_lu() if math.isfinite(scan.lufs) else math.nan
    features = dataclasses.replace(features, lufs=scan.lufs, loudness_range=loudness_range)
    return measurements._replace(features=features)


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
    from nmjax.mastering.delivery.loudness_scan import LoudnessScan
    from nmjax.mastering.diagnosis.scan import TrackScan
    from nmjax.mastering.reference_features import features_and_excerpts

    info, names, values, frames_read = reader.probe(request.path), request.names, {}, 0
    track_scan = TrackScan(info.sample_rate, info.channels) if _STATISTICS in names else None

    def read_chunks() -> AudioChunks:
        nonlocal frames_read
        for chunk in reader.read_chunks(request.path):
            if track_scan:
                track_scan.update(chunk)
            yield chunk
            frames_read += len(chunk)
            send(len(chunk))

    if _FEATURES in names:
        values[_FEATURES], excerpts = features_and_excerpts(
            read_chunks(), info.sample_rate, info.frames, with_loudness=False
        )
        if frames_read == info.frames:  # else they are not where they should be
            values[_EXCERPTS] = excerpts
    elif _SCAN in names:
        values[_SCAN] = LoudnessScan(read_chunks(), info.sample_rate, info.channels, max_limiting_db=None)
    else:
        for _ in read_chunks():
            pass
    if track_scan:
        values[_STATISTICS] = track_scan.result()
    return values
