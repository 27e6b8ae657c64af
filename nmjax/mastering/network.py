"""A trained network applied to streams: settings for a whole track, and the residual."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.audio.streams import AudioChunks, windows
from nmjax.config import Config, restore_config
from nmjax.mastering.network_names import network_label
from nmjax.mastering.settings.schema import ModelId
from nmjax.models import ENCODERS, PHASES, Prediction, build_model, residual
from nmjax.models.inverse_curve import InverseCurve
from nmjax.models.parameters import EqSettings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.checkpoints import find_checkpoint
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.stored_programs import StoredJit

_ENCODER_CORE = 16 * 16_384  # samples per window, about 6 s; a multiple of the stride of either encoder
_RESIDUAL_CORE = 32_768  # larger windows take as long per sample, and more memory
_MILLISECOND_SAMPLES = 44  # at the model's rate


@dataclasses.dataclass(frozen=True)
class PooledFrames:
    """The encoder's output for a signal, summed over its frames.

    Attributes:
        frame_sum: `[inputs, size]` float64; the inputs are mid and, in phase 2, side; or the mean of
            all channels.
        num_frames: number of frames.
    """

    frame_sum: np.ndarray
    num_frames: int

    @property
    def mean(self) -> Float[np.ndarray, "inputs size"]:
        """Mean over the frames, the input of `decode_pooled`."""
        return (self.frame_sum / self.num_frames).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained model with its variables.

    Attributes:
        config: of the training run.
        variables: parameters and batch statistics.
        step: training step of the checkpoint.
        checkpoint_digest: identifies the checkpoint in settings files.
        is_shipped: whether it comes with the program, rather than from a run of the user's own.
    """

    config: Config
    variables: Any
    step: int
    checkpoint_digest: str
    is_shipped: bool = False

    @property
    def model_id(self) -> ModelId:
        """What settings files name the network by."""
        return ModelId(phase=self.config.phase, step=self.step, checkpoint=self.checkpoint_digest)

    @property
    def label(self) -> str:
        """What the network does, with its short name."""
        return network_label(self.config.phase)

    @functools.cached_property
    def has_residual(self) -> bool:
        """Whether the residual network adds a signal; an untrained one is silent, and is not run."""
        parts = self.variables["params"].get("residual", {})
        last_layers = (parts.get("out", {}), parts.get("curve", {}).get("out", {}))
        return any(np.any(x) for x in jax.tree.leaves(last_layers))

    @property
    def encoder_inputs(self) -> int:
        """Number of encoder inputs after pooling: 1 (mid, or the mean over the channels) or 2 (mid and side)."""
        return 2 if PHASES[self.config.phase].has_processors else 1

    @property
    def encodes_channels(self) -> bool:
        """Whether the encoder's inputs are the channels of the signal."""
        return ENCODERS[self.config.model.encoder].ENCODES_CHANNELS

    def pool_frames(self, chunks: AudioChunks) -> PooledFrames:
        """Encodes a signal `[frames, inputs]` at the model's rate and level, and sums over all frames.

        Where the network encodes the channels, the inputs are any number of them, and their frames are averaged.
        """
        frame_sum, num_frames = np.zeros(()), 0
        encoder = ENCODERS[self.config.model.encoder]
        for window in windows(chunks, _ENCODER_CORE, encoder.MARGIN):
            first_frame, num_core_frames = window.lead // encoder.STRIDE, encoder.frame_count(window.core)
            audio, valid = window.audio.T[:, :, None], np.full(window.audio.shape[1], window.valid, np.int32)
            window_sum = _jit_frame_sum(self.config)(
                self.variables, audio, valid, np.int32(first_frame), np.int32(first_frame + num_core_frames)
            )
            window_sum = np.asarray(window_sum, np.float64)
            frame_sum = frame_sum + (window_sum.mean(axis=0, keepdims=True) if self.encodes_channels else window_sum)
            num_frames += num_core_frames
        if not num_frames:  # two samples at 192 kHz have no frame at the model's rate
            return self.pool_frames([np.zeros((1, self.encoder_inputs), np.float32)])
        return PooledFrames(frame_sum, num_frames)

    def decode_pooled(self, mean: Float[np.ndarray, "inputs size"]) -> Prediction:
        """Predicts settings from the mean over a track's frames."""
        return _jit_method(self.config, "decode_pooled")(
            self.variables, *(mean[i : i + 1] for i in range(self.encoder_inputs))
        )

    def decode_eq(self, z: Float[Array, "batch latent"]) -> EqSettings:
        """Predicts the equalizer from z alone."""
        return _jit_decode_eq(self.config)(self.variables, jnp.asarray(z, jnp.float32))

    def inverse_curve(self, z: Float[Array, "1 latent"]) -> Float[Array, "1 2 knots"]:
        """The changes of slope of the residual's curve, see `InverseCurve`."""
        curve = InverseCurve(self.config.model.precision)
        return curve.apply({"params": self.variables["params"]["residual"]["curve"]}, z)  # pyright: ignore[reportReturnType]

    def predict(self, chunks: AudioChunks) -> Prediction:
        """Predicts settings for a signal `[frames, inputs]` at the model's rate and level."""
        return self.decode_pooled(self.pool_frames(chunks).mean)

    def residual_stream(self, chunks: AudioChunks, z: jax.Array) -> Iterator[np.ndarray]:
        """The residual of a signal at the model's rate and level, in chunks.

        It is zero in digital silence, where the network would add a constant.
        """
        residual_fn = _jit_method(self.config, "predict_residual")
        for window in windows(chunks, _RESIDUAL_CORE, residual.MARGIN):
            residual_audio = np.asarray(
                residual_fn(self.variables, window.audio[None], z, np.array([window.valid], np.int32))
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


def load(run_folder: Path, log=print) -> Network:
    """Loads the network of a run folder or of a folder of checkpoints.

    Raises:
        BadInputError: the folder is missing, incomplete, damaged, or from another version of nmjax.
    """
    checkpoints, step = find_checkpoint(run_folder, log)
    meta = checkpoints.meta(step)
    try:
        config = restore_config(meta["config"])
    except (BadInputError, KeyError, TypeError):
        raise BadInputError(f"'{run_folder}' is from another version of nmjax; train it again.") from None
    variables = checkpoints.restore_model(step)
    _check_processors(run_folder, variables["params"].get("processors", {}))
    digest_bytes = (checkpoints.folder / str(step) / "digests.json").read_bytes()
    return Network(config, variables, step, hashlib.sha256(digest_bytes).hexdigest()[:16])


def _check_processors(run_folder: Path, decoders: Mapping[str, Any]) -> None:
    """Raises BadInputError where a network with processors predicts others, or other settings, than PROCESSORS has."""
    trained = {name: decoder["settings"]["dense"]["bias"].shape[0] for name, decoder in decoders.items()}
    present = {name: len(processor.settings) for name, processor in PROCESSORS.items()}
    if trained and trained != present:
        raise BadInputError(
            f"'{run_folder}' predicts {_count_settings(trained)}; this version of nmjax has "
            f"{_count_settings(present)}. Train the network again, or use the version that trained it."
        )


def _count_settings(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} settings)" for name, count in counts.items())
