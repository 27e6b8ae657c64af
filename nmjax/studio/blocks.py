"""A track and its stages in blocks of one length, each rendered from the state after the block before."""

from __future__ import annotations

import collections
import math
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from nmjax.mastering.analysis import SourceSignal, residual_stream
from nmjax.mastering.network import Network
from nmjax.models import SAMPLE_RATE
from nmjax.models.processors import BLOCK_SIZE
from nmjax.studio.spool import Spool

_BLOCK_SECONDS = 0.25
_STORED_BLOCKS, _STORED_STATES = 64, 4096
_WARM_PREROLL_S = 0.5  # where a stage has the state that it had there with other settings
_RESIDUAL_BLOCKS = 2  # rendered together: the network's windows are about 0.7 s long
_RESIDUAL_CONTEXT = 4096  # frames on either side, for the network and both resamplers


@runtime_checkable
class Blocks(Protocol):
    """A signal in blocks. `delay`: by how many frames it is late."""

    delay: int

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block; block 0 starts with the track."""
        ...


def block_frames(sample_rate: int) -> int:
    """Length of a block, a multiple of what the processors need."""
    return max(1, int(_BLOCK_SECONDS * sample_rate) // BLOCK_SIZE) * BLOCK_SIZE


class SourceBlocks:
    """The track itself, silent before its start and after its end."""

    delay = 0

    def __init__(self, source: Spool, size: int):
        self._source, self._size = source, size

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block of the track."""
        return self._source.read(index * self._size, self._size)


class StageBlocks:
    """The output of one stage, with the states between its blocks.

    Args:
        stage: filters a block from a state.
        upstream: its input.
        size: frames of a block.
        total_frames: of the track; the output is silent outside of it, as that of the engine is.
        preroll_s: seconds that are rendered where the state is not known.
        sample_rate: Hz.
        earlier: the same stage with other settings or another input; its states are nearer than silence.
    """

    def __init__(
        self,
        stage,
        upstream: Blocks,
        *,
        size: int,
        total_frames: int,
        preroll_s: float,
        sample_rate: int,
        earlier: StageBlocks | None = None,
    ):
        self._stage, self._upstream, self._size, self._total_frames = stage, upstream, size, total_frames
        self._preroll, self._warm_preroll = (
            math.ceil(seconds * sample_rate / size) for seconds in (preroll_s, min(preroll_s, _WARM_PREROLL_S))
        )
        self._earlier: collections.OrderedDict[int, Any] = collections.OrderedDict()
        if earlier is not None:
            self._earlier.update(collections.ChainMap(earlier._states, earlier._earlier))
        self.delay = upstream.delay + stage.latency
        self._outputs: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()
        self._states: collections.OrderedDict[int, Any] = collections.OrderedDict({0: None})

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block of the output."""
        if index in self._outputs:
            self._outputs.move_to_end(index)
            return self._outputs[index]
        first, state = self._start(index)
        for k in range(first, index):
            _, state = self._stage.process(self._upstream.block(k), self._size, state)
            self._store(self._earlier, k + 1, state, _STORED_STATES)  # near, but not the state of the whole track
        output, state = self._stage.process(self._upstream.block(index), self._size, state)
        self._store(self._states, index + 1, state, _STORED_STATES)
        self._store(self._outputs, index, self._silence_outside(output, index), _STORED_BLOCKS)
        return self._outputs[index]

    def is_stored(self, index: int) -> bool:
        """Whether a block needs no rendering."""
        return index in self._outputs

    def _start(self, index: int) -> tuple[int, Any]:
        """From which block to render up to a block, and the state before it."""
        if index in self._states:
            return index, self._states[index]
        first = max(0, index - self._preroll)
        known = max((k for k in range(first, index) if k in self._states), default=None)
        if known is not None:
            return known, self._states[known]
        warm = index - self._warm_preroll
        if warm > first and self._earlier.get(warm) is not None:
            return warm, self._earlier[warm]
        return first, None

    def _silence_outside(self, output: np.ndarray, index: int) -> np.ndarray:
        first = self.delay - index * self._size
        end = first + self._total_frames
        if first > 0 or end < self._size:
            output[: max(0, first)] = 0.0
            output[max(0, end) :] = 0.0
        return output

    @staticmethod
    def _store(stored: collections.OrderedDict, key: int, value: Any, limit: int) -> None:
        stored[key] = value
        stored.move_to_end(key)
        if len(stored) > limit:
            oldest = next(k for k in stored if k != 0)  # the state at rest stays
            del stored[oldest]


class ResidualBlocks:
    """The network's residual at amount 1, which depends on the track and z alone."""

    delay = 0

    def __init__(self, source: Spool, signal: SourceSignal, network: Network, z: Any, size: int):
        self._source, self._signal, self._network, self._z, self._size = source, signal, network, z, size
        self._outputs: collections.OrderedDict[int, np.ndarray] = collections.OrderedDict()

    def block(self, index: int) -> Float[np.ndarray, "frames channel"]:
        """A block of the residual."""
        if index not in self._outputs:
            first = index // _RESIDUAL_BLOCKS * _RESIDUAL_BLOCKS
            section = self._render(first * self._size, _RESIDUAL_BLOCKS * self._size)
            for k in range(_RESIDUAL_BLOCKS):
                self._outputs[first + k] = section[k * self._size : (k + 1) * self._size]
            while len(self._outputs) > _STORED_BLOCKS:
                self._outputs.popitem(last=False)
        return self._outputs[index]

    def _render(self, start: int, frames: int) -> Float[np.ndarray, "frames channel"]:
        rate = self._signal.sample_rate
        # Where the network's grid of 8 samples and the resampler's grid meet the track's own.
        step = 8 * rate // math.gcd(rate, SAMPLE_RATE)
        begin = max(0, (start - _RESIDUAL_CONTEXT) // step * step)
        end = min(self._source.frames, start + frames + _RESIDUAL_CONTEXT)
        if begin >= end:
            return np.zeros((frames, self._source.channels), np.float32)
        section = SourceSignal(
            lambda: iter([self._source.read(begin, end - begin)]), rate, self._signal.lufs, end - begin
        )
        residual = np.concatenate(list(residual_stream(section, self._network, self._z)))[start - begin :][:frames]
        return np.concatenate([residual, np.zeros((frames - len(residual), residual.shape[1]), np.float32)])
