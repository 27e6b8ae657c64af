"""Declipping: samples at the clip level are restored, all others are bit-identical.

    for chunk in declip_chunks(chunks, clip_levels, sample_rate): …

The result is *consistent* with the input: a clipped sample only grows in magnitude and retains its sign.
The method is that of `social_sparsity.py`, on segments of 1.1 s at fixed positions of the signal. Segments without
clipped samples cost nothing. What neighboring segments add is cross-faded, so a sample still only grows.

Memory is bounded: a block of eight segments is restored at a time. Blocks do not depend on how the input is divided
into chunks, so neither does the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp.social_sparsity import restore_segments
from nmjax.dsp.validation import check_sample_rate, require

_WINDOW_S = 0.19  # longest frame: 8192 samples at 44.1 and 48 kHz
_SEGMENT_HOPS = 12  # half windows from one segment to the next
_PROCESSED_HOPS = _SEGMENT_HOPS + 3  # one for the fade-out, and one of context on both sides
_SEGMENTS_PER_BLOCK = 8
_BATCH = 2  # segments in one call of the compiled program


class _Effort(NamedTuple):
    """Settings for segments of which at least `min_share` is clipped."""

    min_share: float
    iterations: int
    first_threshold: float
    momentum: float


# Chosen on training songs. Where little is clipped, more momentum overshoots, and more iterations gain little.
_EFFORTS = (_Effort(0.0, 25, 0.3, 0.7), _Effort(0.05, 100, 2.0, 0.85), _Effort(0.3, 100, 2.0, 0.9))


class _Segment(NamedTuple):
    """A section of one channel to restore, with its context: `start` is in frames of the extended block."""

    start: int
    channel: int
    effort: _Effort
    samples: np.ndarray
    is_clipped: np.ndarray
    level: np.float32


def declip(
    audio: Float[np.ndarray, "frames channel"], clip_levels: np.ndarray, sample_rate: float
) -> Float[np.ndarray, "frames channel"]:
    """A whole signal with its clipped samples restored: `declip_chunks` in one call, with the same arguments."""
    return np.concatenate([audio[:0], *declip_chunks([audio], clip_levels, sample_rate)])


def declip_chunks(
    chunks: Iterable[np.ndarray], clip_levels: np.ndarray, sample_rate: float
) -> Iterator[Float[np.ndarray, "frames channel"]]:
    """Yield a signal with its clipped samples restored, as many frames as came in, in chunks of another length.

    Args:
        chunks: `[frames, channel]`, float32, any number of frames each.
        clip_levels: `[channel, 2]`, magnitudes above 0 at which the positive and the negative half of each channel are
            clipped; infinite where they are not. A sample at or beyond its level is clipped, so subtract the tolerance
            of a flat top that is not exactly flat.
        sample_rate: in Hz; it sets the length of the frames.

    Raises:
        ValueError: levels of another shape, or not above 0; chunks of another type or number of channels, or with
            samples that are not finite.
    """
    check_sample_rate(sample_rate)
    levels = np.asarray(clip_levels, np.float32)
    require(levels.ndim == 2 and levels.shape[1] == 2, "clip_levels", "[channel, 2]", f"of shape {list(levels.shape)}")
    require(bool((levels > 0).all()), "clip_levels", "above 0", levels.min(initial=np.inf))
    return _declip_blocks(chunks, levels, window_length(sample_rate) // 2)


def window_length(sample_rate: float) -> int:
    """Samples of a frame: the largest power of 2 within 190 ms, at least 64."""
    return 2 ** max(6, int(np.log2(_WINDOW_S * sample_rate)))


def _declip_blocks(chunks: Iterable[np.ndarray], levels: np.ndarray, hop: int) -> Iterator[np.ndarray]:
    """Restore the stream block by block.

    A segment's correction reaches one hop beyond it, so that of a block reaches into the next one. Batches run in
    threads, because XLA computes a batch of FFTs on one core.
    """
    block = _SEGMENTS_PER_BLOCK * _SEGMENT_HOPS * hop
    overhang = np.zeros((hop, len(levels)), np.float32)
    silence = hop  # before the stream: the first segment fades in there
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for extended, frames in _overlapping_blocks(chunks, len(levels), block, hop):
            correction = _correct_block(extended, levels, hop, threads)
            correction[:hop] += overhang
            overhang = correction[block:]
            signal, correction = extended[hop : hop + frames], correction[:frames]
            result = np.where(correction == 0.0, signal, signal + correction)  # −0.0 + 0.0 would lose its sign
            yield result[silence:]
            silence = 0


def _overlapping_blocks(
    chunks: Iterable[np.ndarray], num_channels: int, block: int, hop: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield each block with one hop before and two hops after it, and how many of its frames are of the stream.

    The stream is preceded by two hops of silence, one of which belongs to the first block, and followed by silence.
    """
    size = block + 3 * hop
    parts, num_buffered = [np.zeros((2 * hop, num_channels), np.float32)], 2 * hop
    for chunk in chunks:
        _check_chunk(chunk, num_channels)
        parts.append(chunk)
        num_buffered += len(chunk)
        if num_buffered < size:
            continue
        buffer = np.concatenate(parts)
        for start in range(0, len(buffer) - size + 1, block):
            yield buffer[start : start + size], block
        num_buffered = (len(buffer) - size) % block + size - block
        parts = [buffer[-num_buffered:].copy()]
    buffer = np.concatenate(parts)
    for start in range(0, len(buffer) - hop, block):
        extended = buffer[start : start + size]
        yield np.pad(extended, [(0, size - len(extended)), (0, 0)]), min(block, len(buffer) - hop - start)


