"""The gain of a processor over time, measured by comparing its input and its output while both are streamed."""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import power_to_db

MAX_POINTS = 1200
_BLOCKS_PER_SECOND = 100
_SILENCE_POWER = 1e-10  # mean square of a block, −100 dB, below which no gain is measured


@dataclasses.dataclass(frozen=True)
class GainTrace:
    """What a processor did to the level.

    Attributes:
        level_change_db: RMS level of the output over that of the input; NaN for silence.
        null_level_db: level of the output after the best-fitting multiple of the input is subtracted, relative to the
            output. −inf: the processor is a gain; NaN for silence.
        times_s: `[points]`, where the intervals end: every 10 ms or, in longer tracks, every 20, 40, 80 … ms.
        gain_db: `[points]`, gain over each interval; NaN in silence.
        min_gain_db, max_gain_db: `[points]`, extremes over the 10 ms blocks of each interval; NaN in silence.
    """

    level_change_db: float
    null_level_db: float
    times_s: Float[np.ndarray, " points"]
    gain_db: Float[np.ndarray, " points"]
    min_gain_db: Float[np.ndarray, " points"]
    max_gain_db: Float[np.ndarray, " points"]


class GainTracer:
    """Compares the output of a processor with its input. Memory does not grow with the signal.

    The input may come from another thread, and ahead of the output.
    """

    def __init__(self, sample_rate: int):
        self._sample_rate = sample_rate
        self._block_frames = max(1, sample_rate // _BLOCKS_PER_SECOND)
        self._input_queue: collections.deque[np.ndarray] = collections.deque()
        self._lock = threading.Lock()
        self._has_output = False  # until then no input is stored
        self._products = np.zeros(3)  # sums of input², input·output and output²
        self._partial_block = np.zeros((2, 0))  # powers of the samples of the incomplete point, of input and output
        self._point_energies = np.zeros((2, 0))  # of input and output
        self._gain_extremes_db = np.zeros((2, 0))  # minimum and maximum
        self._blocks_per_point, self._num_frames = 1, 0

    def watch_input(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """Yield the chunks that go into the processor."""
        for chunk in chunks:
            if self._has_output:
                with self._lock:
                    self._input_queue.append(chunk)
            yield chunk

    def watch_output(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """Yield the chunks that come out of the processor; `watch_input` must be upstream."""
        self._has_output = True
        for chunk in chunks:
            if len(chunk):
                self._compare(self._pop_input(len(chunk)).astype(np.float64), chunk.astype(np.float64))
            yield chunk

    def result(self) -> GainTrace:
        """The gain so far. Call it once, at the end."""
        if self._partial_block.shape[1]:
            self._append_points(self._partial_block.sum(axis=1)[:, None])
        before, cross, after = self._products
        level_change_db = null_level_db = math.nan
        if before > 0.0 and after > 0.0:
            level_change_db = power_to_db(after / before)
            null_level_db = power_to_db(max(0.0, 1.0 - cross * cross / (before * after)))
        point_frames = self._block_frames * self._blocks_per_point
        end_frames = point_frames * np.arange(1, self._point_energies.shape[1] + 1)
        min_gain_db, max_gain_db = self._gain_extremes_db
        return GainTrace(
            level_change_db=level_change_db,
            null_level_db=null_level_db,
            times_s=np.minimum(end_frames, self._num_frames) / self._sample_rate,
            gain_db=_energy_ratio_db(self._point_energies, point_frames),
            min_gain_db=min_gain_db,
            max_gain_db=max_gain_db,
        )

    def _pop_input(self, num_frames: int) -> np.ndarray:
        parts = []
        with self._lock:
            while num_frames:
                chunk = self._input_queue.popleft()
                if len(chunk) > num_frames:
                    self._input_queue.appendleft(chunk[num_frames:])
                parts.append(chunk[:num_frames])
                num_frames -= len(parts[-1])
        return np.concatenate(parts)

    def _compare(self, before: np.ndarray, after: np.ndarray) -> None:
        """Add aligned pieces of input and output, `[frames, channel]` in float64."""
        squares = np.stack([np.einsum("tc,tc->t", x, x) / x.shape[1] for x in (before, after)])
        cross = np.einsum("tc,tc->", before, after) / before.shape[1]
        self._products += [squares[0].sum(), cross, squares[1].sum()]
        self._num_frames += len(before)
        squares = np.concatenate([self._partial_block, squares], axis=1)
        point_frames = self._block_frames * self._blocks_per_point
        num_points = squares.shape[1] // point_frames
        self._partial_block = squares[:, num_points * point_frames :]
        if num_points:
            shape = (2, num_points, self._blocks_per_point, self._block_frames)
            block_energies = squares[:, : num_points * point_frames].reshape(shape).sum(axis=3)
            self._append_points(block_energies.sum(axis=2), _energy_ratio_db(block_energies, self._block_frames))
        while self._point_energies.shape[1] > MAX_POINTS:
            self._merge_point_pairs()

    def _append_points(self, energies: np.ndarray, gains_db: np.ndarray | None = None) -> None:
        """Add points. energies: `[2, points]`; gains_db: of the blocks in each, `[points, blocks]`."""
        if gains_db is None:
            gains_db = _energy_ratio_db(energies, self._block_frames)[:, None]
        extremes = np.stack([np.fmin.reduce(gains_db, axis=1), np.fmax.reduce(gains_db, axis=1)])
        self._point_energies = np.concatenate([self._point_energies, energies], axis=1)
        self._gain_extremes_db = np.concatenate([self._gain_extremes_db, extremes], axis=1)

    def _merge_point_pairs(self) -> None:
        """Halve the number of points. An odd point at the end becomes part of the incomplete point."""
        num_points = self._point_energies.shape[1]
        num_pairs = num_points // 2
        pairs = self._point_energies[:, : 2 * num_pairs].reshape(2, num_pairs, 2)
        min_db, max_db = self._gain_extremes_db[:, : 2 * num_pairs].reshape(2, num_pairs, 2)
        if num_points > 2 * num_pairs:  # its energy is spread evenly, an error in time of less than a point
            point_frames = self._block_frames * self._blocks_per_point
            last_point = np.repeat(self._point_energies[:, -1:] / point_frames, point_frames, axis=1)
            self._partial_block = np.concatenate([last_point, self._partial_block], axis=1)
        self._point_energies = pairs.sum(axis=2)
        self._gain_extremes_db = np.stack([np.fmin.reduce(min_db, axis=1), np.fmax.reduce(max_db, axis=1)])
        self._blocks_per_point *= 2


def _energy_ratio_db(energies: np.ndarray, num_frames: int) -> np.ndarray:
    """The gain from input to output energies, the first axis; NaN in silence."""
    is_audible = np.min(energies, axis=0) > _SILENCE_POWER * num_frames
    safe = np.where(is_audible, energies, 1.0)
    return np.where(is_audible, 10.0 * np.log10(safe[1] / safe[0]), np.nan)
