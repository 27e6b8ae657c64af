"""A trained network, and its two jobs over a stream: settings for a whole track, and the residual."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.audio.streams import AudioChunks, windows
from nmjax.config import Config, restore_config
from nmjax.models import ENCODERS, PHASES, Prediction, build_model, residual
from nmjax.runtime.checkpoints import find_checkpoint
from nmjax.runtime.errors import BadInputError

_ENCODER_CORE = 16 * 16_384  # samples a window, about 6 s; a multiple of either encoder's stride
_RESIDUAL_CORE = 32_768  # larger windows take as long and more memory
_MILLISECOND_SAMPLES = 44  # samples at the model's rate


@dataclasses.dataclass(frozen=True)
class PooledFrames:
    """What an encoder heard of a signal: the sum over its frames, `[ears, size]` float64, and how many there were.
    Ears: mid, and in phase 2 the side."""

    frame_sum: np.ndarray
    num_frames: int

    @property
    def mean(self) -> Float[Array, "ears size"]:
        """Over the frames, as `settle` takes it."""
        return jnp.asarray(self.frame_sum / self.num_frames, jnp.float32)


@dataclasses.dataclass(frozen=True)
class Network:
    """A phase with its variables. identity: a digest of the checkpoint, so that settings name what made them.
    settings_alone: its residual, if it has one, is left out."""

    config: Config
    variables: Any
    step: int
    checkpoint_digest: str
    settings_only: bool = False

    @property
    def has_residual(self) -> bool:
        """Whether a second network adds something."""
        return PHASES[self.config.phase].has_residual and not self.settings_only

    @property
    def encoder_inputs(self) -> int:
        """How many signals the encoder hears: 1, mid; or 2, mid and side."""
        return 2 if PHASES[self.config.phase].has_processors else 1

    def pool_frames(self, chunks: AudioChunks) -> PooledFrames:
        """What the encoder hears of a signal `[frames, ears]` at the model's rate and level: the sum over all its
        frames."""
        frame_sum, num_frames = 0.0, 0
        encoder = ENCODERS[self.config.model.encoder]
        for window in windows(chunks, _ENCODER_CORE, encoder.MARGIN):
            first_frame, num_core_frames = window.lead // encoder.STRIDE, encoder.frame_count(window.core)
            audio, valid = window.audio.T[:, :, None], np.full(window.audio.shape[1], window.valid, np.int32)
            window_sum = _jit_frame_sum(self.config)(
                self.variables, audio, valid, np.int32(first_frame), np.int32(first_frame + num_core_frames)
            )
            frame_sum = frame_sum + np.asarray(window_sum, np.float64)
            num_frames += num_core_frames
        if not num_frames:  # two samples at 192 kHz are none at the model's rate
            return self.pool_frames([np.zeros((1, self.encoder_inputs), np.float32)])
        return PooledFrames(frame_sum, num_frames)

    def decode_pooled(self, mean: Float[Array, "ears size"]) -> Prediction:
        """Settings from the mean over a track's frames."""
        return self._jit_method("decode_pooled")(self.variables, *(mean[i : i + 1] for i in range(self.encoder_inputs)))

    def predict(self, chunks: AudioChunks) -> Prediction:
        """Settings for a signal `[frames, ears]` at the model's rate and level, from the mean over all its frames."""
        return self.decode_pooled(self.pool_frames(chunks).mean)

    def residual_stream(self, chunks: AudioChunks, z: jax.Array) -> Iterator[np.ndarray]:
        """The residual of a signal at the model's rate and level, piece by piece; none in digital silence, where the
        network hears nothing and adds a constant."""
        residual_fn = self._jit_method("predict_residual")
        for window in windows(chunks, _RESIDUAL_CORE, residual.MARGIN):
            residual_audio = np.asarray(
                residual_fn(self.variables, window.audio[None], z, np.array([window.valid], np.int32))
            )[0]
            yield (residual_audio * _activity_mask(window.audio, window.valid))[window.lead : window.lead + window.core]

    def _jit_method(self, method: str):
        return _jit_method(self.config, method)


@functools.cache  # a second track of the same network compiles nothing
def _jit_method(config: Config, method: str):
    model = build_model(config)
    return jax.jit(lambda variables, *arguments: model.apply(variables, *arguments, method=method))


@functools.cache
def _jit_frame_sum(config: Config):
    """The sum over an encoder's frames from `first` to before `end`."""
    model = build_model(config)

    @jax.jit
    def frame_sum(variables, audio, valid, first, end):
        frames = model.apply(variables, audio, valid, method="encode_frames")
        frame_index = jnp.arange(frames.shape[1])
        return jnp.sum(jnp.where(((frame_index >= first) & (frame_index < end))[None, :, None], frames, 0.0), axis=1)

    return frame_sum


def _activity_mask(audio: np.ndarray, valid: int) -> np.ndarray:
    """`[frames, 1]`: 1 where at least a millisecond within the network's reach is not digital silence, falling to 0
    where all of it is; of a signal shorter than that, where all of it sounds."""
    nonzero_count = np.concatenate([[0], np.cumsum(functools.reduce(np.logical_or, (audio != 0.0).T))])
    position = np.arange(len(audio))
    first, end = np.clip(position - residual.MARGIN, 0, valid), np.clip(position + residual.MARGIN + 1, 0, valid)
    required = np.clip(end - first, 1, _MILLISECOND_SAMPLES)
    return np.minimum((nonzero_count[end] - nonzero_count[first]) / required, 1.0).astype(np.float32)[:, None]


def load(run_folder: Path, log=print) -> Network:
    """The network of a run's folder or of a folder of checkpoints.

    Raises:
        BadInputError: missing, unfinished, damaged, or written by another version of the program.
    """
    checkpoints, step = find_checkpoint(run_folder, log)
    meta = checkpoints.meta(step)
    try:
        config = restore_config(meta["config"])
    except (BadInputError, KeyError, TypeError):
        raise BadInputError(f"'{run_folder}' was written by another version of nmjax; train it again.") from None
    digest_bytes = (checkpoints.folder / str(step) / "digests.json").read_bytes()
    return Network(config, checkpoints.restore_model(step), step, hashlib.sha256(digest_bytes).hexdigest()[:16])
