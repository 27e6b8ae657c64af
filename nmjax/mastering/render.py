"""Equalizer and processors applied to streams, in float64 at the stream's own sample rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nmjax.audio.streams import AudioChunks, pad_end, prefetch, rechunk
from nmjax.audio.units import db_to_amplitude
from nmjax.dsp import Bands
from nmjax.dsp.block_filter import BlockFilter
from nmjax.models import Settings
from nmjax.models.parameters import to_numpy
from nmjax.models.processors import BLOCK_SIZE, PROCESSORS
from nmjax.runtime.lazy_jax import jax
from nmjax.runtime.stored_programs import stored_jit

_CHUNK_SECONDS = 3


def equalize_stream(chunks: AudioChunks, bands: Bands, sample_rate: int) -> Iterator[np.ndarray]:
    """The stream through peaking filters; bit-identical where all gains are 0 dB.

    Args:
        chunks: `[frames, channel]`.
        bands: `[1, bands]`, for `sample_rate`.
        sample_rate: in Hz.

    Returns:
        float32 chunks of 3 s. The filters run in float64, and their state passes from chunk to chunk.
    """
    if is_flat(bands):
        yield from chunks
        return
    yield from prefetch(_filter_stream(EqualizerStage(bands, sample_rate), chunks, _CHUNK_SECONDS * sample_rate))


def _filter_stream(
    stage: EqualizerStage | ProcessorStage, chunks: AudioChunks, chunk_frames: int
) -> Iterator[np.ndarray]:
    state = None
    for chunk in rechunk(chunks, chunk_frames):
        filtered, state = stage.process(chunk, chunk_frames, state)
        yield filtered


class EqualizerStage:
    """The equalizer over chunks of a stream, in float64.

    Args:
        bands: `[1, bands]`, for `sample_rate`.
        sample_rate: in Hz.
    """

    latency = 0

    def __init__(self, bands: Bands, sample_rate: int):
        self._filter = BlockFilter(to_numpy(bands, np.float64).svf(sample_rate))

    def process(self, chunk: np.ndarray, size: int, state: Any = None) -> tuple[np.ndarray, Any]:
        """The next chunk `[frames, channel]`, filtered, and the state after it.

        Args:
            chunk: `size` frames, fewer only at the end of the stream.
            size: of all chunks but the last.
            state: the state after the chunk before; None at the start of a stream.
        """
        filtered, state = self._filtered(chunk, state)
        return filtered.astype(np.float32), state

    def _filtered(self, chunk: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        return self._filter.process(chunk, self._filter.initial_state(chunk.shape[1]) if state is None else state)


def equalize_side_stream(chunks: AudioChunks, bands: Bands | None, sample_rate: int) -> Iterator[np.ndarray]:
    """The stream with its side, half of left − right, through peaking filters; the mid does not change.

    Bit-identical where all gains are 0 dB, and for any other number of channels than two.

    Args:
        chunks: `[frames, channel]`.
        bands: `[1, bands]`, for `sample_rate`; None for none.
        sample_rate: in Hz.

    Returns:
        float32 chunks. The filters run in float64, and their state passes from chunk to chunk.
    """
    if bands is None or is_flat(bands):
        yield from chunks
        return
    yield from prefetch(_filter_stream(SideEqualizerStage(bands, sample_rate), chunks, _CHUNK_SECONDS * sample_rate))


class SideEqualizerStage(EqualizerStage):
    """The equalizer of the side over chunks of a stream; chunks of any other number of channels than two pass."""

    def process(self, chunk: np.ndarray, size: int, state: Any = None) -> tuple[np.ndarray, Any]:
        """The next chunk with its side filtered, and the state after it; see `EqualizerStage`."""
        if chunk.shape[1] != 2:
            return chunk, state
        audio = chunk.astype(np.float64)
        side = 0.5 * (audio[:, :1] - audio[:, 1:])
        filtered, state = self._filtered(side, state)
        change = filtered - side
        return (audio + np.concatenate([change, -change], axis=1)).astype(np.float32), state


def active_processors(settings: Settings, channels: int = 2) -> list[str]:
    """Names of the processors that change the signal, in the order of the chain.

    Args:
        settings: of all processors.
        channels: of the signal; only two of them have a width.
    """
    return [
        name
        for name, processor in PROCESSORS.items()
        if (values := getattr(settings, name)) is not None
        and not processor.is_neutral(values)
        and (name != "width" or channels == 2)
    ]


def apply_processor(
    chunks: AudioChunks, processor: str, settings: Settings, sample_rate: int, input_gain_db: float
) -> Iterator[np.ndarray]:
    """The stream through one processor, without its latency.

    Args:
        chunks: `[frames, channel]`.
        processor: its name.
        settings: of all processors.
        sample_rate: in Hz.
        input_gain_db: gain from the stream's level to the model's, at which processors work.

    Returns:
        float32 chunks. The processor runs in float64, and its state passes from chunk to chunk.
    """
    chunk_frames = _CHUNK_SECONDS * sample_rate // BLOCK_SIZE * BLOCK_SIZE
    stage = ProcessorStage(processor, settings, sample_rate, input_gain_db)
    skip, padded = stage.latency, pad_end(chunks, stage.latency)
    if PROCESSORS[processor].runs_in_numpy:
        outputs = prefetch(_filter_stream(stage, padded, chunk_frames))
    else:
        outputs = _process_stream(stage, padded, chunk_frames)
    for output in outputs:
        if skip < len(output):
            yield output[skip:]
        skip = max(0, skip - len(output))


def _process_stream(stage: ProcessorStage, chunks: AudioChunks, chunk_frames: int) -> Iterator[np.ndarray]:
    """One chunk is processed by XLA's threads while the one before it is used."""
    state, waiting = None, None
    for chunk in rechunk(chunks, chunk_frames):
        started, state = stage.start(chunk, chunk_frames, state)
        if waiting:
            yield waiting()
        waiting = started
    if waiting:
        yield waiting()


