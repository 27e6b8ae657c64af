"""From settings to sound: the equaliser in float64 at the file's own rate, the residual at the model's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from nmjax.dsp import Bands, equalise
from nmjax.inference.stream import Pieces, recut

_SECONDS = 3


def equalised(pieces: Pieces, bands: Bands, sample_rate: int) -> Iterator[np.ndarray]:
    """The stream through the bands (arrays `[1, bands]`) with the filters' state carried; float64 inside, float32
    out. Through bells of 0 dB it passes as it is."""
    if flat(bands):
        yield from pieces
        return
    size = _SECONDS * sample_rate
    wide = jax.tree.map(lambda x: np.asarray(x, np.float64), bands)
    state = None
    for piece in recut(pieces, size):
        audio = np.zeros((1, size, piece.shape[1]), np.float64)
        audio[0, : len(piece)] = piece
        with jax.enable_x64(True):  # not around the yield: the caller's own arithmetic stays as it is
            if state is None:
                state = np.zeros((1, piece.shape[1], bands.freq_hz.shape[1], 2), np.float64)
            out, state = _equalise(audio, wide, sample_rate, state)
            out = np.asarray(out)
        yield out[0, : len(piece)].astype(np.float32)


@partial(jax.jit, static_argnums=2)
def _equalise(audio, bands, sample_rate, state):
    return equalise(audio, bands, sample_rate, state)


def flat(bands: Bands) -> bool:
    """Whether these are bells that change nothing."""
    return bands.kind == "peaking" and not np.asarray(bands.gain_db).any()


def scaled(pieces: Pieces, gain_db: float) -> Iterator[np.ndarray]:
    """The stream times a gain; at 0 dB the same to the bit."""
    return multiplied(pieces, 10.0 ** (gain_db / 20.0))


def multiplied(pieces: Pieces, factor: float) -> Iterator[np.ndarray]:
    """The stream times a factor; at 1 the same to the bit."""
    for piece in pieces:
        yield piece * np.float32(factor)
