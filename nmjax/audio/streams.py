"""Signals as streams of chunks, in memory that does not grow with the track."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np
import soxr

from nmjax.audio.units import db_to_amplitude

CHUNK_FRAMES = 1 << 16  # of a chunk, where nothing else decides

AudioChunks = Iterable[np.ndarray]  # each `[frames, channel]`
Item = TypeVar("Item")
Result = TypeVar("Result")
_QUEUE_SIZE = 2  # items made in advance


@dataclasses.dataclass(frozen=True)
class Window:
    """A section of fixed size: a core, with context on both sides.

    Attributes:
        audio: `[size, channel]`, zero beyond `valid` frames.
        lead: frames of context before the core.
        valid: frames of signal.
        core: frames of the core.
    """

    audio: np.ndarray
    lead: int
    valid: int
    core: int


def windows(chunks: AudioChunks, core: int, margin: int) -> Iterator[Window]:
    """Windows of core + 2 · margin frames whose cores follow each other.

    The first window starts with the signal (no lead), every later one `margin` frames before its core.

    Args:
        chunks: the signal.
        core, margin: multiples of the network's stride, so that every window is aligned with its grid.
    """
    size, lead = core + 2 * margin, 0
    buffered: np.ndarray | None = None
    for chunk in chunks:
        buffered = chunk if buffered is None else np.concatenate([buffered, chunk])
        while len(buffered) > lead + core + margin:
            yield _make_window(buffered, size, lead, core, margin)
            buffered, lead = buffered[lead + core - margin :], margin
    while buffered is not None and len(buffered) > lead:
        yield _make_window(buffered, size, lead, min(core, len(buffered) - lead), margin)
        buffered, lead = buffered[lead + core - margin :], margin


def _make_window(buffered: np.ndarray, size: int, lead: int, core: int, margin: int) -> Window:
    audio = buffered[: lead + core + margin]
    padded = np.zeros((size, buffered.shape[1]), np.float32)
    padded[: len(audio)] = audio
    return Window(padded, lead, len(audio), core)


def rechunk(chunks: AudioChunks, size: int) -> Iterator[np.ndarray]:
    """The same signal in chunks of `size` frames, the last one shorter."""
    buffered: list[np.ndarray] = []
    num_frames = 0
    for chunk in chunks:
        buffered.append(chunk)
        num_frames += len(chunk)
        while num_frames >= size:
            joined = np.concatenate(buffered)
            yield joined[:size]
            buffered, num_frames = [joined[size:]], num_frames - size
    if num_frames:
        yield np.concatenate(buffered)


class BlockBuffer:
    """Collects chunks of any length into blocks of one length, in memory that is used again for each.

    Args:
        channels: number of channels.
        frames: of a block.
    """

    def __init__(self, channels: int, frames: int):
        self._block = np.zeros((channels, frames), np.float32)
        self._num_buffered = 0

    def push(self, chunk: np.ndarray) -> Iterator[np.ndarray]:
        """Add a chunk `[frames, channel]`; yields the blocks `[channel, frames]` that it completes.

        A block is valid until the next one.
        """
        start = 0
        while start < len(chunk):
            part = chunk[start : start + self._block.shape[1] - self._num_buffered]
            self._block[:, self._num_buffered : self._num_buffered + len(part)] = part.T
            self._num_buffered, start = self._num_buffered + len(part), start + len(part)
            if self._num_buffered == self._block.shape[1]:
                self._num_buffered = 0
                yield self._block

    def take_rest(self) -> np.ndarray:
        """The frames after the last complete block, possibly none, as `[channel, frames]`."""
        rest, self._num_buffered = self._block[:, : self._num_buffered], 0
        return rest


def pad_end(chunks: AudioChunks, frames: int) -> Iterator[np.ndarray]:
    """The stream followed by `frames` of silence, which flush the delay of a filter."""
    channels = 1
    for chunk in chunks:
        channels = chunk.shape[1]
        yield chunk
    yield np.zeros((frames, channels), np.float32)


def resample_stream(chunks: AudioChunks, from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """The same signal at another rate (both in Hz), without delay; equal to resampling it at once."""
    if from_rate == to_rate:
        yield from chunks
        return
    resampler, channels = None, 0
    for chunk in chunks:
        if resampler is None:
            channels = chunk.shape[1]
            resampler = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="VHQ")
        yield resampler.resample_chunk(np.ascontiguousarray(chunk, np.float32))
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros((0, channels), np.float32), last=True)


def take_section(chunks: AudioChunks, start: int, end: int) -> Iterator[np.ndarray]:
    """The frames from `start` to `end`, or to the end of the signal where that comes first."""
    position = 0
    for chunk in chunks:
        part = chunk[max(0, start - position) : max(0, end - position)]
        if len(part):
            yield part
        position += len(chunk)
        if position >= end:
            return


def add_streams(first: AudioChunks, second: AudioChunks) -> Iterator[np.ndarray]:
    """Sum of two signals in the chunks of the first; the second counts as silent after its end, which a resampler may
    place a sample early."""
    pending, second_chunks = None, iter(second)
    for chunk in first:
        while pending is None or len(pending) < len(chunk):
            next_chunk = next(second_chunks, None)
            if next_chunk is None:
                next_chunk = np.zeros((len(chunk), chunk.shape[1]), np.float32)
            pending = next_chunk if pending is None else np.concatenate([pending, next_chunk])
        yield chunk + pending[: len(chunk)]
        pending = pending[len(chunk) :]


def take_excerpts(
    chunks: AudioChunks, frames: int, sample_rate: int, total_seconds: float, excerpt_seconds: float
) -> Iterator[np.ndarray]:
    """Evenly spread excerpts of a signal, one after another.

    Args:
        chunks: the signal.
        frames: its length.
        sample_rate: Hz.
        total_seconds: length of all excerpts together, below that of the signal.
        excerpt_seconds: approximate length of each.
    """
    count = max(1, round(total_seconds / excerpt_seconds))
    size = int(total_seconds / count * sample_rate)
    starts = np.linspace(0, frames - size, count).astype(int) if count > 1 else np.array([(frames - size) // 2])
    position = 0
    for chunk in chunks:
        for start in starts:
            excerpt = chunk[max(0, start - position) : max(0, start + size - position)]
            if len(excerpt):
                yield excerpt
        position += len(chunk)


def prefetch(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, made in another thread up to two in advance; exceptions are raised in order.

    It pays because NumPy, SciPy, soxr, libsndfile and XLA release Python's lock while they compute.
    """
    results: queue.Queue = queue.Queue(_QUEUE_SIZE)
    stopped = threading.Event()

    def put(result) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                results.put(result, timeout=0.1)
                return True
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((None, StopIteration()))
        except BaseException as error:  # raised again in the consumer
            put((None, error))

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            item, error = results.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
        thread.join()


