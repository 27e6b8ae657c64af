"""A lookahead true-peak limiter for streams: channels linked, no delay.

The true-peak envelope gives the gain reduction that each sample requires. A reduction is held around its peak, released
slowly, and smoothed by a window no longer than the hold, so that it is never below what is required. All steps work on
the reduction 1 − gain, which is exactly 0 below the threshold: there the samples are bit-identical.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.section_filter import SectionFilter
from nmjax.audio.sliding import sliding_maximum
from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import db_to_amplitude
from nmjax.mastering.delivery.envelope import true_peak_envelope

# The threshold below the ceiling: filters of other meters read up to 0.08 dB above the envelope (white noise, 16x).
CEILING_MARGIN_DB = 0.08
_LOOKAHEAD_MS = 1.5  # length of the smoothing window
_PEAK_HOLD_SAMPLES = 8  # the gain is constant this far around a peak, because interpolation depends on its neighbors
_RELEASE_MS = 60.0
_SLOW_RELEASE_MS = 200.0  # of a mean that keeps the reduction up in dense music, so that it does not follow bass waves
_MIN_REDUCTION = 1e-6  # a smaller reduction becomes 0, so that samples are bit-identical again
_ACTIVE_REDUCTION_DB = 0.1


@dataclasses.dataclass(frozen=True)
class GainReduction:
    """What a limiter did.

    Attributes:
        max_db: the deepest gain reduction in dB, 0 or more.
        active_fraction: fraction of the time with more than 0.1 dB of it.
    """

    max_db: float
    active_fraction: float


class Limiter:
    """Limits the true peak of one signal to `ceiling_db` (dBTP); `gain_reduction` is complete after the last chunk.

    The threshold is 0.08 dB below the ceiling: 8x and 16x meters read no overshoot there. Samples below the threshold
    and away from peaks are bit-identical.
    """

    def __init__(self, sample_rate: int, ceiling_db: float):
        self._threshold = db_to_amplitude(ceiling_db - CEILING_MARGIN_DB)
        half_window = max(1, round(_LOOKAHEAD_MS * 1e-3 * sample_rate / 2))
        self._smoother = ReductionSmoother(sample_rate, _PEAK_HOLD_SAMPLES, half_window)
        self._total_frames, self._active_frames, self._max_reduction = 0, 0, 0.0

    def limit(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The limited signal `[frames, channel]`, float32 or float64, of the same length; chunk sizes differ."""
        delay = self._smoother.delay
        pending, skip = None, delay
        for block, envelope in true_peak_envelope(chunks, self._threshold):
            pending = block if pending is None else np.concatenate([pending, block])
            reduction = self._smoother.process(required_reduction(envelope, self._threshold))[skip:]
            skip = max(0, skip - len(block))
            yield self._apply_reduction(pending[: len(reduction)], reduction)
            pending = pending[len(reduction) :]
        if pending is not None:
            reduction = self._smoother.process(np.zeros(delay))[skip:]
            yield self._apply_reduction(pending, reduction)

    def _apply_reduction(self, audio: np.ndarray, reduction: Float[np.ndarray, " frames"]) -> np.ndarray:
        self._total_frames += len(reduction)
        max_reduction = float(reduction.max(initial=0.0))
        if max_reduction == 0.0:
            return audio
        self._max_reduction = max(self._max_reduction, max_reduction)
        self._active_frames += int(np.count_nonzero(reduction > 1.0 - db_to_amplitude(-_ACTIVE_REDUCTION_DB)))
        return (audio * (1.0 - reduction)[:, None]).astype(audio.dtype)

    @property
    def gain_reduction(self) -> GainReduction:
        """Of all chunks so far."""
        return GainReduction(
            max_db=abs(20.0 * math.log10(1.0 - self._max_reduction)),
            active_fraction=self._active_frames / max(1, self._total_frames),
        )


def required_reduction(envelope: Float[np.ndarray, " frames"], threshold: float) -> Float[np.ndarray, " frames"]:
    """The reduction (1 − gain, from 0 to below 1) that brings an envelope down to a threshold (both amplitudes)."""
    return 1.0 - threshold / np.maximum(envelope, threshold)


class ReductionSmoother:
    """Holds, releases and smooths required reductions; its output lags by `delay` values. Blocks may have any size.

    Args:
        rate: values per second.
        peak_hold: number of values before and after a peak at which its reduction is held.
        half_window: the smoothing window has 2 · half_window + 1 values.
    """

    def __init__(self, rate: float, peak_hold: int, half_window: int):
        self._hold_samples = peak_hold + half_window
        self._window = np.hanning(2 * half_window + 3)[1:-1]
        self._window /= self._window.sum()
        self.delay = self._hold_samples + half_window
        self._release_rate = 1e3 / (_RELEASE_MS * rate)  # 1/samples
        slow_decay = math.exp(-1e3 / (_SLOW_RELEASE_MS * rate))
        self._slow_mean = SectionFilter(np.array([[1.0 - slow_decay, 0.0, 0.0, 1.0, -slow_decay, 0.0]]), channels=1)
        self._required_history = np.zeros(2 * self._hold_samples)
        self._released_history = np.zeros(2 * half_window)
        self._release_state = 0.0

    def process(self, required: Float[np.ndarray, " values"]) -> Float[np.ndarray, " values"]:
        """The next reductions to apply; the first `delay` of the stream precede the signal."""
        joined = np.concatenate([self._required_history, required])
        self._required_history = joined[len(required) :]
        if (
            not self._release_state
            and not self._slow_mean.state.any()
            and not joined.any()
            and not self._released_history.any()
        ):
            return np.zeros(len(required))
        released = np.concatenate([self._released_history, self._release(self._hold_peaks(joined))])
        self._released_history = released[len(required) :]
        return np.convolve(released, self._window, "valid")

    def _hold_peaks(self, joined: np.ndarray) -> np.ndarray:
        size = 2 * self._hold_samples + 1
        return sliding_maximum(joined, size)[self._hold_samples : len(joined) - self._hold_samples]

    def _release(self, held: np.ndarray) -> np.ndarray:
        """max(held, exponential decay of the last value), and at least a slow mean of that.

        A decaying exponential under a running maximum is the running maximum of held · exp(+t), computed in segments
        short enough not to overflow.
        """
        fast_release = np.empty_like(held)
        segment_size = max(1, int(100.0 / self._release_rate))
        for start in range(0, len(held), segment_size):
            segment = held[start : start + segment_size]
            decay = np.exp(-self._release_rate * np.arange(1, len(segment) + 1))
            fast_release[start : start + segment_size] = (
                np.maximum(np.maximum.accumulate(segment / decay), self._release_state) * decay
            )
            self._release_state = float(fast_release[start + len(segment) - 1])
        fast_release[fast_release < _MIN_REDUCTION] = 0.0
        self._release_state = 0.0 if self._release_state < _MIN_REDUCTION else self._release_state
        slow_release = self._slow_mean(fast_release[None])[0]
        self._slow_mean.state[np.abs(self._slow_mean.state) < 0.1 * _MIN_REDUCTION] = 0.0
        slow_release[slow_release < _MIN_REDUCTION] = 0.0
        return np.maximum(fast_release, slow_release)
