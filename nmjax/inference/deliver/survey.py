"""One pass over a signal that answers how loud it would be at any gain under a limiter, without hearing it again.

The K-weighted energy and the highest peak of each 1.6 ms are kept (18 MB an hour): a limiter's gain changes slowly
beside the K-weighting, so the energy after it is nearly that before it, times the gain's square.
"""

from __future__ import annotations

import math

import numpy as np

from nmjax.dsp.loudness import channel_weights
from nmjax.inference.decibels import amplitude_of
from nmjax.inference.deliver.envelope import enveloped
from nmjax.inference.deliver.limiter import Curve, needed
from nmjax.inference.stream import Pieces, ahead
from nmjax.loudness import gated_loudness, k_weighting

_STEPS_A_HOP = 64  # of a tenth of a second, from which gating is built
_STEPS_A_SECOND = 10 * _STEPS_A_HOP
_PART = 1 << 16  # steps at a time
_SPARE_DB = 0.5  # a search for the gain looks a little beyond the limit


class Loudness:
    """Integrated loudness of a signal that is heard in pieces."""

    def __init__(self, sample_rate: int, channels: int):
        self._rate = sample_rate
        self._sections = k_weighting(sample_rate)
        self._state = np.zeros((len(self._sections), 2, channels))
        self._weights = channel_weights(channels).astype(np.float64)
        self._energy = _Steps(np.add, sample_rate)

    def hear(self, piece: np.ndarray) -> None:
        """The next piece, `[frames, channel]`."""
        from scipy.signal import sosfilt

        weighted, self._state = sosfilt(self._sections, piece.astype(np.float64), axis=0, zi=self._state)
        self._state[np.abs(self._state) < 1e-30] = 0.0  # in silence it would fade into denormal numbers, which are slow
        self._energy.add(np.einsum("tc,tc,c->t", weighted, weighted, self._weights))

    def lufs(self, gains: np.ndarray | float = 1.0) -> float:
        """Integrated loudness with a gain for each step; −inf for silence and below 400 ms."""
        hops = self._energy.frames * 10 // self._rate
        if hops < 4:
            return -math.inf
        steps = hops * _STEPS_A_HOP
        energy = self._energy.whole()[:steps].reshape(hops, -1)
        gains = np.broadcast_to(gains, (self._energy.count,))[:steps].reshape(hops, -1)
        sizes = np.diff(_edge(np.arange(hops + 1) * _STEPS_A_HOP, self._rate))
        return gated_loudness(np.einsum("hs,hs,hs->h", energy, gains, gains, dtype=np.float64), sizes)


class Survey:
    """Loudness and peaks of a whole signal. true_peak: its highest amplitude, between samples too. frames: its length.

    limiting_db: the most that a limiter is going to take off the highest peak; lower peaks are known less well, which
    saves time.
    """

    def __init__(self, pieces: Pieces, sample_rate: int, channels: int, limiting_db: float = math.inf):
        self._loudness = Loudness(sample_rate, channels)
        peaks = _Steps(np.maximum, sample_rate)
        share = amplitude_of(-(limiting_db + _SPARE_DB))
        for block, envelope in ahead(enveloped(pieces, share=share)):
            peaks.add(envelope)
            self._loudness.hear(block)
        self._peaks = peaks.whole()
        self.frames = peaks.frames
        self.true_peak = float(self._peaks.max(initial=0.0))
        self.lufs = self._loudness.lufs()

    def limited_lufs(self, gain: float, aim: float) -> float:
        """About the loudness after a gain and a limiter that works to `aim` (both factors)."""
        curve = Curve(_STEPS_A_SECOND, 1, 0)
        reduction = np.empty(len(self._peaks) + curve.delay, np.float32)
        for start in range(0, len(self._peaks), _PART):
            done = curve.push(needed(self._peaks[start : start + _PART] * gain, aim))
            reduction[start : start + len(done)] = done
        reduction[len(self._peaks) :] = curve.push(np.zeros(curve.delay))
        return self._loudness.lufs(gain * (1.0 - reduction[curve.delay :]))


class _Steps:
    """Values of a signal reduced by step, as pieces of any size go by. frames, count: of samples and of steps so far.

    They lie in one array that doubles: thousands of small ones would keep the memory between them from being given
    back.
    """

    def __init__(self, reduce: np.ufunc, sample_rate: int):
        self._reduce, self._rate, self.frames = reduce, sample_rate, 0
        self._values = np.zeros(_PART, np.float32)
        self.count = 0

    def add(self, values: np.ndarray) -> None:
        """The next `[frames]`."""
        if not len(values):
            return
        first, last = ((place * _STEPS_A_SECOND) // self._rate for place in (self.frames, self.frames + len(values)))
        starts = np.maximum(_edge(np.arange(first, last + 1), self._rate) - self.frames, 0)
        new = self._reduce.reduceat(values, starts[starts < len(values)]).astype(np.float32)
        if first < self.count:  # the step in which the piece before ended
            self._values[first] = self._reduce(self._values[first], new[0])
            new, first = new[1:], first + 1
        while first + len(new) > len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        self._values[first : first + len(new)] = new
        self.count = first + len(new)
        self.frames += len(values)

    def whole(self) -> np.ndarray:
        """All steps, float32; the last one may be shorter than the others."""
        return self._values[: self.count]


def _edge(step: np.ndarray, rate: int) -> np.ndarray:
    """The first frame of a step."""
    return -(-step * rate // _STEPS_A_SECOND)
