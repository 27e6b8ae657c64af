"""A look-ahead true-peak limiter: in pieces, linked over all channels, aligned to the sample.

The envelope between the samples says at each of them how much lower the signal has to be. That reduction is held while
the peak is near, falls back slowly, and is smoothed by a window that is no longer than the hold, so that around a peak
it is never less than what is needed. Everything works on the reduction 1 − gain, which is exactly 0 where nothing has
to be done: there the samples pass to the bit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.inference.decibels import amplitude_of
from nmjax.inference.deliver.envelope import enveloped
from nmjax.inference.stream import Pieces

# What is kept below the ceiling: other meters' filters read up to 0.08 dB more than the envelope (white noise, 16x).
MARGIN_DB = 0.08
_LOOK_AHEAD_MS = 1.5  # length of the smoothing window
_FLAT_SAMPLES = 8  # on either side of a peak the gain is flat, as an interpolated peak hears its neighbours
_RELEASE_MS = 60.0
_SLOW_MS = 200.0  # a mean of the reduction that holds it up in dense music, so that the gain does not follow bass waves
_NOTHING = 1e-6  # a reduction that ends as 0, so that the signal passes to the bit again
_WORTH_COUNTING_DB = 0.1


@dataclasses.dataclass(frozen=True)
class Reduction:
    """What a limiter did. deepest_db: the largest gain reduction, 0 or more. share: of the time, 0 to 1, in which it
    was more than 0.1 dB."""

    deepest_db: float
    share: float


class Limiter:
    """Holds a signal's true peak below `ceiling_db` (dBTP); `reduction` says what it did, after the last piece.

    It works to 0.08 dB below the ceiling, where the 8x and 16x meters that it was tried with read no overshoot, and
    passes what stays below that to the bit.
    """

    def __init__(self, sample_rate: int, ceiling_db: float):
        self._aim = amplitude_of(ceiling_db - MARGIN_DB)
        half = max(1, round(_LOOK_AHEAD_MS * 1e-3 * sample_rate / 2))
        self._curve = Curve(sample_rate, _FLAT_SAMPLES, half)
        self._frames, self._reduced, self._deepest = 0, 0, 0.0

    def limited(self, pieces: Pieces) -> Iterator[np.ndarray]:
        """The signal `[frames, channel]`, float32 or float64, limited: same length, no delay, in pieces of its own."""
        late = self._curve.delay
        waiting, skip = None, late
        for block, envelope in enveloped(pieces, self._aim):
            waiting = block if waiting is None else np.concatenate([waiting, block])
            reduction = self._curve.push(needed(envelope, self._aim))[skip:]
            skip = max(0, skip - len(block))
            yield self._applied(waiting[: len(reduction)], reduction)
            waiting = waiting[len(reduction) :]
        if waiting is not None:
            reduction = self._curve.push(np.zeros(late))[skip:]
            yield self._applied(waiting, reduction)

    def _applied(self, audio: np.ndarray, reduction: Float[np.ndarray, "frames"]) -> np.ndarray:
        self._frames += len(reduction)
        deepest = float(reduction.max(initial=0.0))
        if deepest == 0.0:
            return audio
        self._deepest = max(self._deepest, deepest)
        self._reduced += int(np.count_nonzero(reduction > 1.0 - amplitude_of(-_WORTH_COUNTING_DB)))
        return (audio * (1.0 - reduction)[:, None]).astype(audio.dtype)

    @property
    def reduction(self) -> Reduction:
        """Of all that has passed."""
        return Reduction(abs(20.0 * math.log10(1.0 - self._deepest)), self._reduced / max(1, self._frames))


def needed(envelope: Float[np.ndarray, "frames"], aim: float) -> Float[np.ndarray, "frames"]:
    """The reduction, 0 to below 1, that brings an envelope (an amplitude) down to `aim`."""
    return 1.0 - aim / np.maximum(envelope, aim)


class Curve:
    """From the reduction that is needed to the one that is done, `delay` values later; in blocks of any size.

    Args:
        rate: values a second.
        flat: on so many values before and after a peak its reduction is kept whole.
        half: the smoothing window is 2·half + 1 values long.
    """

    def __init__(self, rate: float, flat: int, half: int):
        self._hold = flat + half
        self._window = np.hanning(2 * half + 3)[1:-1]
        self._window /= self._window.sum()
        self.delay = self._hold + half
        self._fall = 1e3 / (_RELEASE_MS * rate)  # 1/samples
        self._keep = math.exp(-1e3 / (_SLOW_MS * rate))
        self._needed = np.zeros(2 * self._hold)  # the last values of each stage
        self._released = np.zeros(2 * half)
        self._last, self._mean = 0.0, np.zeros(1)

    def push(self, wanted: Float[np.ndarray, "values"]) -> Float[np.ndarray, "values"]:
        """The next reductions that are done; the first `delay` of all lie before the signal."""
        joined = np.concatenate([self._needed, wanted])
        self._needed = joined[len(wanted) :]
        if not self._last and not self._mean[0] and not joined.any() and not self._released.any():
            return np.zeros(len(wanted))
        released = np.concatenate([self._released, self._release(self._held(joined))])
        self._released = released[len(wanted) :]
        return np.convolve(released, self._window, "valid")

    def _held(self, joined: np.ndarray) -> np.ndarray:
        from scipy.ndimage import maximum_filter1d

        size = 2 * self._hold + 1
        return maximum_filter1d(joined, size)[self._hold : len(joined) - self._hold]

    def _release(self, held: np.ndarray) -> np.ndarray:
        """max(held, what is left of the last value), and no less than the slow mean of that.

        A falling exponential under a running maximum is a running maximum of held·exp(+t), in parts short enough for
        that not to overflow.
        """
        from scipy.signal import lfilter

        fast = np.empty_like(held)
        part = max(1, int(100.0 / self._fall))
        for start in range(0, len(held), part):
            value = held[start : start + part]
            fall = np.exp(-self._fall * np.arange(1, len(value) + 1))
            fast[start : start + part] = np.maximum(np.maximum.accumulate(value / fall), self._last) * fall
            self._last = float(fast[start + len(value) - 1])
        fast[fast < _NOTHING] = 0.0
        self._last = 0.0 if self._last < _NOTHING else self._last
        slow, self._mean = lfilter([1.0 - self._keep], [1.0, -self._keep], fast, zi=self._mean)
        self._mean[np.abs(self._mean) < 0.1 * _NOTHING] = 0.0  # before it fades into denormal numbers, which are slow
        slow[slow < _NOTHING] = 0.0
        return np.maximum(fast, slow)
