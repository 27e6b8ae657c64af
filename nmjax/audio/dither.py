"""Quantization of float samples to integers, with triangular (TPDF) dither."""

from __future__ import annotations

import numpy as np

# Storage of each integer subtype: NumPy's type and the number of bits used.
_INTEGER_FORMATS = {"PCM_16": (np.int16, 16), "PCM_24": (np.int32, 24), "PCM_32": (np.int32, 32)}
_MAX_DITHER_BITS = 24  # float32 samples have no more


class Quantizer:
    """Streaming quantizer: float chunks `[frames, channel]` in, integers of a subtype out, clipped at full scale.

    Float subtypes pass unchanged. Dither of two steps peak to peak, independent in each channel, starts at the first
    sample that is not on a quantization step, so silence and unprocessed integer files stay bit-identical. The same
    signal and seed give the same integers for any chunk sizes.

    Args:
        subtype: libsndfile's name, such as "PCM_16".
        dither_seed: None: no dither.
    """

    def __init__(self, subtype: str, dither_seed: int | None = None):
        self._dtype, self._bits = _INTEGER_FORMATS.get(subtype, (np.float32, 0))
        use_dither = dither_seed is not None and 0 < self._bits <= _MAX_DITHER_BITS
        self._rng = np.random.Generator(np.random.SFC64(dither_seed)) if use_dither else None
        self._dither_started = False

    def __call__(self, chunk: np.ndarray) -> np.ndarray:
        """Quantize the next chunk."""
        if not self._bits:
            return chunk.astype(np.float32)
        full_scale = 2.0 ** (self._bits - 1)
        scaled = chunk.astype(np.float64) * full_scale
        if self._rng is not None:
            self._add_dither(scaled, self._rng)
        quantized = np.clip(np.rint(scaled), -full_scale, full_scale - 1.0)
        return (quantized * 2.0 ** (np.iinfo(self._dtype).bits - self._bits)).astype(self._dtype)

    def _add_dither(self, scaled: np.ndarray, rng: np.random.Generator) -> None:
        start = 0
        if not self._dither_started:
            (off_grid,) = np.nonzero((scaled != np.rint(scaled)).any(axis=1))
            self._dither_started = len(off_grid) > 0
            start = off_grid[0] if len(off_grid) else len(scaled)
        uniforms = rng.random((len(scaled) - start, scaled.shape[1], 2), np.float32)
        scaled[start:] += uniforms[..., 0] - uniforms[..., 1]