class ProcessorStage:
    """One processor over chunks of a stream, in float64; its output is `latency` frames late.

    Args: as `apply_processor`.
    """

    def __init__(self, processor: str, settings: Settings, sample_rate: int, input_gain_db: float):
        self._values = to_numpy(getattr(settings, processor), np.float64)
        self._processor, self._sample_rate, self._gain = processor, sample_rate, db_to_amplitude(input_gain_db)
        self.latency = PROCESSORS[processor].latency_samples

    def process(self, chunk: np.ndarray, size: int, state: Any = None) -> tuple[np.ndarray, Any]:
        """As `EqualizerStage.process`; `size` is a multiple of `BLOCK_SIZE`."""
        wait, state = self.start(chunk, size, state)
        return wait(), state

    def start(self, chunk: np.ndarray, size: int, state: Any = None) -> tuple[Callable[[], np.ndarray], Any]:
        """As `process`, but without waiting: the first result is a function that waits for the processed chunk."""
        audio = np.zeros((1, size, chunk.shape[1]), np.float64)
        np.multiply(chunk, self._gain, out=audio[0, : len(chunk)])
        if state is None:
            state = PROCESSORS[self._processor].initial_state(1, chunk.shape[1], self._sample_rate, np.float64)
        process_block = _process_in_numpy if PROCESSORS[self._processor].runs_in_numpy else _process_compiled
        processed, state = process_block(self._processor, audio, self._values, self._sample_rate, state)
        return lambda: (np.asarray(processed)[0, : len(chunk)] / self._gain).astype(np.float32), state


def _process_in_numpy(processor: str, audio: np.ndarray, settings: Any, sample_rate: int, state: Any) -> Any:
    return PROCESSORS[processor].process_block(audio, settings, sample_rate, state)


def _process_compiled(processor: str, audio: np.ndarray, settings: Any, sample_rate: int, state: Any) -> Any:
    with jax.enable_x64(True):
        return _jit_process_block(processor, audio, settings, sample_rate, state)


@stored_jit(static_argnums=(0, 3))
def _jit_process_block(processor, audio, settings, sample_rate, state):
    return PROCESSORS[processor].process_block(audio, settings, sample_rate, state)


def is_flat(bands: Bands) -> bool:
    """Whether all bands are peaking filters of 0 dB."""
    return bands.kind == "peaking" and not np.asarray(bands.gain_db).any()
