"""From float samples to integers: rounded to the nearest step, with dither where bits are cut."""

from __future__ import annotations

import numpy as np

# How each subtype that is written stores its samples: the integer type, and the bits that the sample uses.
_INTEGER_FORMATS = {"PCM_16": (np.int16, 16), "PCM_24": (np.int32, 24), "PCM_32": (np.int32, 32)}
_MAX_DITHER_BITS = 24  # at most: float32 has no more for dither to save


class Quantizer:
    """Converts chunks of floats `[n, channel]` to the integers of a subtype, clipped at full scale; floats stay floats.

    With a dither seed, triangular noise of two steps peak to peak is added, independent in each channel, from the first
    sample that is not on a quantization step: samples that were integers before (silence, an unchanged file) stay
    bit-identical. The same signal and seed give the same integers for any chunk size.
    """

    def __init__(self, subtype: str, dither_seed: int | None = None):
        self._dtype, self._bits = _INTEGER_FORMATS.get(subtype, (np.float32, 0))
        use_dither = dither_seed is not None and 0 < self._bits <= _MAX_DITHER_BITS
        self._rng = np.random.Generator(np.random.SFC64(dither_seed)) if use_dither else None
        self._dither_started = False

    def __call__(self, piece: np.ndarray) -> np.ndarray:
        """The next piece."""
        if not self._bits:
            return piece.astype(np.float32)
        full_scale = 2.0 ** (self._bits - 1)
        scaled = piece.astype(np.float64) * full_scale
        if self._rng is not None:
            self._add_dither(scaled)
        quantized = np.clip(np.rint(scaled), -full_scale, full_scale - 1.0)
        return (quantized * 2.0 ** (np.iinfo(self._dtype).bits - self._bits)).astype(self._dtype)

    def _add_dither(self, scaled: np.ndarray) -> None:
        start = 0
        if not self._dither_started:
            (off_grid,) = np.nonzero((scaled != np.rint(scaled)).any(axis=1))
            self._dither_started = len(off_grid) > 0
            start = off_grid[0] if len(off_grid) else len(scaled)
        uniforms = self._rng.random((len(scaled) - start, scaled.shape[1], 2), np.float32)
        scaled[start:] += uniforms[..., 0] - uniforms[..., 1]
