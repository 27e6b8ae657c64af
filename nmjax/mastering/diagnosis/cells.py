"""Statistics of short cells of the waveform (about 3 ms), collected as the signal streams by."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int, UInt8

from nmjax.mastering.diagnosis.clicks import ClickScan

CELL_SECONDS = 128 / 44_100
_SPIKE_SHARE = 0.25  # samples with at least this share of the cell's largest second difference form its spike
_INITIAL_CELLS = 1 << 14


def cell_frames(sample_rate: int) -> int:
    """Frames of a cell."""
    return max(16, round(CELL_SECONDS * sample_rate))


@dataclasses.dataclass(frozen=True)
class CellStatistics:
    """Cells of a whole signal; the last, incomplete one is left out.

    Attributes:
        frames: of a cell.
        power: mean square, over all channels.
        sound: the same without the offset of each cell and channel.
        bend_power: mean square of the second difference x[n−1] − 2·x[n] + x[n+1], dominated by the highest frequencies.
        spike_width: number of samples whose second difference is at least a quarter of the largest.
        clicks: the cells that hold a click, see `ClickScan`.
    """

    frames: int
    power: Float[np.ndarray, " cells"]
    sound: Float[np.ndarray, " cells"]
    bend_power: Float[np.ndarray, " cells"]
    spike_width: UInt8[np.ndarray, "cells channel"]
    clicks: Int[np.ndarray, " clicks"]


class CellScan:
    """Collects `CellStatistics` from blocks. Memory grows by 5 kB per second of stereo.

    Args:
        sample_rate: Hz.
        channels: number of channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._frames, self._num_cells = cell_frames(sample_rate), 0
        self._values = np.zeros((3, _INITIAL_CELLS), np.float32)
        self._widths = np.zeros((_INITIAL_CELLS, channels), np.uint8)
        self._clicks = ClickScan(channels)
        self._before = np.zeros((channels, 2), np.float32)

    def update(self, block: Float[np.ndarray, "channel frames"]) -> None:
        """Add the complete cells of a block; all blocks but the last are multiples of a cell."""
        num_cells = block.shape[1] // self._frames
        if not num_cells:
            return
        block = block[:, : num_cells * self._frames]
        joined = np.concatenate([self._before, block], axis=1)
        self._before = joined[:, -2:]
        change = np.diff(joined)
        shape = (len(block), num_cells, self._frames)
        samples, bends = joined[:, 2:].reshape(shape), np.abs(np.diff(change)).reshape(shape)
        largest = bends.max(axis=2)
        widths = np.asarray(np.sum(bends >= _SPIKE_SHARE * largest[..., None], axis=2, dtype=np.uint8)).T
        self._clicks.update(largest.T, widths)
        power = (np.einsum("cnt,cnt->nc", samples, samples) / self._frames).mean(axis=1)
        offset_power = np.square(samples.mean(axis=2).T).mean(axis=1)
        bend_power = (np.einsum("cnt,cnt->nc", bends, bends) / self._frames).mean(axis=1)
        start, stop = self._num_cells, self._num_cells + num_cells
        while stop > len(self._widths):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)], axis=1)
            self._widths = np.concatenate([self._widths, np.zeros_like(self._widths)])
        self._values[:, start:stop] = power, power - offset_power, bend_power
        self._widths[start:stop] = widths
        self._num_cells = stop

    def result(self) -> CellStatistics:
        """The statistics of the signal so far."""
        power, sound, bend_power = self._values[:, : self._num_cells]
        widths = self._widths[: self._num_cells]
        return CellStatistics(self._frames, power, sound, bend_power, widths, self._clicks.cells())
