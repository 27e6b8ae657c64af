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

from nmjax.inference.stream import Pieces

MOST_POINTS = 1200  # of gain over time
_BLOCKS_A_SECOND = 100
_SILENT = 1e-10  # mean square of a block in which no gain can be read, −100 dB


@dataclasses.dataclass(frozen=True)
class Passed:
    """What was done. level_db: by how much it is louder (root mean square). rest_db: what was changed beside one gain
    for all of it, relative to what came out, −inf for nothing; NaN both where there is silence.

    seconds: `[points]`, ends of stretches of 10 ms or, in longer tracks, 20, 40, 80 … ms. gain_db: `[points]`, the gain
    over each stretch; least_db, most_db: the extremes of its stretches of 10 ms. NaN where nothing was heard.
    """

    level_db: float
    rest_db: float
    seconds: Float[np.ndarray, "points"]
    gain_db: Float[np.ndarray, "points"]
    least_db: Float[np.ndarray, "points"]
    most_db: Float[np.ndarray, "points"]


class Passage:
    """Compares what comes out of a part with what went in; memory does not depend on the length.

    What went in may come from another thread, and ahead of what comes out.
    """

    def __init__(self, sample_rate: int):
        self._size = max(1, sample_rate // _BLOCKS_A_SECOND)
        self._rate = sample_rate
        self._waiting: collections.deque[np.ndarray] = collections.deque()
        self._lock = threading.Lock()
        self._compared = False  # before that nothing is kept: nobody would take it away
        self._products = np.zeros(3)  # sums of before², before·after, after²
        self._open = np.zeros((2, 0))  # energies of the block that is not full yet, before and after
        self._energies = np.zeros((2, 0))  # of each point
        self._extremes = np.zeros((2, 0))  # least and most gain, dB
        self._spacing, self._frames = 1, 0  # blocks to a point

    def enters(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """What goes into the part, passed on."""
        for piece in pieces:
            if self._compared:
                with self._lock:
                    self._waiting.append(piece)
            yield piece

    def leaves(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """What comes out of it, as long, passed on; `enters` must lie upstream."""
        self._compared = True
        for piece in pieces:
            if len(piece):
                self._compare(self._entered(len(piece)).astype(np.float64), piece.astype(np.float64))
            yield piece

    def result(self) -> Passed:
        """What was done so far; nothing can be compared after it."""
        if self._open.shape[1]:
            self._add(self._open.sum(axis=1)[:, None])
        before, both, after = self._products
        sounds = before > 0.0 and after > 0.0
        rest = max(0.0, 1.0 - both * both / (before * after)) if sounds else math.nan
        level = after / before if sounds else math.nan
        ends = self._size * self._spacing * np.arange(1, self._energies.shape[1] + 1)
        return Passed(
            10.0 * math.log10(level) if sounds else math.nan,
            10.0 * math.log10(rest) if rest > 0.0 else (-math.inf if sounds else math.nan),
            np.minimum(ends, self._frames) / self._rate,
            _gain_db(self._energies, self._size * self._spacing),
            *self._extremes,
        )

    def _entered(self, frames: int) -> np.ndarray:
        parts = []
        with self._lock:
            while frames:
                piece = self._waiting.popleft()
                if len(piece) > frames:
                    self._waiting.appendleft(piece[frames:])
                parts.append(piece[:frames])
                frames -= len(parts[-1])
        return np.concatenate(parts)

    def _compare(self, before: np.ndarray, after: np.ndarray) -> None:
        squares = np.stack([np.einsum("tc,tc->t", x, x) / x.shape[1] for x in (before, after)])
        both = np.einsum("tc,tc->", before, after) / before.shape[1]
        self._products += [squares[0].sum(), both, squares[1].sum()]
        self._frames += len(before)
        waiting = np.concatenate([self._open, squares], axis=1)
        size = self._size * self._spacing
        points = waiting.shape[1] // size
        self._open = waiting[:, points * size :]
        if points:
            blocks = waiting[:, : points * size].reshape(2, points, self._spacing, self._size).sum(axis=3)
            self._add(blocks.sum(axis=2), _gain_db(blocks, self._size))
        while self._energies.shape[1] > MOST_POINTS:
            self._halve()

    def _add(self, energies: np.ndarray, gains_db: np.ndarray | None = None) -> None:
        """Further points; the gains of the blocks in each `[points, blocks]`."""
        if gains_db is None:
            gains_db = _gain_db(energies, self._size)[:, None]
        extremes = np.stack([np.fmin.reduce(gains_db, axis=1), np.fmax.reduce(gains_db, axis=1)])
        self._energies = np.concatenate([self._energies, energies], axis=1)
        self._extremes = np.concatenate([self._extremes, extremes], axis=1)

    def _halve(self) -> None:
        """Two points become one; an odd one at the end waits with the others of its time."""
        count = self._energies.shape[1] // 2
        pairs = self._energies[:, : 2 * count].reshape(2, count, 2)
        least, most = self._extremes[:, : 2 * count].reshape(2, count, 2)
        if self._energies.shape[1] > 2 * count:  # its energy is spread evenly, which moves it by less than a point
            size = self._size * self._spacing
            self._open = np.concatenate([np.repeat(self._energies[:, -1:] / size, size, axis=1), self._open], axis=1)
        self._energies = pairs.sum(axis=2)
        self._extremes = np.stack([np.fmin.reduce(least, axis=1), np.fmax.reduce(most, axis=1)])
        self._spacing *= 2


def _gain_db(energies: np.ndarray, frames: int) -> np.ndarray:
    """From energies before and after; NaN where there was silence."""
    heard = np.min(energies, axis=0) > _SILENT * frames
    safe = np.where(heard, energies, 1.0)
    return np.where(heard, 10.0 * np.log10(safe[1] / safe[0]), np.nan)
