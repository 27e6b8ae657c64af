"""One pass over a signal that answers how loud it would be at any gain under a limiter, without hearing it again.

The K-weighted energy and the highest peak of each 1.6 ms are kept (18 MB an hour): a limiter's gain changes slowly
beside the K-weighting, so the energy after it is nearly that before it, times the gain's square.
"""

from __future__ import annotations

import math

import numpy as np

from nmjax.audio.k_weighting import gated_loudness, k_weighting_sos
from nmjax.audio.streams import AudioChunks, prefetch
from nmjax.audio.units import db_to_amplitude
from nmjax.dsp.loudness import channel_weights
from nmjax.mastering.delivery.envelope import true_peak_envelope
from nmjax.mastering.delivery.limiter import ReductionSmoother, required_reduction

_STEPS_PER_HOP = 64  # of a tenth of a second, from which gating is built
_STEPS_PER_SECOND = 10 * _STEPS_PER_HOP
_STEPS_PER_BLOCK = 1 << 16  # steps at a time
_SEARCH_MARGIN_DB = 0.5  # a search for the gain looks a little beyond the limit


class StreamLoudness:
    """Integrated loudness of a signal that is heard in pieces."""

    def __init__(self, sample_rate: int, channels: int):
        self._rate = sample_rate
        self._sections = k_weighting_sos(sample_rate)
        self._state = np.zeros((len(self._sections), 2, channels))
        self._weights = channel_weights(channels).astype(np.float64)
        self._energy = _StepAccumulator(np.add, sample_rate)

    def add(self, chunk: np.ndarray) -> None:
        """The next piece, `[frames, channel]`."""
        from scipy.signal import sosfilt

        weighted, self._state = sosfilt(self._sections, chunk.astype(np.float64), axis=0, zi=self._state)
        self._state[np.abs(self._state) < 1e-30] = 0.0  # in silence it would fade into denormal numbers, which are slow
        self._energy.add(np.einsum("tc,tc,c->t", weighted, weighted, self._weights))

    def lufs(self, gains: np.ndarray | float = 1.0) -> float:
        """Integrated loudness with a gain for each step; −inf for silence and below 400 ms."""
        hops = self._energy.num_frames * 10 // self._rate
        if hops < 4:
            return -math.inf
        steps = hops * _STEPS_PER_HOP
        energy = self._energy.step_values()[:steps].reshape(hops, -1)
        gains = np.broadcast_to(gains, (self._energy.num_steps,))[:steps].reshape(hops, -1)
        sizes = np.diff(_step_start_frame(np.arange(hops + 1) * _STEPS_PER_HOP, self._rate))
        return gated_loudness(np.einsum("hs,hs,hs->h", energy, gains, gains, dtype=np.float64), sizes)


class LoudnessScan:
    """Loudness and peaks of a whole signal. true_peak: its highest amplitude, between samples too. frames: its length.

    limiting_db: the most that a limiter is going to take off the highest peak; lower peaks are known less well, which
    saves time.
    """

    def __init__(self, chunks: AudioChunks, sample_rate: int, channels: int, max_limiting_db: float = math.inf):
        self._loudness = StreamLoudness(sample_rate, channels)
        peaks = _StepAccumulator(np.maximum, sample_rate)
        relative_floor = db_to_amplitude(-(max_limiting_db + _SEARCH_MARGIN_DB))
        for block, envelope in prefetch(true_peak_envelope(chunks, relative_floor=relative_floor)):
            peaks.add(envelope)
            self._loudness.add(block)
        self._peaks = peaks.step_values()
        self.frames = peaks.num_frames
        self.true_peak = float(self._peaks.max(initial=0.0))
        self.lufs = self._loudness.lufs()

    def lufs_after_limiter(self, gain: float, threshold: float) -> float:
        """About the loudness after a gain and a limiter that works to `aim` (both factors)."""
        smoother = ReductionSmoother(_STEPS_PER_SECOND, 1, 0)
        reduction = np.empty(len(self._peaks) + smoother.delay, np.float32)
        for start in range(0, len(self._peaks), _STEPS_PER_BLOCK):
            smoothed = smoother.process(
                required_reduction(self._peaks[start : start + _STEPS_PER_BLOCK] * gain, threshold)
            )
            reduction[start : start + len(smoothed)] = smoothed
        reduction[len(self._peaks) :] = smoother.process(np.zeros(smoother.delay))
        return self._loudness.lufs(gain * (1.0 - reduction[smoother.delay :]))


class _StepAccumulator:
    """Values of a signal reduced by step, as pieces of any size go by. frames, count: of samples and of steps so far.

    They lie in one array that doubles: thousands of small ones would keep the memory between them from being given
    back.
    """

    def __init__(self, reduce: np.ufunc, sample_rate: int):
        self._reduce, self._rate, self.num_frames = reduce, sample_rate, 0
        self._values = np.zeros(_STEPS_PER_BLOCK, np.float32)
        self.num_steps = 0

    def add(self, values: np.ndarray) -> None:
        """The next `[frames]`."""
        if not len(values):
            return
        first, last = (
            (frame * _STEPS_PER_SECOND) // self._rate for frame in (self.num_frames, self.num_frames + len(values))
        )
        starts = np.maximum(_step_start_frame(np.arange(first, last + 1), self._rate) - self.num_frames, 0)
        new_steps = self._reduce.reduceat(values, starts[starts < len(values)]).astype(np.float32)
        if first < self.num_steps:  # the step in which the piece before ended
            self._values[first] = self._reduce(self._values[first], new_steps[0])
            new_steps, first = new_steps[1:], first + 1
        while first + len(new_steps) > len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[first : first + len(new_steps)] = new_steps
        self.num_steps = first + len(new_steps)
        self.num_frames += len(values)

    def step_values(self) -> np.ndarray:
        """All steps, float32; the last one may be shorter than the others."""
        return self._values[: self.num_steps]


def _step_start_frame(step: np.ndarray, rate: int) -> np.ndarray:
    """The first frame of a step."""
    return -(-step * rate // _STEPS_PER_SECOND)
