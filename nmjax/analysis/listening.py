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
from nmjax.analysis.measures import Measures
from nmjax.config import Config
from nmjax.errors import BadInputError
from nmjax.inference.network import Network
from nmjax.inference.stream import Window, ahead, windows
from nmjax.inference.track import to_ears
from nmjax.models import ENCODERS, SAMPLE_RATE, build_model

GRID = 1024  # samples: a multiple of either encoder's stride
CORE = 256 * GRID  # samples of a window that are new, about 6 s
_BATCH = {"tcn": 4, "spectral": 16}  # windows: 0.3 and 0.4 GB of arrays in between at width 1
_IN_FLIGHT = 2  # batches that the device works on while others are read


@dataclasses.dataclass(frozen=True)
class Heard:
    """What an encoder heard of a track: the sum over each window's frames, of mid and in phase 2 of the side, and their
    number; and what was measured."""

    track: Track
    totals: Float[np.ndarray, "windows ears size"]
    frames: Int[np.ndarray, "windows"]
    measures: dict[str, float]

    @property
    def mean(self) -> Float[np.ndarray, "ears size"]:
        """Over the whole track, as `settle` takes it."""
        return self.totals.sum(axis=0) / self.frames.sum()

    @property
    def window_means(self) -> Float[np.ndarray, "windows ears size"]:
        """Over each window."""
        return self.totals / self.frames[:, None, None]


def core_of(seconds: float) -> int:
    """The samples of a window of about so many seconds, on both encoders' grids."""
    return max(1, round(seconds * SAMPLE_RATE / GRID)) * GRID


def heard(
    tracks: Sequence[Track],
    network: Network,
    core: int = CORE,
    batch: int | None = None,
    report: Callable[[str], None] = print,
) -> Iterator[Heard]:
    """Each track as the network hears it, in the order in which they end; one that cannot be read is reported.

    Args:
        core: samples of a window, a multiple of GRID. batch: windows at a time; None: as fits into memory.
    """
    size, sums = batch or _BATCH[network.config.model.encoder], _Sums(tracks)
    waiting: list[tuple[int, Window]] = []
    flying: deque = deque()
    for number, item in _interleaved(tracks, network, core, report):
        if isinstance(item, Window):
            waiting.append((number, item))
        else:
            sums.end(number, *item)
        if len(waiting) == size:
            flying.append(_sent(waiting, network, size))
            waiting = []
        while len(flying) > _IN_FLIGHT:
            sums.add(*flying.popleft())
        yield from sums.finished()
    if waiting:
        flying.append(_sent(waiting, network, size))
    while flying:
        sums.add(*flying.popleft())
    yield from sums.finished()


class _Sums:
    """What was heard of each track so far."""

    def __init__(self, tracks: Sequence[Track]):
        self._tracks = tracks
        self._windows: dict[int, list[tuple[np.ndarray, int]]] = defaultdict(list)
        self._ended: dict[int, tuple[int, dict[str, float]]] = {}

    def add(self, numbers: list[int], totals: jax.Array, frames: list[int]) -> None:
        """A batch: whose windows they are (of a padded batch, the first ones), their sums, their frames."""
        for number, total, count in zip(numbers, np.asarray(totals, np.float64), frames, strict=False):
            self._windows[number].append((total, count))

    def end(self, number: int, count: int, measures: dict[str, float]) -> None:
        """A track has no more windows than `count`."""
        self._ended[number] = count, measures

    def finished(self) -> Iterator[Heard]:
        """The tracks of which everything was heard, once."""
        for number in [n for n, (count, _) in self._ended.items() if count == len(self._windows[n])]:
            totals, frames = zip(*self._windows.pop(number), strict=True)
            yield Heard(self._tracks[number], np.stack(totals), np.array(frames), self._ended.pop(number)[1])


def _sent(waiting: list[tuple[int, Window]], network: Network, size: int) -> tuple[list[int], jax.Array, list[int]]:
    """A batch on its way: whose windows they are, their sums when they are done, their frames."""
    encoder = ENCODERS[network.config.model.encoder]
    numbers = [number for number, _ in waiting]
    found = [window for _, window in waiting]
    frames = [encoder.frames_of(w.core) for w in found]
    audio = np.zeros((size, *found[0].audio.shape), np.float32)
    bounds = np.zeros((3, size), np.int32)
    for row, (w, own) in enumerate(zip(found, frames, strict=True)):
        first = w.lead // encoder.STRIDE
        audio[row], bounds[:, row] = w.audio, (w.valid, first, first + own)
    return numbers, _summed(network.config)(network.variables, audio, *bounds), frames


@functools.cache
def _summed(config: Config):
    """`[batch, ears, size]`: the sum over an encoder's frames from `first` to before `end`, of each window."""
    model = build_model(config)

    def one(variables, audio, valid, first, end):
        lengths = jnp.broadcast_to(valid, audio.shape[1:])
        frames = model.apply(variables, audio.T[:, :, None], lengths, method="hear")
        number = jnp.arange(frames.shape[1])
        return jnp.sum(jnp.where(((number >= first) & (number < end))[None, :, None], frames, 0.0), axis=1)

    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0, 0, 0)))


def _interleaved(
    tracks: Sequence[Track], network: Network, core: int, report: Callable[[str], None]
) -> Iterator[tuple[int, Window | tuple[int, dict[str, float]]]]:
    """Windows of several tracks by turns, each track read in a thread of its own; after a track's last one the count of
    its windows and what was measured."""
    margin, coming, opened = ENCODERS[network.config.model.encoder].MARGIN, enumerate(tracks), deque()
    try:
        while True:
            while len(opened) < (os.cpu_count() or 1) and (following := next(coming, None)):
                opened.append((following[0], ahead(_windowed(following[1], network, core, margin))))
            if not opened:
                return
            number, items = opened.popleft()
            try:
                item = next(items)
            except BadInputError as error:
                report(f"Left out: {error}")
                continue
            yield number, item
            if isinstance(item, Window):
                opened.append((number, items))
            else:
                items.close()
    finally:
        for _, items in opened:
            with contextlib.suppress(BadInputError):
                items.close()


def _windowed(
    track: Track, network: Network, core: int, margin: int
) -> Iterator[Window | tuple[int, dict[str, float]]]:
    signal, measures, count = track.heard(), Measures(track.sound), 0
    watched = dataclasses.replace(signal, pieces=lambda: measures.watch(signal.pieces()))
    for window in windows(to_ears(watched, network), core, margin):
        yield window
        count += 1
    if not count:  # two samples at 192 kHz are none at the model's rate
        yield from windows([np.zeros((1, network.ears), np.float32)], core, margin)
        count = 1
    yield count, measures.result()
