"""What a part of the chain does to a sound, noted while the sound before it and the sound after it pass.

Nothing is asked of the part itself: both signals are compared as they are heard, so what is told was done.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks

MAX_POINTS = 1200  # of gain over time
_BLOCKS_PER_SECOND = 100
_SILENCE_POWER = 1e-10  # mean square of a block in which no gain can be read, −100 dB


@dataclasses.dataclass(frozen=True)
class GainTrace:
    """What was done. level_db: by how much it is louder (root mean square). rest_db: what was changed beside one gain
    for all of it, relative to what came out, −inf for nothing; NaN both where there is silence.

    seconds: `[points]`, ends of stretches of 10 ms or, in longer tracks, 20, 40, 80 … ms. gain_db: `[points]`, the gain
    over each stretch; least_db, most_db: the extremes of its stretches of 10 ms. NaN where nothing was heard.
    """

    level_change_db: float
    null_level_db: float
    times_s: Float[np.ndarray, " points"]
    gain_db: Float[np.ndarray, " points"]
    min_gain_db: Float[np.ndarray, " points"]
    max_gain_db: Float[np.ndarray, " points"]


class GainTracer:
    """Compares what comes out of a part with what went in; memory does not depend on the length.

    What went in may come from another thread, and ahead of what comes out.
    """

    def __init__(self, sample_rate: int):
        self._block_frames = max(1, sample_rate // _BLOCKS_PER_SECOND)
        self._sample_rate = sample_rate
        self._input_queue: collections.deque[np.ndarray] = collections.deque()
        self._lock = threading.Lock()
        self._has_output = False  # before that nothing is kept: nobody would take it away
        self._products = np.zeros(3)  # sums of before², before·after, after²
        self._partial_block = np.zeros((2, 0))  # energies of the block that is not full yet, before and after
        self._point_energies = np.zeros((2, 0))  # of each point
        self._gain_extremes_db = np.zeros((2, 0))  # least and most gain, dB
        self._blocks_per_point, self._num_frames = 1, 0  # blocks to a point

    def watch_input(self, pieces: AudioChunks) -> Iterator[np.ndarray]:
        """What goes into the part, passed on."""
        for piece in pieces:
            if self._has_output:
                with self._lock:
                    self._input_queue.append(piece)
            yield piece

    def watch_output(self, pieces: AudioChunks) -> Iterator[np.ndarray]:
        """What comes out of it, as long, passed on; `enters` must lie upstream."""
        self._has_output = True
        for piece in pieces:
            if len(piece):
                self._compare(self._pop_input(len(piece)).astype(np.float64), piece.astype(np.float64))
            yield piece

    def result(self) -> GainTrace:
        """What was done so far; nothing can be compared after it."""
        if self._partial_block.shape[1]:
            self._append_points(self._partial_block.sum(axis=1)[:, None])
        before, cross, after = self._products
        is_audible = before > 0.0 and after > 0.0
        null_ratio = max(0.0, 1.0 - cross * cross / (before * after)) if is_audible else math.nan
        power_ratio = after / before if is_audible else math.nan
        end_frames = self._block_frames * self._blocks_per_point * np.arange(1, self._point_energies.shape[1] + 1)
        return GainTrace(
            10.0 * math.log10(power_ratio) if is_audible else math.nan,
            10.0 * math.log10(null_ratio) if null_ratio > 0.0 else (-math.inf if is_audible else math.nan),
            np.minimum(end_frames, self._num_frames) / self._sample_rate,
            _energy_ratio_db(self._point_energies, self._block_frames * self._blocks_per_point),
            *self._gain_extremes_db,
        )

    def _pop_input(self, num_frames: int) -> np.ndarray:
        parts = []
        with self._lock:
            while num_frames:
                piece = self._input_queue.popleft()
                if len(piece) > num_frames:
                    self._input_queue.appendleft(piece[num_frames:])
                parts.append(piece[:num_frames])
                num_frames -= len(parts[-1])
        return np.concatenate(parts)

    def _compare(self, before: np.ndarray, after: np.ndarray) -> None:
        squares = np.stack([np.einsum("tc,tc->t", x, x) / x.shape[1] for x in (before, after)])
        cross = np.einsum("tc,tc->", before, after) / before.shape[1]
        self._products += [squares[0].sum(), cross, squares[1].sum()]
        self._num_frames += len(before)
        energies = np.concatenate([self._partial_block, squares], axis=1)
        point_frames = self._block_frames * self._blocks_per_point
        num_points = energies.shape[1] // point_frames
        self._partial_block = energies[:, num_points * point_frames :]
        if num_points:
            block_energies = (
                energies[:, : num_points * point_frames]
                .reshape(2, num_points, self._blocks_per_point, self._block_frames)
                .sum(axis=3)
            )
            self._append_points(block_energies.sum(axis=2), _energy_ratio_db(block_energies, self._block_frames))
        while self._point_energies.shape[1] > MAX_POINTS:
            self._merge_point_pairs()

    def _append_points(self, energies: np.ndarray, gains_db: np.ndarray | None = None) -> None:
        """Further points; the gains of the blocks in each `[points, blocks]`."""
        if gains_db is None:
            gains_db = _energy_ratio_db(energies, self._block_frames)[:, None]
        extremes = np.stack([np.fmin.reduce(gains_db, axis=1), np.fmax.reduce(gains_db, axis=1)])
        self._point_energies = np.concatenate([self._point_energies, energies], axis=1)
        self._gain_extremes_db = np.concatenate([self._gain_extremes_db, extremes], axis=1)

    def _merge_point_pairs(self) -> None:
        """Two points become one; an odd one at the end waits with the others of its time."""
        num_pairs = self._point_energies.shape[1] // 2
        pairs = self._point_energies[:, : 2 * num_pairs].reshape(2, num_pairs, 2)
        min_db, max_db = self._gain_extremes_db[:, : 2 * num_pairs].reshape(2, num_pairs, 2)
        if (
            self._point_energies.shape[1] > 2 * num_pairs
        ):  # its energy is spread evenly, which moves it by less than a point
            point_frames = self._block_frames * self._blocks_per_point
            self._partial_block = np.concatenate(
                [np.repeat(self._point_energies[:, -1:] / point_frames, point_frames, axis=1), self._partial_block],
                axis=1,
            )
        self._point_energies = pairs.sum(axis=2)
        self._gain_extremes_db = np.stack([np.fmin.reduce(min_db, axis=1), np.fmax.reduce(max_db, axis=1)])
        self._blocks_per_point *= 2


def _energy_ratio_db(energies: np.ndarray, num_frames: int) -> np.ndarray:
    """From energies before and after; NaN where there was silence."""
    is_audible = np.min(energies, axis=0) > _SILENCE_POWER * num_frames
    safe = np.where(is_audible, energies, 1.0)
    return np.where(is_audible, 10.0 * np.log10(safe[1] / safe[0]), np.nan)
