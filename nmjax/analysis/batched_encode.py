"""Encode tracks in fixed-shape batches of windows; one compiled function serves all tracks.

Windows of several tracks share a batch, padded and masked by `lengths`. Tracks are read in chunks, so memory depends
neither on their length nor on their number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nmjax.analysis.collection import Track
from nmjax.analysis.descriptors import DescriptorMeter
from nmjax.audio.streams import Window, prefetch, windows
from nmjax.config import Config
from nmjax.mastering.analysis import encoder_input_chunks
from nmjax.mastering.network import Network
from nmjax.models import ENCODERS, SAMPLE_RATE, build_model
from nmjax.runtime.errors import BadInputError

CORE_MULTIPLE = 1024  # samples: a multiple of the stride of both encoders
DEFAULT_CORE = 256 * CORE_MULTIPLE  # samples of a window without its margins, about 6 s
_BATCH_SIZES = {"tcn": 4, "spectral": 16, "two_branch": 4}  # windows: 0.3 and 0.4 GB of activations at width 1
_MAX_IN_FLIGHT = 2  # batches on the device while others are read


@dataclasses.dataclass(frozen=True)
class EncodedTrack:
    """An encoded track.

    Attributes:
        track: the track.
        frame_sums: sum of the frames of each window; `inputs` is mid, and in phase 2 also side.
        frame_counts: number of frames of each window.
        descriptors: of the track, by name.
    """

    track: Track
    frame_sums: Float[np.ndarray, "windows inputs size"]
    frame_counts: Int[np.ndarray, " windows"]
    descriptors: dict[str, float]

    @property
    def track_mean(self) -> Float[np.ndarray, "inputs size"]:
        """Mean of the frames of the track, the input of `decode_pooled`."""
        return self.frame_sums.sum(axis=0) / self.frame_counts.sum()

    @property
    def window_means(self) -> Float[np.ndarray, "windows inputs size"]:
        """Mean of the frames of each window."""
        return self.frame_sums / self.frame_counts[:, None, None]


def core_samples(seconds: float) -> int:
    """The samples of a window of about `seconds`, a multiple of `CORE_MULTIPLE`."""
    return max(1, round(seconds * SAMPLE_RATE / CORE_MULTIPLE)) * CORE_MULTIPLE


def encode_tracks(
    tracks: Sequence[Track],
    network: Network,
    core: int = DEFAULT_CORE,
    batch_size: int | None = None,
    report: Callable[[str], None] = print,
) -> Iterator[EncodedTrack]:
    """Encode tracks, in the order in which they are finished; unreadable ones are reported and skipped.

    Args:
        tracks: to encode.
        network: whose encoder is used.
        core: samples of a window without its margins, a multiple of `CORE_MULTIPLE`.
        batch_size: windows per batch; None for the encoder's default.
        report: receives messages to the user.
    """
    size = batch_size or _BATCH_SIZES[network.config.model.encoder]
    sums = _FrameSums(tracks)
    pending: list[tuple[int, Window]] = []
    in_flight: deque[_Batch] = deque()
    for track_index, item in _interleave_windows(tracks, network, core, report):
        if isinstance(item, Window):
            pending.append((track_index, item))
        else:
            sums.complete_track(track_index, item)
        if len(pending) == size:
            in_flight.append(_dispatch_batch(pending, network, size))
            pending = []
        while len(in_flight) > _MAX_IN_FLIGHT:
            sums.add_batch(in_flight.popleft())
        yield from sums.pop_completed()
    if pending:
        in_flight.append(_dispatch_batch(pending, network, size))
    while in_flight:
        sums.add_batch(in_flight.popleft())
    yield from sums.pop_completed()


class _Batch(NamedTuple):
    """A dispatched batch. track_indices, frame_counts: of its windows; frame_sums may have padded rows after these."""

    track_indices: list[int]
    frame_sums: jax.Array
    frame_counts: list[int]


class _TrackEnd(NamedTuple):
    """Follows the last window of a track."""

    num_windows: int
    descriptors: dict[str, float]


class _FrameSums:
    """Collects the frame sums of tracks until all their windows are encoded."""

    def __init__(self, tracks: Sequence[Track]):
        self._tracks = tracks
        self._window_sums: dict[int, list[tuple[np.ndarray, int]]] = defaultdict(list)
        self._completed: dict[int, _TrackEnd] = {}

    def add_batch(self, batch: _Batch) -> None:
        """Add the windows of a batch; waits for the device."""
        frame_sums = np.asarray(batch.frame_sums, np.float64)
        for track_index, frame_sum, count in zip(batch.track_indices, frame_sums, batch.frame_counts, strict=False):
            self._window_sums[track_index].append((frame_sum, count))

    def complete_track(self, track_index: int, end: _TrackEnd) -> None:
        """All windows of a track were read."""
        self._completed[track_index] = end

    def pop_completed(self) -> Iterator[EncodedTrack]:
        """The tracks whose windows were all encoded, each once."""
        done = [n for n, end in self._completed.items() if end.num_windows == len(self._window_sums[n])]
        for track_index in done:
            frame_sums, frame_counts = zip(*self._window_sums.pop(track_index), strict=True)
            yield EncodedTrack(
                track=self._tracks[track_index],
                frame_sums=np.stack(frame_sums),
                frame_counts=np.array(frame_counts),
                descriptors=self._completed.pop(track_index).descriptors,
            )


def _dispatch_batch(pending: list[tuple[int, Window]], network: Network, batch_size: int) -> _Batch:
    """Start the computation of a batch; incomplete batches are padded."""
    encoder = ENCODERS[network.config.model.encoder]
    track_indices = [number for number, _ in pending]
    windows_in_batch = [window for _, window in pending]
    frame_counts = [encoder.frame_count(w.core) for w in windows_in_batch]
    audio = np.zeros((batch_size, *windows_in_batch[0].audio.shape), np.float32)
    bounds = np.zeros((3, batch_size), np.int32)
    for row, (w, frame_count) in enumerate(zip(windows_in_batch, frame_counts, strict=True)):
        first = w.lead // encoder.STRIDE
        audio[row], bounds[:, row] = w.audio, (w.valid, first, first + frame_count)
    frame_sums = _compiled_frame_sums(network.config)(network.variables, audio, *bounds)  # pyright: ignore[reportArgumentType]  hashable: frozen
    return _Batch(track_indices=track_indices, frame_sums=frame_sums, frame_counts=frame_counts)


@functools.cache
def _compiled_frame_sums(config: Config):
    """A function of variables, audio `[batch, time, inputs]` and bounds to frame sums `[batch, inputs, size]`.

    The bounds of each window, each `[batch]`, are its valid samples, its first frame and its end frame (exclusive).
    """
    model = build_model(config)

    def frame_sum(variables, audio, valid, first, end):
        lengths = jnp.broadcast_to(valid, audio.shape[1:])
        frames = cast(jax.Array, model.apply(variables, audio.T[:, :, None], lengths, method="encode_frames"))
        frame_index = jnp.arange(frames.shape[1])
        return jnp.sum(jnp.where(((frame_index >= first) & (frame_index < end))[None, :, None], frames, 0.0), axis=1)

    return jax.jit(jax.vmap(frame_sum, in_axes=(None, 0, 0, 0, 0)))


def _interleave_windows(
    tracks: Sequence[Track], network: Network, core: int, report: Callable[[str], None]
) -> Iterator[tuple[int, Window | _TrackEnd]]:
    """Windows of several tracks in turns, with the tracks' indices; each track is read by a thread of its own."""
    margin, remaining, active_readers = ENCODERS[network.config.model.encoder].MARGIN, enumerate(tracks), deque()
    try:
        while True:
            while len(active_readers) < (os.cpu_count() or 1) and (upcoming := next(remaining, None)):
                active_readers.append((upcoming[0], prefetch(_track_windows(upcoming[1], network, core, margin))))
            if not active_readers:
                return
            track_index, items = active_readers.popleft()
            try:
                item = next(items)
            except BadInputError as error:
                report(f"Left out: {error}")
                continue
            yield track_index, item
            if isinstance(item, Window):
                active_readers.append((track_index, items))
            else:
                items.close()
    finally:
        for _, items in active_readers:
            with contextlib.suppress(BadInputError):
                items.close()


def _track_windows(track: Track, network: Network, core: int, margin: int) -> Iterator[Window | _TrackEnd]:
    signal, meter, num_windows = track.source_signal(), DescriptorMeter(track.recording), 0
    metered_signal = dataclasses.replace(signal, read_chunks=lambda: meter.measure_chunks(signal.read_chunks()))
    for window in windows(encoder_input_chunks(metered_signal, network), core, margin):
        yield window
        num_windows += 1
    if not num_windows:  # a track of two samples at 192 kHz has none at the model's rate
        yield from windows([np.zeros((1, network.encoder_inputs), np.float32)], core, margin)
        num_windows = 1
    yield _TrackEnd(num_windows, meter.result())
