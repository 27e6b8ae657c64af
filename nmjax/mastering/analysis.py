"""A whole signal and a network: listen to it, then play it corrected; in two passes, with constant memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.audio import reader
from nmjax.audio.streams import (
    AudioChunks,
    add_streams,
    prefetch,
    rechunk,
    resample_stream,
    scale_stream,
    scale_stream_db,
    take_excerpts,
)
from nmjax.audio.units import db_to_amplitude
from nmjax.dsp import Bands
from nmjax.mastering.network import Network, PooledFrames
from nmjax.mastering.render import active_processors, apply_processor, equalize_stream
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction, Settings

_CHUNK_FRAMES = 1 << 16  # frames
_EXCERPT_SECONDS = 6.0  # of what is listened to where not all is


@dataclasses.dataclass(frozen=True)
class SourceSignal:
    """A signal that can be read again and again: `pieces()` from its start, `[frames, channel]` float32 at
    `sample_rate` (Hz). lufs: its integrated loudness, or that of the album which it belongs to; −inf where there is
    none. frames: its length, where not all of it is to be listened to."""

    read_chunks: Callable[[], AudioChunks]
    sample_rate: int
    lufs: float
    frames: int = 0

    @property
    def input_gain_db(self) -> float:
        """What brings it to the model's level."""
        return MODEL_LUFS - self.lufs if math.isfinite(self.lufs) else 0.0

    def chunks_at_model_level(self) -> Iterator[np.ndarray]:
        """The signal at the model's level."""
        return scale_stream_db(self.read_chunks(), self.input_gain_db)


def encoder_input_chunks(
    signal: SourceSignal, network: Network, analysis_seconds: float | None = None
) -> Iterator[np.ndarray]:
    """What the network's encoder is given of a signal, `[frames, ears]` at the model's rate and level: all of it, or
    evenly spread stretches of `seconds` together."""
    encoder_chunks = (_encoder_inputs(chunk, network.encoder_inputs) for chunk in signal.chunks_at_model_level())
    if analysis_seconds is not None and analysis_seconds * signal.sample_rate < signal.frames:
        encoder_chunks = take_excerpts(
            encoder_chunks, signal.frames, signal.sample_rate, analysis_seconds, _EXCERPT_SECONDS
        )
    return rechunk(resample_stream(encoder_chunks, signal.sample_rate, SAMPLE_RATE), _CHUNK_FRAMES)


def encode_signal(signal: SourceSignal, network: Network, analysis_seconds: float | None = None) -> PooledFrames:
    """What the network hears of a signal, `seconds` as for `to_ears`."""
    return network.pool_frames(prefetch(encoder_input_chunks(signal, network, analysis_seconds)))


def _encoder_inputs(
    chunk: Float[np.ndarray, "frames channel"], encoder_inputs: int
) -> Float[np.ndarray, "frames ears"]:
    """Mid, the mean of the channels; and for a second ear the side, silent where there is none."""
    mid = reader.to_mono(chunk)
    if encoder_inputs == 1:
        return mid[:, None]
    side = 0.5 * (chunk[:, 0] - chunk[:, 1]) if chunk.shape[1] == 2 else np.zeros_like(mid)
    return np.stack([mid, side], axis=1)


def predict_settings(signal: SourceSignal, network: Network, analysis_seconds: float | None = None) -> Prediction:
    """The network's settings for a signal, `input_gain_db` among them; `seconds` as for `pooled`."""
    return with_input_gain(
        network.decode_pooled(encode_signal(signal, network, analysis_seconds).mean), signal.input_gain_db
    )


def with_input_gain(prediction: Prediction, gain_db: float) -> Prediction:
    """The same with its `input_gain_db`."""
    gain_db = jnp.full(1, gain_db, jnp.float32)
    return prediction.replace(settings=prediction.settings.replace(input_gain_db=gain_db))


def residual_stream(
    signal: SourceSignal, network: Network, z: Float[Array, "1 latent"], residual_amount: float = 1.0
) -> Iterator[np.ndarray]:
    """What the network adds to the signal, times `amount`, at the signal's own rate and level."""
    model_rate_chunks = prefetch(resample_stream(signal.chunks_at_model_level(), signal.sample_rate, SAMPLE_RATE))
    source_rate_chunks = resample_stream(network.residual_stream(model_rate_chunks, z), SAMPLE_RATE, signal.sample_rate)
    return scale_stream(source_rate_chunks, residual_amount * db_to_amplitude(-signal.input_gain_db))


def process_chain(
    signal: SourceSignal,
    settings: Settings,
    bands: Bands,
    tap: Callable[[str, AudioChunks], AudioChunks] = lambda _, x: x,
) -> AudioChunks:
    """The signal through `bands` (for its rate) and the stages behind them; at the signal's own level.

    watch: is shown what goes in, "input", and what comes out of each: "eq" and the stages that change something.
    """
    audio = tap("eq", prefetch(equalize_stream(tap("input", signal.read_chunks()), bands, signal.sample_rate)))
    for processor in active_processors(settings):
        audio = tap(processor, apply_processor(audio, processor, settings, signal.sample_rate, signal.input_gain_db))
    return audio


def render_prediction(
    signal: SourceSignal, prediction: Prediction, bands: Bands, network: Network
) -> Iterator[np.ndarray]:
    """The signal through `bands` (for its rate) and the stages, with the network's residual; at the signal's own level.

    Silence needs no correction, and stays silence.
    """
    clean = process_chain(signal, prediction.settings, bands)
    if not network.has_residual or not math.isfinite(signal.lufs):  # silent, or at no level that the network knows
        return clean
    return add_streams(clean, residual_stream(signal, network, prediction.z))