def watch_in_thread(chunks: AudioChunks, watch: Callable[[np.ndarray], None]) -> Iterator[np.ndarray]:
    """The same chunks, each given to `watch` in another thread, in order; all have been when the stream ends.

    Args:
        chunks: the signal; who uses the chunks must not change them.
        watch: an exception that it raises is raised here.
    """
    pending: collections.deque[Future] = collections.deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for chunk in chunks:
                pending.append(pool.submit(watch, chunk))
                yield chunk
                while len(pending) > _QUEUE_SIZE or (pending and pending[0].done()):
                    pending.popleft().result()
            for future in pending:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


class StreamBranch(Generic[Result]):
    """A second reader of a stream, in a thread of its own, of the chunks that the first one reads. A context manager.

    Args:
        read: reads all chunks it is given and returns a result.
    """

    def __init__(self, read: Callable[[AudioChunks], Result]):
        self._chunks: queue.Queue[np.ndarray | None] = queue.Queue(_QUEUE_SIZE)
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(read, self._received())

    def _received(self) -> Iterator[np.ndarray]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk

    def __enter__(self) -> StreamBranch[Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._put(None)  # where the first reader has failed
        self._pool.shutdown()

    def watch(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same chunks; call it once."""
        for chunk in chunks:
            self._put(chunk)
            yield chunk

    def result(self) -> Result:
        """What the reader returns at the end of the stream; an exception that it raises is raised here."""
        self._put(None)
        return self._future.result()

    def _put(self, chunk: np.ndarray | None) -> None:
        while not self._future.done():
            with contextlib.suppress(queue.Full):
                return self._chunks.put(chunk, timeout=0.1)


def scale_stream_db(chunks: AudioChunks, gain_db: float) -> Iterator[np.ndarray]:
    """The stream times a gain; bit-identical at 0 dB."""
    return scale_stream(chunks, db_to_amplitude(gain_db))


def scale_stream(chunks: AudioChunks, gain: float) -> Iterator[np.ndarray]:
    """The stream times a factor; bit-identical at 1."""
    for chunk in chunks:
        yield chunk * np.float32(gain)
