"""Signals as streams of pieces, so that memory does not grow with the track."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
import soxr

from nmjax.inference.decibels import amplitude_of

Pieces = Iterable[np.ndarray]  # each [frames, channel]
Item = TypeVar("Item")
_AHEAD = 2  # items that wait at most


@dataclasses.dataclass(frozen=True)
class Window:
    """A fixed size of signal, of which `core` frames from `lead` on are new; the rest is what the network hears
    around them.

    audio: `[size, channel]`, zero beyond `valid` frames.
    """

    audio: np.ndarray
    lead: int
    valid: int
    core: int


def windows(pieces: Pieces, core: int, margin: int) -> Iterator[Window]:
    """Windows of core + 2·margin frames; the first starts with the signal (no lead), every later one `margin` before
    its core.

    Both sizes are multiples of the network's stride, so that every window falls on its grid.
    """
    size, lead = core + 2 * margin, 0
    held: np.ndarray | None = None
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece])
        while len(held) > lead + core + margin:
            yield _window(held, size, lead, core, margin)
            held, lead = held[lead + core - margin :], margin
    while held is not None and len(held) > lead:
        yield _window(held, size, lead, min(core, len(held) - lead), margin)
        held, lead = held[lead + core - margin :], margin


def _window(held: np.ndarray, size: int, lead: int, core: int, margin: int) -> Window:
    audio = held[: lead + core + margin]
    padded = np.zeros((size, held.shape[1]), np.float32)
    padded[: len(audio)] = audio
    return Window(padded, lead, len(audio), core)


def recut(pieces: Pieces, size: int) -> Iterator[np.ndarray]:
    """The same signal in pieces of `size` frames, the last one shorter."""
    held: list[np.ndarray] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        while count >= size:
            joined = np.concatenate(held)
            yield joined[:size]
            held, count = [joined[size:]], count - size
    if count:
        yield np.concatenate(held)


def resampled(pieces: Pieces, from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """The same signal at another rate, without delay; equal to resampling the whole at once."""
    if from_rate == to_rate:
        yield from pieces
        return
    stream = None
    for piece in pieces:
        if stream is None:
            stream = soxr.ResampleStream(from_rate, to_rate, piece.shape[1], dtype="float32", quality="VHQ")
            channels = piece.shape[1]
        yield stream.resample_chunk(np.ascontiguousarray(piece, np.float32))
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def added(first: Pieces, second: Pieces) -> Iterator[np.ndarray]:
    """Sum of two signals in the pieces of the first; where the second ends early (a resampler's rounding) it is
    silent."""
    rest, others = None, iter(second)
    for piece in first:
        while rest is None or len(rest) < len(piece):
            more = next(others, None)
            if more is None:
                more = np.zeros((len(piece), piece.shape[1]), np.float32)
            rest = more if rest is None else np.concatenate([rest, more])
        yield piece + rest[: len(piece)]
        rest = rest[len(piece) :]


def stretches(pieces: Pieces, frames: int, sample_rate: int, seconds: float, each: float) -> Iterator[np.ndarray]:
    """Evenly spread parts of a signal, one after another.

    Args:
        frames: the signal's length.
        seconds: of all parts together, less than the signal; each: of one part, at most.
    """
    count = max(1, round(seconds / each))
    size = int(seconds / count * sample_rate)
    starts = np.linspace(0, frames - size, count).astype(int) if count > 1 else np.array([(frames - size) // 2])
    place = 0
    for piece in pieces:
        for start in starts:
            part = piece[max(0, start - place) : max(0, start + size - place)]
            if len(part):
                yield part
        place += len(piece)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same, made in a thread of its own a few items before they are asked for; errors come where they are raised.

    NumPy, SciPy, soxr, libsndfile and XLA let other threads compute while they do.
    """
    made: queue.Queue = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(what) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                made.put(what, timeout=0.1)
                return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:  # for whoever waits for it
            put((None, error))

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()


def scaled(pieces: Pieces, gain_db: float) -> Iterator[np.ndarray]:
    """The stream times a gain; at 0 dB the same to the bit."""
    return multiplied(pieces, amplitude_of(gain_db))


def multiplied(pieces: Pieces, factor: float) -> Iterator[np.ndarray]:
    """The stream times a factor; at 1 the same to the bit."""
    for piece in pieces:
        yield piece * np.float32(factor)
