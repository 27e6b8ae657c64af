"""Loudness and true peak of a stream in constant memory, by the compiled meter of `nmjax.dsp`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from nmjax.audio.streams import AudioChunks, rechunk
from nmjax.dsp import MeterState, initial_meter_state, read_meter, update_meter
from nmjax.runtime.lazy_jax import jnp, lazy_jit

_CHUNK_SECONDS = 3


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Measurements of a signal.

    Attributes:
        lufs: integrated loudness; −inf for silence and below 400 ms.
        true_peak_db: in dBTP.
        peak: largest sample amplitude.
        frames: length.
    """

    lufs: float
    true_peak_db: float
    peak: float
    frames: int


class StreamMeter:
    """Measures a signal as it passes; `result` is complete after the last chunk."""

    def __init__(self, sample_rate: int, channels: int):
        self.sample_rate = sample_rate
        self._state = initial_meter_state(1, channels)
        self._total_frames = 0

    def tap(self, chunks: AudioChunks) -> Iterator[np.ndarray]:
        """The same signal in chunks of 3 s, measured as they pass."""
        chunk_frames = _CHUNK_SECONDS * self.sample_rate
        for chunk in rechunk(chunks, chunk_frames):
            audio = np.zeros((1, chunk_frames, chunk.shape[1]), np.float32)
            audio[0, : len(chunk)] = chunk
            self._state = _jit_update_meter(audio, self.sample_rate, self._state, len(chunk))
            self._total_frames += len(chunk)
            yield chunk

    @property
    def state(self) -> MeterState:
        """The state so far; states of several songs can be combined to measure an album."""
        return self._state

    def result(self) -> Measurement:
        """The measurement of all chunks so far."""
        meter_reading = _jit_read_meter(self._state, self.sample_rate)
        return Measurement(
            lufs=float(meter_reading.integrated_lufs[0]),
            true_peak_db=float(meter_reading.true_peak_db[0]),
            peak=float(self._state.max_sample_peak[0]),
            frames=self._total_frames,
        )


def measure_stream(chunks: AudioChunks, sample_rate: int, channels: int) -> Measurement:
    """Loudness and peaks of a whole stream."""
    meter = StreamMeter(sample_rate, channels)
    for _ in meter.tap(chunks):
        pass
    return meter.result()


@lazy_jit(static_argnums=1)
def _jit_update_meter(audio, sample_rate, state, valid):
    return update_meter(jnp.asarray(audio), sample_rate, state, valid)


_jit_read_meter = lazy_jit(static_argnums=1)(read_meter)
