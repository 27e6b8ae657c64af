"""Loudness and true peak of a stream, with constant memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nmjax.audio.streams import AudioChunks, rechunk
from nmjax.dsp import MeterState, initial_meter_state, read_meter, update_meter

_CHUNK_SECONDS = 3  # measured at a time


@dataclasses.dataclass(frozen=True)
class Measurement:
    """lufs: integrated, −inf for silence and below 400 ms. true_peak_db: dBTP. peak: largest sample. frames: length."""

    lufs: float
    true_peak_db: float
    peak: float
    frames: int


class StreamMeter:
    """Hears a signal as it passes; `result` after the last piece."""

    def __init__(self, sample_rate: int, channels: int):
        self.sample_rate = sample_rate
        self._state = initial_meter_state(1, channels)
        self._total_frames = 0

    def tap(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same signal, measured on the way, in pieces of 3 s."""
        chunk_frames = _CHUNK_SECONDS * self.sample_rate
        for chunk in rechunk(chunks, chunk_frames):
            audio = np.zeros((1, chunk_frames, chunk.shape[1]), np.float32)
            audio[0, : len(chunk)] = chunk
            self._state = _jit_update_meter(audio, self.sample_rate, self._state, len(chunk))
            self._total_frames += len(chunk)
            yield chunk

    @property
    def state(self) -> MeterState:
        """As it stands; what an album is measured by."""
        return self._state

    def result(self) -> Measurement:
        """What was heard."""
        meter_reading = _jit_read_meter(self._state, self.sample_rate)
        peak = float(self._state.max_sample_peak[0])
        return Measurement(
            float(meter_reading.integrated_lufs[0]), float(meter_reading.true_peak_db[0]), peak, self._total_frames
        )


def measure_stream(chunks: AudioChunks, sample_rate: int, channels: int) -> Measurement:
    """Loudness and peaks of a whole stream."""
    meter = StreamMeter(sample_rate, channels)
    for _ in meter.tap(chunks):
        pass
    return meter.result()


@partial(jax.jit, static_argnums=1)
def _jit_update_meter(audio, sample_rate, state, valid):
    return update_meter(jnp.asarray(audio), sample_rate, state, valid)


_jit_read_meter = jax.jit(read_meter, static_argnums=1)
