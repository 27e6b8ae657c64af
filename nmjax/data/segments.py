"""Segments of songs that training reads: loud enough to be music, more of them from longer songs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from nmjax.data.catalog import LEVEL_BLOCK_SECONDS, Song

ABSOLUTE_GATE_LUFS = -60.0  # quieter segments are not trained on
RELATIVE_GATE_LU = -20.0  # nor are those this far below the song's loudness: fades and breaks
_MAX_LEVEL_LUFS = 10.0  # higher levels count as this, which keeps the precision of sums over many songs
_SONGS_PER_PASS = 4096  # bounds the memory
_POWER_BY_LEVEL = 10.0 ** (np.minimum(np.arange(256).astype(np.uint8).view(np.int8), _MAX_LEVEL_LUFS) / 10.0)


@dataclasses.dataclass(frozen=True)
class Segment:
    """Where a segment may start: at one of `start_times` (seconds in the song), or up to `jitter_seconds` later."""

    song: Song
    start_times: Float[np.ndarray, " starts"]
    jitter_seconds: float


class SegmentDataset:
    """Random-access source of the segments of songs, one for each `seconds` of a song.

    Starts of segments below both gates are left out; a song without any other start keeps that of its loudest segment.

    Args:
        songs: at least one.
        seconds: length of a segment.
    """

    def __init__(self, songs: Sequence[Song], seconds: float):
        self._songs, self._seconds = songs, seconds
        self._blocks_per_segment = max(1, round(seconds / LEVEL_BLOCK_SECONDS))
        self._song_offsets = np.cumsum([0, *(len(song.target.levels_lufs) for song in songs)])  # in blocks
        self._is_startable = np.concatenate(
            [self._startable_blocks(songs[i : i + _SONGS_PER_PASS]) for i in range(0, len(songs), _SONGS_PER_PASS)]
        )
        counts = -(-np.diff(self._song_offsets) // self._blocks_per_segment)  # segments of each song
        number_in_song = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        offsets = np.repeat(self._song_offsets[:-1], counts) + number_in_song * self._blocks_per_segment
        self._segment_offsets = offsets[np.logical_or.reduceat(self._is_startable, offsets)]

    def __len__(self) -> int:
        return len(self._segment_offsets)

    def __getitem__(self, index: int) -> Segment:
        offset = int(self._segment_offsets[index])
        song_index = int(np.searchsorted(self._song_offsets, offset, side="right")) - 1
        song_start, song_end = self._song_offsets[song_index : song_index + 2].tolist()
        blocks = self._is_startable[offset : min(offset + self._blocks_per_segment, song_end)]
        start_times = (offset - song_start + np.flatnonzero(blocks)) * LEVEL_BLOCK_SECONDS
        return Segment(self._songs[song_index], start_times, LEVEL_BLOCK_SECONDS)

    def __repr__(self) -> str:
        return f"SegmentDataset({len(self._songs)} songs, {self._seconds} s)"

    def start_times(self, song_index: int) -> Float[np.ndarray, " starts"]:
        """Every time in seconds at which a segment of a song may start."""
        song_start, song_end = self._song_offsets[song_index : song_index + 2]
        return np.flatnonzero(self._is_startable[song_start:song_end]) * LEVEL_BLOCK_SECONDS

    def _startable_blocks(self, songs: Sequence[Song]) -> Bool[np.ndarray, " blocks"]:
        """Whether a segment may start in each block of half a second of these songs."""
        sizes = np.array([len(song.target.levels_lufs) for song in songs])
        song_starts = np.cumsum(sizes) - sizes
        spare_seconds = np.array([song.seconds - self._seconds for song in songs])
        spare_blocks = (np.maximum(spare_seconds, 0.0) // LEVEL_BLOCK_SECONDS).astype(np.int64)
        last_starts = song_starts + spare_blocks
        num_blocks = max(1, math.ceil(self._seconds / LEVEL_BLOCK_SECONDS))  # that a segment covers
        levels = np.concatenate([song.target.levels_lufs for song in songs] + [np.full(num_blocks, -128, np.int8)])
        cumulative_power = np.concatenate([[0.0], np.cumsum(_POWER_BY_LEVEL[levels.view(np.uint8)])])
        power = (cumulative_power[num_blocks:] - cumulative_power[:-num_blocks])[: len(levels) - num_blocks]
        loudness = np.array([song.target.loudness_lufs for song in songs])
        gate_power = 10.0 ** (np.maximum(ABSOLUTE_GATE_LUFS, loudness + RELATIVE_GATE_LU) / 10.0) * num_blocks
        blocks_left = np.repeat(last_starts, sizes) - np.arange(len(power))  # until the last possible start
        is_loud = (power >= np.repeat(gate_power, sizes)) & (blocks_left >= 0)
        # A segment starts anywhere within its block: it must be loud from the next block on, too, if it still fits.
        startable = is_loud & (np.append(is_loud[1:], False) | (blocks_left == 0))
        startable[song_starts[spare_seconds <= 0.0]] = True
        for i in np.flatnonzero(~np.logical_or.reduceat(startable, song_starts)):
            startable[song_starts[i] + np.argmax(power[song_starts[i] : last_starts[i] + 1])] = True
        return startable
