"""The waveform's minima and maxima, collected as audio passes, and read for any zoom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks
from nmjax.studio.spool import Spool

BASE_FRAMES = 256  # frames of the finest step that is stored


class PeakScan:
    """Minimum and maximum over the channels of each 256 frames, as chunks pass."""

    def __init__(self) -> None:
        self._rest: np.ndarray | None = None
        self._steps: list[np.ndarray] = []

    def watch(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same chunks, `[frames, channel]`."""
        for chunk in chunks:
            self._add(chunk)
            yield chunk

    def _add(self, chunk: np.ndarray) -> None:
        joined = chunk if self._rest is None else np.concatenate([self._rest, chunk])
        whole = len(joined) // BASE_FRAMES * BASE_FRAMES
        if whole:
            self._steps.append(_extremes(joined[:whole].reshape(whole // BASE_FRAMES, -1)))
        self._rest = joined[whole:].copy()

    def result(self) -> Float[np.ndarray, "steps 2"]:
        """Minimum and maximum of each step; the last one may be shorter."""
        steps = list(self._steps)
        if self._rest is not None and len(self._rest):
            steps.append(_extremes(self._rest.reshape(1, -1)))
        return np.concatenate(steps) if steps else np.zeros((0, 2), np.float32)


def read_peaks(
    steps: Float[np.ndarray, "steps 2"], spool: Spool, start: int, frames: int, columns: int
) -> Float[np.ndarray, "columns 2"]:
    """Minimum and maximum of `columns` equal parts of a section; from the samples where a part is shorter than a step.

    Args:
        steps: from `PeakScan`.
        spool: the audio.
        start, frames: the section.
        columns: number of parts; a part shorter than a sample repeats it.
    """
    frames = max(1, min(frames, spool.frames - start))
    edges = start + np.arange(columns + 1) * frames // columns
    if frames >= 4 * BASE_FRAMES * columns:
        return _reduce(steps, edges // BASE_FRAMES)
    audio = spool.read(start, frames)
    samples = np.stack([audio.min(axis=1), audio.max(axis=1)], axis=1)
    return _reduce(samples, edges - start)


def _extremes(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)


def _reduce(values: np.ndarray, edges: np.ndarray) -> Float[np.ndarray, "columns 2"]:
    """Minimum and maximum between successive edges; an empty part takes the value at its edge."""
    if not len(values):
        return np.zeros((len(edges) - 1, 2), np.float32)
    first = np.minimum(edges[:-1], len(values) - 1)
    low, high = np.minimum.reduceat(values[:, 0], first), np.maximum.reduceat(values[:, 1], first)
    tail = slice(first[-1], max(first[-1] + 1, min(edges[-1], len(values))))  # `reduceat` would read to the end
    low[-1], high[-1] = values[tail, 0].min(), values[tail, 1].max()
    return np.stack([low, high], axis=1).astype(np.float32)
