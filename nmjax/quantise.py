"""From float samples to integers: rounded to the nearest step, with dither where bits are cut."""

from __future__ import annotations

import numpy as np

# How each subtype that is written stores its samples: the integer type, and the bits that carry the sample.
_INTEGERS = {"PCM_16": (np.int16, 16), "PCM_24": (np.int32, 24), "PCM_32": (np.int32, 32)}
_DITHERED_BITS = 24  # at most: float32 has no more for dither to save


class Quantiser:
    """Float pieces `[n, channel]` in turn → the integers of a subtype, held at full scale; floats stay floats.

    dither: a seed. With it, triangular noise of two steps from peak to peak is added, another in each channel, from
    the first sample on that does not lie on a step: what was an integer before (silence, an untouched file) stays as
    it is to the bit. The same signal and seed give the same integers, in pieces of any size.
    """

    def __init__(self, subtype: str, dither: int | None = None):
        self._kind, self._bits = _INTEGERS.get(subtype, (np.float32, 0))
        wanted = dither is not None and 0 < self._bits <= _DITHERED_BITS
        self._random = np.random.Generator(np.random.SFC64(dither)) if wanted else None
        self._began = False

    def __call__(self, piece: np.ndarray) -> np.ndarray:
        """The next piece."""
        if not self._bits:
            return piece.astype(np.float32)
        full = 2.0 ** (self._bits - 1)
        exact = piece.astype(np.float64) * full
        if self._random is not None:
            self._add_dither(exact)
        steps = np.clip(np.rint(exact), -full, full - 1.0)
        return (steps * 2.0 ** (np.iinfo(self._kind).bits - self._bits)).astype(self._kind)

    def _add_dither(self, exact: np.ndarray) -> None:
        start = 0
        if not self._began:
            (between,) = np.nonzero((exact != np.rint(exact)).any(axis=1))
            self._began = len(between) > 0
            start = between[0] if len(between) else len(exact)
        two = self._random.random((len(exact) - start, exact.shape[1], 2), np.float32)
        exact[start:] += two[..., 0] - two[..., 1]
