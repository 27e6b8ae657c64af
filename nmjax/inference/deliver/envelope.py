"""How high a signal goes between its samples: the envelope that the limiter obeys.

Each gap between two samples is interpolated at seven points (eight times the rate) by a sinc of 24 samples under a
Kaiser window. In blocks of 32 samples that is one matrix product, which takes a tenth of the time of a filter.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.inference.stream import Pieces, recut

_TIMES = 8  # the rate
_HALF = 12  # samples that an interpolated value hears on either side
_BETA = 6.0  # Kaiser's; with 12 samples nearest to what other 8x meters read
_ROW = 32  # samples interpolated by one row of the product
_ROWS = 16  # in one product: as large as OpenBLAS computes without its threads, whose waiting costs more than they save
_PRODUCTS = 32  # at once: their results stay in the cache
_BLOCK = 1 << 15  # frames


def enveloped(pieces: Pieces, floor: float = 0.0, share: float = 0.0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The signal `[frames, channel]` in blocks of fixed size, each with its envelope `[frames]` float64.

    The envelope is the largest amplitude over all channels at a sample and in the gaps on both sides of it; before and
    after the signal is silence. Where it lies below `floor` (an amplitude), or below this `share` of the highest so
    far, it may read too little: such places cost nothing.
    """
    before, block = None, None
    for after in itertools.chain(recut(pieces, _BLOCK), [None]):
        if block is not None:
            floor = max(floor, share * float(np.abs(block).max()))
            envelope = _envelope(before, block, block[:0] if after is None else after, floor)
            floor = max(floor, share * float(envelope.max()))
            yield block, envelope
            before = _last(before, block)
        elif after is not None:
            before = np.zeros((_HALF, after.shape[1]), after.dtype)
        block = after


def _last(before: np.ndarray, block: np.ndarray) -> np.ndarray:
    return np.concatenate([before, block])[-_HALF:]


def _envelope(
    before: Float[np.ndarray, "half channel"],
    block: Float[np.ndarray, "frames channel"],
    after: Float[np.ndarray, "_ channel"],
    floor: float,
) -> Float[np.ndarray, "frames"]:
    """The envelope of one block between its neighbours."""
    frames = len(block)
    gaps = np.zeros(frames + 1, np.float32)  # gap i lies before sample i
    rows = -(-(frames + 1) // _ROW)
    for channel in range(block.shape[1]):
        heard = np.zeros(rows * _ROW + 2 * _HALF - 1, np.float32)
        for start, part in ((0, before), (_HALF, block), (_HALF + frames, after[:_HALF])):
            part = part[: len(heard) - start, channel]
            heard[start : start + len(part)] = part
        gaps = np.maximum(gaps, _interpolated(heard, floor)[: frames + 1])
    # NumPy's own maximum over so short an axis takes 50 times as long
    at_samples = functools.reduce(np.maximum, np.abs(block).T)
    return np.maximum(at_samples, np.maximum(gaps[:-1], gaps[1:])).astype(np.float64)


def _interpolated(heard: Float[np.ndarray, "samples"], floor: float) -> Float[np.ndarray, "gaps"]:
    """The largest interpolated amplitude in each gap, from `_HALF` samples on either side."""
    matrix, most = _interpolation()
    rows = np.lib.stride_tricks.sliding_window_view(heard, len(matrix))[::_ROW]
    found = np.zeros((len(rows), _ROW), np.float32)
    (loud,) = np.nonzero(np.maximum(rows.max(axis=1), -rows.min(axis=1)) * most >= floor)
    loud = np.concatenate([loud, np.repeat(loud[-1:], -len(loud) % _ROWS)])
    for start in range(0, len(loud), _ROWS * _PRODUCTS):
        which = loud[start : start + _ROWS * _PRODUCTS]
        between = rows[which].reshape(-1, _ROWS, len(matrix)) @ matrix
        between = between.reshape(len(which), _TIMES - 1, _ROW)
        found[which] = functools.reduce(np.maximum, np.moveaxis(np.abs(between, out=between), 1, 0))
    return found.ravel()


@functools.cache
def _interpolation() -> tuple[Float[np.ndarray, "heard points"], float]:
    """The matrix from `_ROW + 2·_HALF − 1` samples to seven points in each of `_ROW` gaps, and the largest value that
    it can give for samples within ±1."""
    place = np.arange(1, _TIMES)[:, None] / _TIMES - np.arange(1 - _HALF, _HALF + 1)[None]
    window = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1.0 - (place / _HALF) ** 2))) / np.i0(_BETA)
    taps = np.sinc(place) * window
    taps /= taps.sum(axis=1, keepdims=True)
    matrix = np.zeros((_ROW + 2 * _HALF - 1, _TIMES - 1, _ROW), np.float32)
    for gap in range(_ROW):
        matrix[gap : gap + 2 * _HALF, :, gap] = taps.T
    return matrix.reshape(len(matrix), -1), float(np.abs(taps).sum(axis=1).max())
