"""Tracks become sums over an encoder's frames: windows of several tracks share batches of one fixed shape.

A track is read in pieces, so memory depends neither on its length nor on how many there are; what a batch lacks is
padded and masked by `lengths`. One compiled program hears everything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nmjax.analysis.collection import Track
from nmjax.analysis.measures import DescriptorMeter
from nmjax.audio.streams import Window, prefetch, windows
from nmjax.config import Config
from nmjax.mastering.analysis import encoder_input_chunks
from nmjax.mastering.network import Network
from nmjax.models import ENCODERS, SAMPLE_RATE, build_model
from nmjax.runtime.errors import BadInputError

CORE_MULTIPLE = 1024  # samples: a multiple of either encoder's stride
DEFAULT_CORE = 256 * CORE_MULTIPLE  # samples of a window that are new, about 6 s
_BATCH_SIZES = {"tcn": 4, "spectral": 16}  # windows: 0.3 and 0.4 GB of arrays in between at width 1
_MAX_IN_FLIGHT = 2  # batches that the device works on while others are read


@dataclasses.dataclass(frozen=True)
class EncodedTrack:
    """What an encoder heard of a track: the sum over each window's frames, of mid and in phase 2 of the side, and their
    number; and what was measured."""

    track: Track
    frame_sums: Float[np.ndarray, "windows ears size"]
    frame_counts: Int[np.ndarray, " windows"]
    descriptors: dict[str, float]

    @property
    def track_mean(self) -> Float[np.ndarray, "ears size"]:
        """Over the whole track, as `settle` takes it."""
        return self.frame_sums.sum(axis=0) / self.frame_counts.sum()

    @property
    def window_means(self) -> Float[np.ndarray, "windows ears size"]:
        """Over each window."""
        return self.frame_sums / self.frame_counts[:, None, None]


def core_samples(seconds: float) -> int:
    """The samples of a window of about so many seconds, on both encoders' grids."""
    return max(1, round(seconds * SAMPLE_RATE / CORE_MULTIPLE)) * CORE_MULTIPLE


def encode_tracks(
    tracks: Sequence[Track],
    network: Network,
    core: int = DEFAULT_CORE,
    batch_size: int | None = None,
    report: Callable[[str], None] = print,
) -> Iterator[EncodedTrack]:
    """Each track as the network hears it, in the order in which they end; one that cannot be read is reported.

    Args:
        core: samples of a window, a multiple of GRID. batch: windows at a time; None: as fits into memory.
    """
    size, sums = batch_size or _BATCH_SIZES[network.config.model.encoder], _FrameSums(tracks)
    pending: list[tuple[int, Window]] = []
    in_flight: deque = deque()
    for track_index, item in _interleave_windows(tracks, network, core, report):
        if isinstance(item, Window):
            pending.append((track_index, item))
        else:
            sums.complete_track(track_index, *item)
        if len(pending) == size:
            in_flight.append(_dispatch_batch(pending, network, size))
            pending = []
        while len(in_flight) > _MAX_IN_FLIGHT:
            sums.add_batch(*in_flight.popleft())
        yield from sums.pop_completed()
    if pending:
        in_flight.append(_dispatch_batch(pending, network, size))
    while in_flight:
        sums.add_batch(*in_flight.popleft())
    yield from sums.pop_completed()


class _FrameSums:
    """What was heard of each track so far."""

    def __init__(self, tracks: Sequence[Track]):
        self._tracks = tracks
        self._window_sums: dict[int, list[tuple[np.ndarray, int]]] = defaultdict(list)
        self._completed: dict[int, tuple[int, dict[str, float]]] = {}

    def add_batch(self, track_indices: list[int], frame_sums: jax.Array, frame_counts: list[int]) -> None:
        """A batch: whose windows they are (of a padded batch, the first ones), their sums, their frames."""
        for track_index, frame_sum, count in zip(
            track_indices, np.asarray(frame_sums, np.float64), frame_counts, strict=False
        ):
            self._window_sums[track_index].append((frame_sum, count))

    def complete_track(self, track_index: int, num_windows: int, descriptors: dict[str, float]) -> None:
        """A track has no more windows than `count`."""
        self._completed[track_index] = num_windows, descriptors

    def pop_completed(self) -> Iterator[EncodedTrack]:
        """The tracks of which everything was heard, once."""
        for track_index in [n for n, (count, _) in self._completed.items() if count == len(self._window_sums[n])]:
            frame_sums, frame_counts = zip(*self._window_sums.pop(track_index), strict=True)
            yield EncodedTrack(
                self._tracks[track_index],
                np.stack(frame_sums),
                np.array(frame_counts),
                self._completed.pop(track_index)[1],
            )


def _dispatch_batch(
    pending: list[tuple[int, Window]], network: Network, batch_size: int
) -> tuple[list[int], jax.Array, list[int]]:
    """A batch on its way: whose windows they are, their sums when they are done, their frames."""
    encoder = ENCODERS[network.config.model.encoder]
    track_indices = [number for number, _ in pending]
    windows_in_batch = [window for _, window in pending]
    frame_counts = [encoder.frame_count(w.core) for w in windows_in_batch]
    audio = np.zeros((batch_size, *windows_in_batch[0].audio.shape), np.float32)
    bounds = np.zeros((3, batch_size), np.int32)
    for row, (w, frame_count) in enumerate(zip(windows_in_batch, frame_counts, strict=True)):
        first = w.lead // encoder.STRIDE
        audio[row], bounds[:, row] = w.audio, (w.valid, first, first + frame_count)
    return track_indices, _compiled_frame_sums(network.config)(network.variables, audio, *bounds), frame_counts


@functools.cache
def _compiled_frame_sums(config: Config):
    """`[batch, ears, size]`: the sum over an encoder's frames from `first` to before `end`, of each window."""
    model = build_model(config)

    def frame_sum(variables, audio, valid, first, end):
        lengths = jnp.broadcast_to(valid, audio.shape[1:])
        frames = model.apply(variables, audio.T[:, :, None], lengths, method="encode_frames")
        frame_index = jnp.arange(frames.shape[1])
        return jnp.sum(jnp.where(((frame_index >= first) & (frame_index < end))[None, :, None], frames, 0.0), axis=1)

    return jax.jit(jax.vmap(frame_sum, in_axes=(None, 0, 0, 0, 0)))


def _interleave_windows(
    tracks: Sequence[Track], network: Network, core: int, report: Callable[[str], None]
) -> Iterator[tuple[int, Window | tuple[int, dict[str, float]]]]:
    """Windows of several tracks by turns, each track read in a thread of its own; after a track's last one the count of
    its windows and what was measured."""
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


def _track_windows(
    track: Track, network: Network, core: int, margin: int
) -> Iterator[Window | tuple[int, dict[str, float]]]:
    signal, meter, num_windows = track.source_signal(), DescriptorMeter(track.recording), 0
    metered_signal = dataclasses.replace(signal, read_chunks=lambda: meter.measure_chunks(signal.read_chunks()))
    for window in windows(encoder_input_chunks(metered_signal, network), core, margin):
        yield window
        num_windows += 1
    if not num_windows:  # two samples at 192 kHz are none at the model's rate
        yield from windows([np.zeros((1, network.encoder_inputs), np.float32)], core, margin)
        num_windows = 1
    yield num_windows, meter.result()
