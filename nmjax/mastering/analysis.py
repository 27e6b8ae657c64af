"""Predicts the settings of a whole signal, and renders them, in constant memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from nmjax.audio import reader
from nmjax.audio.streams import (
    CHUNK_FRAMES,
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
from nmjax.mastering.render import active_processors, apply_processor, equalize_side_stream, equalize_stream
from nmjax.models import MODEL_LUFS, SAMPLE_RATE, Prediction, Settings
from nmjax.runtime.lazy_jax import Array

_EXCERPT_SECONDS = 6.0  # length of an excerpt where not all of a track is analyzed


@dataclasses.dataclass(frozen=True)
class SourceSignal:
    """A measured signal.

    Attributes:
        read_chunks: opens the signal from its start, as `[frames, channel]` float32 chunks.
        sample_rate: in Hz.
        lufs: integrated loudness of the signal, or of the album it belongs to; −inf where there is none.
        frames: length; needed only where excerpts are analyzed.
    """

    read_chunks: Callable[[], AudioChunks]
    sample_rate: int
    lufs: float
    frames: int = 0

    @property
    def input_gain_db(self) -> float:
        """Gain from the signal's loudness to the model's level."""
        return MODEL_LUFS - self.lufs if math.isfinite(self.lufs) else 0.0

    def chunks_at_model_level(self) -> Iterator[np.ndarray]:
        """The signal at the model's level."""
        return scale_stream_db(self.read_chunks(), self.input_gain_db)


def encoder_input_chunks(
    signal: SourceSignal, network: Network, analysis_seconds: float | None = None
) -> Iterator[np.ndarray]:
    """The encoder's input for a signal, `[frames, inputs]` at the model's rate and level.

    Args:
        signal: the signal.
        network: decides whether the inputs are mid, mid and side, or the channels.
        analysis_seconds: total length of evenly spaced excerpts; None for the whole signal.
    """
    encoder_chunks = signal.chunks_at_model_level()
    if not network.encodes_channels:
        encoder_chunks = (_encoder_inputs(chunk, network.encoder_inputs) for chunk in encoder_chunks)
    if analysis_seconds is not None and analysis_seconds * signal.sample_rate < signal.frames:
        encoder_chunks = take_excerpts(
            encoder_chunks, signal.frames, signal.sample_rate, analysis_seconds, _EXCERPT_SECONDS
        )
    return rechunk(resample_stream(encoder_chunks, signal.sample_rate, SAMPLE_RATE), CHUNK_FRAMES)


def encode_signal(signal: SourceSignal, network: Network, analysis_seconds: float | None = None) -> PooledFrames:
    """Encodes a signal; arguments as in `encoder_input_chunks`."""
    return network.pool_frames(prefetch(encoder_input_chunks(signal, network, analysis_seconds)))


def _encoder_inputs(
    chunk: Float[np.ndarray, "frames channel"], encoder_inputs: int
) -> Float[np.ndarray, "frames inputs"]:
    """Mid, the mean of the channels; for two inputs also side, which is zero unless there are two channels."""
    mid = reader.to_mono(chunk)
    if encoder_inputs == 1:
        return mid[:, None]
    side = 0.5 * (chunk[:, 0] - chunk[:, 1]) if chunk.shape[1] == 2 else np.zeros_like(mid)
    return np.stack([mid, side], axis=1)


def predict_settings(signal: SourceSignal, network: Network, analysis_seconds: float | None = None) -> Prediction:
    """Predicts settings for a signal, with its `input_gain_db`; arguments as in `encoder_input_chunks`."""
    return decode_settings(encode_signal(signal, network, analysis_seconds), signal, network)


def decode_settings(pooled: PooledFrames, signal: SourceSignal, network: Network) -> Prediction:
    """The settings for a signal that the network has encoded, with its `input_gain_db`."""
    return with_input_gain(network.decode_pooled(pooled.mean), signal.input_gain_db)


def load_programs(network: Network) -> None:
    """Loads the compiled programs of a network, where it has any, by running them on a sample of silence."""
    if network.is_compiled:
        network.predict([np.zeros((1, network.encoder_inputs), np.float32)])


def with_input_gain(prediction: Prediction, gain_db: float) -> Prediction:
    """The prediction with another `input_gain_db`."""
    settings = dataclasses.replace(prediction.settings, input_gain_db=np.full(1, gain_db, np.float32))
    return dataclasses.replace(prediction, settings=settings)


def residual_stream(
    signal: SourceSignal, network: Network, z: Float[Array, "1 latent"], residual_amount: float = 1.0
) -> Iterator[np.ndarray]:
    """The network's residual times `residual_amount`, at the signal's own rate and level."""
    model_rate_chunks = prefetch(resample_stream(signal.chunks_at_model_level(), signal.sample_rate, SAMPLE_RATE))
    source_rate_chunks = resample_stream(network.residual_stream(model_rate_chunks, z), SAMPLE_RATE, signal.sample_rate)
    return scale_stream(source_rate_chunks, residual_amount * db_to_amplitude(-signal.input_gain_db))


def process_chain(
    signal: SourceSignal,
    settings: Settings,
    bands: Bands,
    side_bands: Bands | None = None,
    tap: Callable[[str, AudioChunks], AudioChunks] = lambda _, x: x,
) -> AudioChunks:
    """The signal through the equalizer and the active processors, at its own level.

    Args:
        signal: the signal.
        settings: of the processors.
        bands: of the equalizer, for the signal's rate.
        side_bands: of the equalizer of the side, for the signal's rate; None for none.
        tap: called with "input" and the signal, then with "eq" and each active processor's name and its output.
    """
    equalized = equalize_stream(tap("input", signal.read_chunks()), bands, signal.sample_rate)
    audio = tap("eq", equalize_side_stream(equalized, side_bands, signal.sample_rate))
    for processor in active_processors(settings):
        audio = tap(processor, apply_processor(audio, processor, settings, signal.sample_rate, signal.input_gain_db))
    return audio


def render_prediction(
    signal: SourceSignal, prediction: Prediction, bands: Bands, network: Network, side_bands: Bands | None = None
) -> Iterator[np.ndarray]:
    """The signal through the equalizer and the processors, plus the network's residual, at the signal's own level.

    Args:
        signal: the signal. A silent one gets no residual.
        prediction: settings and z.
        bands: of the equalizer, for the signal's rate.
        network: the network that made the prediction.
        side_bands: of the equalizer of the side, for the signal's rate; None for none.
    """
    audio = process_chain(signal, prediction.settings, bands, side_bands)
    if not network.has_residual or not math.isfinite(signal.lufs):
        return iter(audio)
    return add_streams(audio, residual_stream(signal, network, prediction.z))
