"""One pass over a signal that collects what all detectors need."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import BlockBuffer
from nmjax.mastering.diagnosis.ceiling import CeilingScan, CeilingStatistics
from nmjax.mastering.diagnosis.cells import CellScan, cell_frames
from nmjax.mastering.diagnosis.clipping import ClippingScan, ClippingStatistics
from nmjax.mastering.diagnosis.file_quality import SampleStatistics
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.hiss import find_hiss
from nmjax.mastering.diagnosis.interruptions import find_interruptions
from nmjax.mastering.diagnosis.saturation import SaturationScan, SaturationStatistics
from nmjax.mastering.diagnosis.spectrum import LongTermSpectrum, SpectrumScan
from nmjax.mastering.diagnosis.stereo import StereoMeasures, measure_stereo

_CELLS_PER_BLOCK = 512


@dataclasses.dataclass(frozen=True, eq=False)
class TrackStatistics:
    """What the detectors look at.

    `cell_findings` are what short cells of the waveform show. The cells themselves would grow by kilobytes a second.
    """

    sample_rate: int
    channels: int
    samples: SampleStatistics
    cell_findings: list[Finding]
    clipping: ClippingStatistics
    saturation: SaturationStatistics
    ceiling: CeilingStatistics
    spectrum: LongTermSpectrum

    @property
    def seconds(self) -> float:
        """Length of the signal."""
        return self.samples.num_frames / self.sample_rate

    @functools.cached_property
    def stereo(self) -> StereoMeasures | None:
        """Measures of both channels; None unless there are two with sound, and a window of the spectrum."""
        is_stereo = self.channels == 2 and self.spectrum.num_windows
        return measure_stereo(self.spectrum) if is_stereo else None


class TrackScan:
    """Collects `TrackStatistics` while a signal streams by; how it is cut into chunks does not matter.

    Args:
        sample_rate: Hz.
        channels: number of channels.
    """

    def __init__(self, sample_rate: int, channels: int):
        self._sample_rate, self._channels = sample_rate, channels
        self._samples = SampleStatistics(channels)
        self._cells, self._clipping = CellScan(sample_rate, channels), ClippingScan(channels, sample_rate)
        self._saturation, self._ceiling = SaturationScan(channels), CeilingScan(channels)
        self._spectrum = SpectrumScan(sample_rate, channels)
        self._buffer = BlockBuffer(channels, _CELLS_PER_BLOCK * cell_frames(sample_rate))

    def update(self, chunk: np.ndarray) -> None:
        """Add a chunk `[frames, channel]`."""
        for block in self._buffer.push(chunk):
            self._add_block(block)

    def result(self) -> TrackStatistics:
        """The statistics of the whole signal. Call it once, at the end."""
        self._add_block(self._buffer.take_rest())
        cells = self._cells.result()
        return TrackStatistics(
            self._sample_rate,
            self._channels,
            self._samples,
            [*find_interruptions(cells), *find_hiss(cells)],
            self._clipping.result(),
            self._saturation.result(),
            self._ceiling.result(),
            self._spectrum.result(),
        )

    def _add_block(self, block: Float[np.ndarray, "channel frames"]) -> None:
        if block.shape[1]:
            peaks = (self._clipping, self._saturation, self._ceiling)
            for collector in (self._samples, self._cells, *peaks, self._spectrum):
                collector.update(block)
