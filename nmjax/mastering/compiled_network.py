"""Programs of a network that XLA compiles: convolutions, gates, processors and the residual."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks, windows
from nmjax.config import Config
from nmjax.models import ENCODERS, Prediction, build_model, residual
from nmjax.models.inverse_curve import InverseCurve
from nmjax.models.parameters import EqSettings
from nmjax.runtime.lazy_jax import Array
from nmjax.runtime.stored_programs import StoredJit

_RESIDUAL_CORE = 32_768  # larger windows take as long per sample, and more memory
_MILLISECOND_SAMPLES = 44  # at the model's rate


class CompiledNetwork:
    """A network evaluated by compiled programs; the methods of `LevelsNetwork`, and the residual.

    Attributes:
        config: of the training run.
        core: samples per window, about 6 s; a multiple of the stride of each encoder.
        margin, stride: of the encoder, in samples.
        encodes_channels: whether the encoder's inputs are the channels of the signal.
    """

    core = 16 * 16_384

    def __init__(self, config: Config, variables: Any):
        encoder = ENCODERS[config.model.encoder]
        self.margin, self.stride, self.encodes_channels = encoder.MARGIN, encoder.STRIDE, encoder.ENCODES_CHANNELS
        self.config, self._variables = config, jax.device_put(variables, jax.devices()[0])

    def frame_sum(
        self, audio: Float[np.ndarray, "inputs time 1"], valid: int, first: int, end: int
    ) -> Float[np.ndarray, "inputs size"]:
        """See `LevelsNetwork.frame_sum`."""
        lengths = np.full(len(audio), valid, np.int32)
        total = _jit_frame_sum(self.config)(self._variables, audio, lengths, np.int32(first), np.int32(end))
        return np.asarray(total, np.float64)

    def decode_pooled(self, means: Sequence[Float[np.ndarray, "1 size"]]) -> Prediction:
        """See `LevelsNetwork.decode_pooled`."""
        return _jit_method(self.config, "decode_pooled")(self._variables, *means)

    def decode_eq(self, z: Float[np.ndarray, "batch latent"]) -> EqSettings:
        """See `LevelsNetwork.decode_eq`."""
        return _jit_decode_eq(self.config)(self._variables, z)

    def inverse_curve(self, z: Float[Array, "1 latent"]) -> Float[np.ndarray, "1 2 knots"]:
        """The changes of slope of the residual's curve, see `InverseCurve`."""
        curve = InverseCurve(self.config.model.precision)
        variables = {"params": self._variables["params"]["residual"]["curve"]}
        return np.asarray(curve.apply(variables, jnp.asarray(z)))

    def residual_stream(self, chunks: AudioChunks, z: Float[Array, "1 latent"]) -> Iterator[np.ndarray]:
        """The residual of a signal at the model's rate and level, in chunks.

        It is zero in digital silence, where the network would add a constant.
        """
        residual_fn = _jit_method(self.config, "predict_residual")
        for window in windows(chunks, _RESIDUAL_CORE, residual.MARGIN):
            residual_audio = np.asarray(
                residual_fn(self._variables, window.audio[None], z, np.array([window.valid], np.int32))
            )[0]
            yield (residual_audio * _activity_mask(window.audio, window.valid))[window.lead : window.lead + window.core]


@functools.cache  # so that a second track compiles nothing
def _jit_method(config: Config, method: str):
    model = build_model(config)
    return StoredJit(
        lambda variables, *arguments: model.apply(variables, *arguments, method=method),
        name=f"{method} of {config}",
        compiles_fast=method != "predict_residual",
    )


@functools.cache
def _jit_decode_eq(config: Config):
    model = build_model(config)
    return StoredJit(
        lambda variables, z: model.apply(variables, z, method=lambda m, z: m.decoder(z)[0]),
        name=f"decode_eq of {config}",
    )


@functools.cache
def _jit_frame_sum(config: Config):
    """The sum over an encoder's frames from `first` to before `end`, compiled."""
    model = build_model(config)

    def frame_sum(variables, audio, valid, first, end):
        frames = cast(jax.Array, model.apply(variables, audio, valid, method="encode_frames"))
        frame_index = jnp.arange(frames.shape[1])
        return jnp.sum(jnp.where(((frame_index >= first) & (frame_index < end))[None, :, None], frames, 0.0), axis=1)

    has_convolutions = config.model.encoder in ("tcn", "two_branch")
    return StoredJit(frame_sum, name=f"frame_sum of {config}", compiles_fast=not has_convolutions)


def _activity_mask(audio: np.ndarray, valid: int) -> np.ndarray:
    """`[frames, 1]`: 1 where at least a millisecond within the receptive field is not digital silence, down to 0 where
    all of it is. For a shorter signal, all of it must be nonzero."""
    nonzero_count = np.concatenate([[0], np.cumsum(functools.reduce(np.logical_or, (audio != 0.0).T))])
    position = np.arange(len(audio))
    first, end = np.clip(position - residual.MARGIN, 0, valid), np.clip(position + residual.MARGIN + 1, 0, valid)
    required = np.clip(end - first, 1, _MILLISECOND_SAMPLES)
    return np.minimum((nonzero_count[end] - nonzero_count[first]) / required, 1.0).astype(np.float32)[:, None]
