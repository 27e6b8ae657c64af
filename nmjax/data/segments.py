"""Where excerpts may begin: songs cut into slots of an excerpt's length, without those in which nothing much sounds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from nmjax.data.catalog import LEVEL_BLOCK_SECONDS, Song

ABSOLUTE_GATE_LUFS = -60.0  # LUFS of an excerpt: below, there is nothing to master
RELATIVE_GATE_LU = -20.0  # LU under the song's own loudness: fades and breaks
_MAX_LEVEL_LUFS = 10.0  # LUFS: higher levels count as this, so that sums over many songs keep their digits
_SONGS_PER_PASS = 4096  # songs, so that a hundred thousand need no memory to speak of
_POWER_BY_LEVEL = 10.0 ** (
    np.minimum(np.arange(256).astype(np.uint8).view(np.int8), _MAX_LEVEL_LUFS) / 10.0
)  # by a level's byte


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of a song: an excerpt begins at one of `starts` (seconds) or up to `reach` seconds later."""

    song: Song
    start_times: np.ndarray
    jitter_seconds: float


class SegmentDataset:
    """All slots of songs as a random-access source: long songs come up more often.

    An excerpt whose level lies below both gates' higher one is in none of them; a song in which that holds everywhere
    keeps the slot of its loudest excerpt.
    """

    def __init__(self, songs: list[Song], seconds: float):
        self._songs, self._seconds = songs, seconds
        self._blocks_per_segment = max(1, round(seconds / LEVEL_BLOCK_SECONDS))  # from slot to slot
        self._song_offsets = np.cumsum(
            [0, *(len(song.target.levels_lufs) for song in songs)]
        )  # of each song, among all blocks
        self._is_startable = np.concatenate(
            [self._startable_blocks(songs[i : i + _SONGS_PER_PASS]) for i in range(0, len(songs), _SONGS_PER_PASS)]
        )
        segment_counts = -(-np.diff(self._song_offsets) // self._blocks_per_segment)
        segment_number = np.arange(segment_counts.sum()) - np.repeat(
            np.cumsum(segment_counts) - segment_counts, segment_counts
        )
        offsets = np.repeat(self._song_offsets[:-1], segment_counts) + segment_number * self._blocks_per_segment
        self._segment_offsets = offsets[np.logical_or.reduceat(self._is_startable, offsets)]

    def __len__(self) -> int:
        return len(self._segment_offsets)

    def __getitem__(self, index: int) -> Segment:
        offset = int(self._segment_offsets[index])
        song_index = int(np.searchsorted(self._song_offsets, offset, side="right")) - 1
        song_start, segment_end = (
            int(self._song_offsets[song_index]),
            min(offset + self._blocks_per_segment, int(self._song_offsets[song_index + 1])),
        )
        start_times = (
            offset - song_start + np.flatnonzero(self._is_startable[offset:segment_end])
        ) * LEVEL_BLOCK_SECONDS
        return Segment(self._songs[song_index], start_times, LEVEL_BLOCK_SECONDS)

    def __repr__(self) -> str:
        return f"Slots({len(self._songs)} songs, {self._seconds} s)"

    def start_times(self, song_index: int) -> np.ndarray:
        """Every place (seconds) at which an excerpt of song `which` may begin."""
        return (
            np.flatnonzero(self._is_startable[self._song_offsets[song_index] : self._song_offsets[song_index + 1]])
            * LEVEL_BLOCK_SECONDS
        )

    def _startable_blocks(self, songs: list[Song]) -> np.ndarray:
        """`[blocks]`: whether an excerpt may begin in each block of these songs."""
        sizes = np.array([len(song.target.levels_lufs) for song in songs])
        song_starts = np.cumsum(sizes) - sizes
        spare_seconds = np.array([song.seconds - self._seconds for song in songs])
        last_starts = song_starts + (np.maximum(spare_seconds, 0.0) // LEVEL_BLOCK_SECONDS).astype(
            np.int64
        )  # block to begin in
        excerpt_blocks = max(1, math.ceil(self._seconds / LEVEL_BLOCK_SECONDS))  # blocks of an excerpt
        levels = np.concatenate([song.target.levels_lufs for song in songs] + [np.full(excerpt_blocks, -128, np.int8)])
        cumulative_power = np.concatenate([[0.0], np.cumsum(_POWER_BY_LEVEL[levels.view(np.uint8)])])
        power = (cumulative_power[excerpt_blocks:] - cumulative_power[:-excerpt_blocks])[: len(levels) - excerpt_blocks]
        loudness = np.array([song.target.loudness_lufs for song in songs])
        gate_power = 10.0 ** (np.maximum(ABSOLUTE_GATE_LUFS, loudness + RELATIVE_GATE_LU) / 10.0) * excerpt_blocks
        blocks_left = np.repeat(last_starts, sizes) - np.arange(len(power))  # how many blocks later it still fits
        is_loud = (power >= np.repeat(gate_power, sizes)) & (blocks_left >= 0)
        # An excerpt begins within a block: it must be loud from the block's end on, too, where it still fits.
        startable = is_loud & (np.append(is_loud[1:], False) | (blocks_left == 0))
        startable[song_starts[spare_seconds <= 0.0]] = True
        for i in np.flatnonzero(~np.logical_or.reduceat(startable, song_starts)):
            startable[song_starts[i] + np.argmax(power[song_starts[i] : last_starts[i] + 1])] = True
        return startable
