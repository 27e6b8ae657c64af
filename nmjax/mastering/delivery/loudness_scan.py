"""A one-pass scan of a signal that estimates its integrated loudness after any gain and limiting.

It stores the K-weighted energy and the highest peak of each 1.6 ms (18 MB per hour). A limiter's gain changes slowly
compared with the K-weighting, so the energy after limiting is close to the energy before, times the squared gain.
"""

from __future__ import annotations

import math

import numpy as np

from nmjax.audio.bs1770 import channel_weights
from nmjax.audio.loudness_meter import HOPS_PER_SECOND, LoudnessMeter, StepAccumulator
from nmjax.audio.streams import AudioChunks, prefetch
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.delivery.envelope import true_peak_envelope
from nmjax.mastering.delivery.limiter import ReductionSmoother, required_reduction

_STEPS_PER_SECOND = 64 * HOPS_PER_SECOND
_STEPS_PER_BLOCK = 1 << 16
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
            time.
    """

    def __init__(self, chunks: AudioChunks, sample_rate: int, channels: int, max_limiting_db: float = math.inf):
        self._loudness = scan_meter(sample_rate, channels)
        peaks = StepAccumulator(np.maximum, sample_rate, _STEPS_PER_SECOND)
        relative_floor = db_to_amplitude(-(max_limiting_db + _SEARCH_MARGIN_DB))
        for block, envelope in prefetch(true_peak_envelope(chunks, relative_floor=relative_floor)):
            peaks.add(envelope)
            self._loudness.update(block)
        self._peaks = peaks.values()
        self.frames = peaks.num_frames
        self.true_peak = float(self._peaks.max(initial=0.0))
        self.lufs = self._loudness.integrated_lufs()

    def loudness_range_lu(self) -> float:
        """Loudness range in LU (EBU Tech 3342); NaN below 3 s."""
        return self._loudness.loudness_range_lu()

    def lufs_after_limiter(self, gain: float, threshold: float) -> float:
        """The approximate loudness after a gain and a limiter with this threshold (both are factors)."""
        smoother = ReductionSmoother(_STEPS_PER_SECOND, 1, 0)
        reduction = np.empty(len(self._peaks) + smoother.delay, np.float32)
        for start in range(0, len(self._peaks), _STEPS_PER_BLOCK):
            smoothed = smoother.process(
                required_reduction(self._peaks[start : start + _STEPS_PER_BLOCK] * gain, threshold)
            )
            reduction[start : start + len(smoothed)] = smoothed
        reduction[len(self._peaks) :] = smoother.process(np.zeros(smoother.delay))
        return self._loudness.integrated_lufs(gain * (1.0 - reduction[smoother.delay :]))


def scan_meter(sample_rate: int, channels: int) -> LoudnessMeter:
    """A meter whose steps are short enough for gains that change as a limiter's do."""
    return LoudnessMeter(sample_rate, channel_weights(channels), _STEPS_PER_SECOND, np.float32)
