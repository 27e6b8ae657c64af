"""Statistics of short cells of the waveform (about 3 ms), collected as the signal streams by."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from nmjax.mastering.diagnosis.bend_histogram import BendHistogram
from nmjax.mastering.diagnosis.clicks import ClickScan

CELL_SECONDS = 128 / 44_100
_SPIKE_SHARE = 0.25  # samples with at least this share of the cell's largest second difference form its spike
_INITIAL_CELLS = 1 << 14
_LAST_CELLS = 7  # 20 ms


def cell_frames(sample_rate: int) -> int:
    """Frames of a cell."""
    return max(16, round(CELL_SECONDS * sample_rate))


@dataclasses.dataclass(frozen=True)
class CellStatistics:
    """Cells of a whole signal; the last, incomplete one is left out.

    Attributes:
        frames: of a cell.
        power: mean square, over all channels.
        last_sound: the same of the last cells, without the offset of each cell and channel.
        bends: levels of the second difference x[n−1] − 2·x[n] + x[n+1], dominated by the highest frequencies, and how
            many samples of a cell have one of at least a quarter of the largest.
        clicks: the cells that hold a click, see `ClickScan`.
    """

    frames: int
    power: Float[np.ndarray, " cells"]
    last_sound: Float[np.ndarray, " last"]
    bends: BendHistogram
    clicks: Int[np.ndarray, " clicks"]


class CellScan:
    """Collects `CellStatistics` from blocks. Memory grows by 1.4 kB per second.

    Args:
        sample_rate: Hz.
        channels: number of channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._frames, self._num_cells = cell_frames(sample_rate), 0
        self._power, self._last_sound = np.zeros(_INITIAL_CELLS, np.float32), np.zeros(0, np.float32)
        self._bends, self._clicks = BendHistogram(self._frames), ClickScan(channels)
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
        widths = np.asarray(np.sum(bends >= _SPIKE_SHARE * largest[..., None], axis=2, dtype=np.uint16)).T
        self._clicks.update(largest.T, widths)
        power = (np.einsum("cnt,cnt->nc", samples, samples) / self._frames).mean(axis=1)
        offset_power = np.square(samples.mean(axis=2).T).mean(axis=1)
        bend_power = (np.einsum("cnt,cnt->nc", bends, bends) / self._frames).mean(axis=1)
        self._bends.update(bend_power, widths)
        self._last_sound = np.concatenate([self._last_sound, power - offset_power])[-_LAST_CELLS:]
        start, stop = self._num_cells, self._num_cells + num_cells
        while stop > len(self._power):
            self._power = np.concatenate([self._power, np.zeros_like(self._power)])
        self._power[start:stop] = power
        self._num_cells = stop

    def result(self) -> CellStatistics:
        """The statistics of the signal so far."""
        power = self._power[: self._num_cells]
        return CellStatistics(self._frames, power, self._last_sound, self._bends, self._clicks.cells())
