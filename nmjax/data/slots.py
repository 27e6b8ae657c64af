"""Where excerpts may begin: songs cut into slots of an excerpt's length, without those in which nothing much sounds."""

from __future__ import annotations

import dataclasses

import numpy as np

from nmjax.data.songs import BLOCK_SECONDS, Song

ABSOLUTE_GATE = -60.0  # LUFS of an excerpt: below, there is nothing to master
RELATIVE_GATE = -20.0  # LU under the song's own loudness: fades and breaks
_LOUDEST = 10.0  # LUFS: higher levels count as this, so that sums over many songs keep their digits
_AT_ONCE = 4096  # songs, so that a hundred thousand need no memory to speak of
_POWER = 10.0 ** (np.minimum(np.arange(-128, 128), _LOUDEST) / 10.0)


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
        block = np.arange(sizes.sum()) - np.repeat(firsts, sizes)
        last = np.array([max(0.0, song.seconds - self._seconds) // BLOCK_SECONDS for song in songs])
        fits = block <= np.repeat(last, sizes)
        power = _POWER[np.concatenate([song.target.levels for song in songs]).astype(np.int64) + 128]
        total = np.concatenate([[0.0], np.cumsum(power)])
        begin = np.arange(len(block))
        end = np.minimum(begin + max(1, int(np.ceil(self._seconds / BLOCK_SECONDS))), np.repeat(firsts + sizes, sizes))
        level = np.where(fits, (total[end] - total[:-1]) / (end - begin), 0.0)
        gates = np.array([max(ABSOLUTE_GATE, song.target.loudness + RELATIVE_GATE) for song in songs])
        loud = level >= np.repeat(10.0 ** (gates / 10.0), sizes)
        # An excerpt begins within a block: it must be loud at the block's end, too, where there is a place to begin.
        follows = np.concatenate([loud[1:], [False]]) | (block >= np.repeat(last, sizes))
        found = loud & follows
        for i in np.flatnonzero(~np.logical_or.reduceat(found, firsts)):
            found[firsts[i] + np.argmax(level[firsts[i] : firsts[i] + sizes[i]])] = True
        return found
