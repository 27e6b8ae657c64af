"""Where excerpts may begin: songs cut into slots of an excerpt's length, without those in which nothing much sounds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nmjax.data.songs import BLOCK_SECONDS, Song

ABSOLUTE_GATE = -60.0  # LUFS of an excerpt: below, there is nothing to master
RELATIVE_GATE = -20.0  # LU under the song's own loudness: fades and breaks
_LOUDEST = 10.0  # LUFS: higher levels count as this, so that sums over many songs keep their digits
_AT_ONCE = 4096  # songs, so that a hundred thousand need no memory to speak of
_POWER = 10.0 ** (np.minimum(np.arange(256).astype(np.uint8).view(np.int8), _LOUDEST) / 10.0)  # by a level's byte


@dataclasses.dataclass(frozen=True)
class Slot:
    """A stretch of a song: an excerpt begins at one of `starts` (seconds) or up to `reach` seconds later."""

    song: Song
    starts: np.ndarray
    reach: float


class Slots:
    """All slots of songs as a random-access source: long songs come up more often.

    An excerpt whose level lies below both gates' higher one is in none of them; a song in which that holds everywhere
    keeps the slot of its loudest excerpt.
    """

    def __init__(self, songs: list[Song], seconds: float):
        self._songs, self._seconds = songs, seconds
        self._blocks = max(1, round(seconds / BLOCK_SECONDS))  # from slot to slot
        self._firsts = np.cumsum([0, *(len(song.target.levels) for song in songs)])  # of each song, among all blocks
        self._open = np.concatenate([self._opened(songs[i : i + _AT_ONCE]) for i in range(0, len(songs), _AT_ONCE)])
        counts = -(-np.diff(self._firsts) // self._blocks)
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        begins = np.repeat(self._firsts[:-1], counts) + number * self._blocks
        self._begins = begins[np.logical_or.reduceat(self._open, begins)]

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, index: int) -> Slot:
        begin = int(self._begins[index])
        which = int(np.searchsorted(self._firsts, begin, side="right")) - 1
        first, end = int(self._firsts[which]), min(begin + self._blocks, int(self._firsts[which + 1]))
        starts = (begin - first + np.flatnonzero(self._open[begin:end])) * BLOCK_SECONDS
        return Slot(self._songs[which], starts, BLOCK_SECONDS)

    def __repr__(self) -> str:
        return f"Slots({len(self._songs)} songs, {self._seconds} s)"

    def starts(self, which: int) -> np.ndarray:
        """Every place (seconds) at which an excerpt of song `which` may begin."""
        return np.flatnonzero(self._open[self._firsts[which] : self._firsts[which + 1]]) * BLOCK_SECONDS

    def _opened(self, songs: list[Song]) -> np.ndarray:
        """`[blocks]`: whether an excerpt may begin in each block of these songs."""
        sizes = np.array([len(song.target.levels) for song in songs])
        firsts = np.cumsum(sizes) - sizes
        spare = np.array([song.seconds - self._seconds for song in songs])
        last = firsts + (np.maximum(spare, 0.0) // BLOCK_SECONDS).astype(np.int64)  # block to begin in
        count = max(1, math.ceil(self._seconds / BLOCK_SECONDS))  # blocks of an excerpt
        levels = np.concatenate([song.target.levels for song in songs] + [np.full(count, -128, np.int8)])
        total = np.concatenate([[0.0], np.cumsum(_POWER[levels.view(np.uint8)])])
        power = (total[count:] - total[:-count])[: len(levels) - count]
        loudness = np.array([song.target.loudness for song in songs])
        gates = 10.0 ** (np.maximum(ABSOLUTE_GATE, loudness + RELATIVE_GATE) / 10.0) * count
        left = np.repeat(last, sizes) - np.arange(len(power))  # how many blocks later it still fits
        loud = (power >= np.repeat(gates, sizes)) & (left >= 0)
        # An excerpt begins within a block: it must be loud from the block's end on, too, where it still fits.
        found = loud & (np.append(loud[1:], False) | (left == 0))
        found[firsts[spare <= 0.0]] = True
        for i in np.flatnonzero(~np.logical_or.reduceat(found, firsts)):
            found[firsts[i] + np.argmax(power[firsts[i] : last[i] + 1])] = True
        return found
