"""Statistics of short cells of the waveform (about 3 ms), collected as the signal streams by."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

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
        power: mean square.
        mean: which an offset shifts.
        peak: largest amplitude.
        bend: largest second difference |x[n−1] − 2·x[n] + x[n+1]|, which a click raises and a smooth waveform does not.
        bend_power: mean square of the second difference, dominated by the highest frequencies.
        spike_width: number of samples whose second difference is at least a quarter of the largest.
    """

    frames: int
    power: Float[np.ndarray, "cells channel"]
    mean: Float[np.ndarray, "cells channel"]
    peak: Float[np.ndarray, "cells channel"]
    bend: Float[np.ndarray, "cells channel"]
    bend_power: Float[np.ndarray, "cells channel"]
    spike_width: Int[np.ndarray, "cells channel"]


class CellScan:
    """Collects `CellStatistics` from blocks. Memory grows by 14 kB per second of stereo.

    Args:
        sample_rate: Hz.
        channels: number of channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._frames, self._num_cells = cell_frames(sample_rate), 0
        self._values = np.zeros((_INITIAL_CELLS, 6, channels), np.float32)
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
        while self._num_cells + num_cells > len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[self._num_cells : self._num_cells + num_cells] = np.stack(
            [
                np.einsum("cnt,cnt->nc", samples, samples) / self._frames,
                samples.mean(axis=2).T,
                np.maximum(samples.max(axis=2), -samples.min(axis=2)).T,
                largest.T,
                np.einsum("cnt,cnt->nc", bends, bends) / self._frames,
                np.sum(bends >= _SPIKE_SHARE * largest[..., None], axis=2, dtype=np.uint8).T,
            ],
            axis=1,
        )
        self._num_cells += num_cells

    def result(self) -> CellStatistics:
        """The statistics of the signal so far."""
        power, mean, peak, bend, bend_power, width = np.moveaxis(self._values[: self._num_cells], 1, 0)
        return CellStatistics(self._frames, power, mean, peak, bend, bend_power, width.astype(np.int32))