def _check_chunk(chunk: np.ndarray, num_channels: int) -> None:
    is_valid = chunk.ndim == 2 and chunk.shape[1] == num_channels
    require(is_valid, "chunks", f"[frames, {num_channels}] for these clip levels", f"of shape {list(chunk.shape)}")
    require(chunk.dtype == np.float32, "chunks", "float32", chunk.dtype)
    require(bool(np.isfinite(chunk).all()), "chunks", "finite", "NaN or infinite somewhere")


def _correct_block(extended: np.ndarray, levels: np.ndarray, hop: int, threads: Executor) -> np.ndarray:
    """What is to be added to a block and to the hop after it, `[block + hop, channel]`: 0 unless clipped."""
    correction = np.zeros((len(extended) - 2 * hop, len(levels)), np.float32)
    supported = (_SEGMENT_HOPS + 1) * hop
    ramp = (np.arange(hop, dtype=np.float32) + 0.5) / hop
    fade = np.concatenate([ramp, np.ones(supported - 2 * hop, np.float32), 1.0 - ramp])
    batches = _make_batches(_find_segments(extended, levels, hop))
    for batch, growth in zip(batches, threads.map(_restore, batches), strict=True):
        for segment, added in zip(batch, growth[:, hop:-hop], strict=True):
            correction[segment.start : segment.start + supported, segment.channel] += added * fade
    return correction


def _find_segments(extended: np.ndarray, levels: np.ndarray, hop: int) -> list[_Segment]:
    """The segments of a block, with their context, to whose correction a clipped sample contributes."""
    is_clipped = (extended >= levels[:, 0]) | (extended <= -levels[:, 1])
    length, segments = _PROCESSED_HOPS * hop, []
    for start in range(0, len(extended) - length + 1, _SEGMENT_HOPS * hop):
        for channel, level in enumerate(levels.min(axis=1)):
            clipped = is_clipped[start : start + length, channel]
            if clipped[hop:-hop].any():
                effort = [effort for effort in _EFFORTS if clipped.mean() >= effort.min_share][-1]
                samples = extended[start : start + length, channel]
                segments.append(_Segment(start, channel, effort, samples, clipped, level))
    return segments


def _make_batches(segments: list[_Segment]) -> list[list[_Segment]]:
    """Lists of up to `_BATCH` segments of equal effort."""
    batches = []
    for effort in _EFFORTS:
        equal = [segment for segment in segments if segment.effort == effort]
        batches += [equal[first : first + _BATCH] for first in range(0, len(equal), _BATCH)]
    return batches


def _restore(batch: list[_Segment]) -> np.ndarray:
    """How much the samples of each segment grow; empty segments make up a full batch, so one program is compiled."""
    missing, effort = _BATCH - len(batch), batch[0].effort
    segments = np.stack([segment.samples for segment in batch])
    restored = restore_segments(
        np.pad(segments, [(0, missing), (0, 0)]),
        np.pad([segment.is_clipped for segment in batch], [(0, missing), (0, 0)]),
        np.pad(np.array([segment.level for segment in batch]), (0, missing), constant_values=1.0),
        momentum=np.float32(effort.momentum),
        first_threshold=np.float32(effort.first_threshold),
        iterations=effort.iterations,
        window_length=2 * (segments.shape[1] // _PROCESSED_HOPS),
    )
    return np.asarray(restored)[: len(batch)] - segments
