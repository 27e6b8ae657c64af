"""A one-pass scan of a signal that estimates its integrated loudness after any gain and limiting.

It stores the K-weighted energy and the highest peak of each 1.6 ms: 18 MB per hour, in temporary files beyond the first
minutes. A limiter's gain changes slowly compared with the K-weighting, so the energy after limiting is close to the
energy before, times the squared gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nmjax.audio.bs1770 import channel_weights
from nmjax.audio.loudness_meter import HOPS_PER_SECOND, LoudnessMeter, StepAccumulator
from nmjax.audio.streams import AudioChunks, prefetch
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.delivery.envelope import true_peak_envelope
from nmjax.mastering.delivery.limiter import ReductionSmoother, required_reduction

_STEPS_PER_SECOND = 64 * HOPS_PER_SECOND
_MEMORY_PAGES = 4  # of 102 s each
_SEARCH_MARGIN_DB = 0.5  # the gain search goes slightly beyond the limit


class LoudnessScan:
    """Loudness and peaks of a whole signal.

    Attributes:
        lufs: integrated loudness; −inf for silence and below 400 ms.
        true_peak: highest amplitude, including between samples.
        frames: length.

    Args:
        chunks: the signal, `[frames, channel]`.
        sample_rate: in Hz.
        channels: number of channels.
        max_limiting_db: the deepest limiting that will be estimated. Lower peaks are stored less exactly, which saves
            time. None where no limiter will be estimated: then nothing is stored for it.
    """

    def __init__(self, chunks: AudioChunks, sample_rate: int, channels: int, max_limiting_db: float | None = math.inf):
        self._peaks = None
        self._loudness = LoudnessMeter(sample_rate, channel_weights(channels))
        if max_limiting_db is not None:
            self._peaks = StepAccumulator(np.maximum, sample_rate, _STEPS_PER_SECOND, memory_pages=_MEMORY_PAGES)
            self._loudness = scan_meter(sample_rate, channels)
        relative_floor = db_to_amplitude(-((max_limiting_db or 0.0) + _SEARCH_MARGIN_DB))
        self.true_peak = 0.0
        for block, envelope in prefetch(true_peak_envelope(chunks, relative_floor=relative_floor)):
            self.true_peak = max(self.true_peak, float(np.float32(envelope.max(initial=0.0))))
            self._loudness.update(block)
            if self._peaks:
                self._peaks.add(envelope)
        self.frames = self._loudness.num_frames
        self.lufs = self._loudness.integrated_lufs()

    def loudness_range_lu(self) -> float:
        """Loudness range in LU (EBU Tech 3342); NaN below 3 s."""
        return self._loudness.loudness_range_lu()

    def lufs_after_limiter(self, gain: float, threshold: float) -> float:
        """The approximate loudness after a gain and a limiter with this threshold (both are factors).

        Raises:
            ValueError: the scan has stored nothing for a limiter.
        """
        if self._peaks is None:
            raise ValueError("max_limiting_db must be a number where a limiter is estimated")
        return self._loudness.integrated_lufs(_limiter_gains(self._peaks, gain, threshold))


def _limiter_gains(peaks: StepAccumulator, gain: float, threshold: float) -> Iterator[np.ndarray]:
    """The factors on the steps of a signal, in the pages of `peaks`."""
    smoother = ReductionSmoother(_STEPS_PER_SECOND, 1, 0)
    reduction, skip, sizes = np.zeros(0, np.float32), smoother.delay, []  # of pages still to come
    for page in peaks.pages():
        sizes.append(len(page))
        if len(page):
            smoothed = smoother.process(required_reduction(page * gain, threshold))[skip:]
            reduction, skip = np.concatenate([reduction, smoothed.astype(np.float32)]), max(0, skip - len(page))
        if len(reduction) >= sizes[0] > 0:
            yield gain * (1.0 - reduction[: sizes[0]])
            reduction = reduction[sizes.pop(0) :]
    smoothed = smoother.process(np.zeros(smoother.delay))[skip:]
    reduction = np.concatenate([reduction, smoothed.astype(np.float32)])
    for size in sizes:
        yield gain * (1.0 - reduction[:size])
        reduction = reduction[size:]


def scan_meter(sample_rate: int, channels: int) -> LoudnessMeter:
    """A meter whose steps are short enough for gains that change as a limiter's do."""
    return LoudnessMeter(sample_rate, channel_weights(channels), _STEPS_PER_SECOND, np.float32, _MEMORY_PAGES)
