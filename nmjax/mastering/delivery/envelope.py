"""True-peak envelope by interpolation at eight times the rate: the detector of the limiter.

Each gap between two samples is interpolated at seven points by a sinc of 24 samples with a Kaiser window. In blocks of
32 samples this is one matrix product, which takes a tenth of the time of a filter.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio.sliding import step_maxima
from nmjax.audio.streams import AudioChunks, rechunk

_OVERSAMPLING = 8
_HALF_TAPS = 12  # samples on either side of an interpolated value that it depends on
_KAISER_BETA = 6.0  # with 12 samples, the closest to the readings of other 8x meters
_ROW_SAMPLES = 32  # samples interpolated by one row of the product; a power of two
_ROWS_PER_PRODUCT = 64  # few enough that OpenBLAS starts no threads, whose synchronization costs more than they save
_PRODUCTS_PER_BATCH = 32  # fewer hand Python's lock to another thread more often, which takes longer than they do
_BLOCK_FRAMES = 1 << 17


def true_peak_envelope(
    chunks: AudioChunks, floor: float = 0.0, relative_floor: float = 0.0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The signal `[frames, channel]` in blocks of fixed size, each with its envelope `[frames]` in float64.

    The envelope of a sample is the largest amplitude over all channels, at the sample and in the gaps before and after
    it. The signal is taken as silent before its start and after its end.

    Args:
        chunks: the signal.
        floor: an amplitude; an envelope below it may be too low, because quiet rows are not interpolated.
        relative_floor: the same, relative to the highest amplitude so far.
    """
    before: np.ndarray | None = None
    block: np.ndarray | None = None
    for after in itertools.chain(rechunk(chunks, _BLOCK_FRAMES), [None]):
        if block is not None and before is not None:
            floor = max(floor, relative_floor * float(np.abs(block).max()))
            envelope = _block_envelope(before, block, block[:0] if after is None else after, floor)
            floor = max(floor, relative_floor * float(envelope.max()))
            yield block, envelope
            before = np.concatenate([before, block])[-_HALF_TAPS:]
        elif after is not None:
            before = np.zeros((_HALF_TAPS, after.shape[1]), after.dtype)
        block = after


def _block_envelope(
    before: Float[np.ndarray, "half channel"],
    block: Float[np.ndarray, "frames channel"],
    after: Float[np.ndarray, "_ channel"],
    floor: float,
) -> Float[np.ndarray, " frames"]:
    """The envelope of a block, given the samples before and after it."""
    frames = len(block)
    gap_peaks = np.zeros(frames + 1, np.float32)  # gap i precedes sample i
    rows = -(-(frames + 1) // _ROW_SAMPLES)
    for channel in range(block.shape[1]):
        padded = np.zeros(rows * _ROW_SAMPLES + 2 * _HALF_TAPS - 1, np.float32)
        for start, segment in ((0, before), (_HALF_TAPS, block), (_HALF_TAPS + frames, after[:_HALF_TAPS])):
            segment = segment[: len(padded) - start, channel]
            padded[start : start + len(segment)] = segment
        gap_peaks = np.maximum(gap_peaks, _interpolated_peaks(padded, floor)[: frames + 1])
    # NumPy's maximum over so short an axis takes 50 times as long
    sample_peaks = functools.reduce(np.maximum, np.abs(block).T)
    return np.maximum(sample_peaks, np.maximum(gap_peaks[:-1], gap_peaks[1:])).astype(np.float64)


def _interpolated_peaks(samples: Float[np.ndarray, " samples"], floor: float) -> Float[np.ndarray, " gaps"]:
    """The largest interpolated amplitude in each gap, from `_HALF_TAPS` samples on either side."""
    matrices, max_gain = _interpolation_matrices()
    rows = np.lib.stride_tricks.sliding_window_view(samples, matrices.shape[1])[::_ROW_SAMPLES]
    gap_peaks = np.zeros((len(rows), _ROW_SAMPLES), np.float32)
    step_peaks = step_maxima(np.abs(samples), _ROW_SAMPLES)
    row_peaks = np.maximum(step_peaks[: len(rows)], step_peaks[1 : len(rows) + 1])  # a row is shorter than two steps
    (loud,) = np.nonzero(row_peaks * max_gain >= floor)
    loud = np.concatenate([loud, np.repeat(loud[-1:], -len(loud) % _ROWS_PER_PRODUCT)])
    for start in range(0, len(loud), _ROWS_PER_PRODUCT * _PRODUCTS_PER_BATCH):
        row_index = loud[start : start + _ROWS_PER_PRODUCT * _PRODUCTS_PER_BATCH]
        inputs = rows[row_index].reshape(-1, _ROWS_PER_PRODUCT, matrices.shape[1])
        peaks = np.abs(inputs @ matrices[0])
        interpolated = np.empty_like(peaks)
        for matrix in matrices[1:]:
            np.matmul(inputs, matrix, out=interpolated)
            np.maximum(peaks, np.abs(interpolated, out=interpolated), out=peaks)
        gap_peaks[row_index] = peaks.reshape(-1, _ROW_SAMPLES)
    return gap_peaks.ravel()


@functools.cache
def _interpolation_matrices() -> tuple[Float[np.ndarray, "points samples gaps"], float]:
    """For each of seven points in a gap, the matrix from `_ROW_SAMPLES + 2 · _HALF_TAPS − 1` samples to it in each of
    `_ROW_SAMPLES` gaps; and their largest gain for samples within ±1."""
    offsets = np.arange(1, _OVERSAMPLING)[:, None] / _OVERSAMPLING - np.arange(1 - _HALF_TAPS, _HALF_TAPS + 1)[None]
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (offsets / _HALF_TAPS) ** 2))) / np.i0(_KAISER_BETA)
    taps = np.sinc(offsets) * window
    taps /= taps.sum(axis=1, keepdims=True)
    matrices = np.zeros((_OVERSAMPLING - 1, _ROW_SAMPLES + 2 * _HALF_TAPS - 1, _ROW_SAMPLES), np.float32)
    for gap in range(_ROW_SAMPLES):
        matrices[:, gap : gap + 2 * _HALF_TAPS, gap] = taps
    return matrices, float(np.abs(taps).sum(axis=1).max())
