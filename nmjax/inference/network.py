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

from nmjax import checkpoint
from nmjax.config import Config, restored
from nmjax.errors import BadInputError
from nmjax.inference.stream import Pieces, windows
from nmjax.models import ENCODERS, Prediction, build_model, residual

_LISTEN_CORE = 16 * 16_384  # samples a window, about 6 s; a multiple of either encoder's stride
_RESIDUAL_CORE = 32_768  # larger windows take as long and more memory
_A_MILLISECOND = 44  # samples at the model's rate


@dataclasses.dataclass(frozen=True)
class Pooled:
    """What an encoder heard of a signal: the sum over its frames, `[ears, size]` float64, and how many there were.
    Ears: mid, and in phase 2 the side."""

    total: np.ndarray
    frames: int

    @property
    def mean(self) -> Float[Array, "ears size"]:
        """Over the frames, as `settle` takes it."""
        return jnp.asarray(self.total / self.frames, jnp.float32)


@dataclasses.dataclass(frozen=True)
class Network:
    """A phase with its variables. identity: a digest of the checkpoint, so that settings name what made them.
    settings_alone: its residual, if it has one, is left out."""

    config: Config
    variables: Any
    step: int
    identity: str
    settings_alone: bool = False

    @property
    def has_residual(self) -> bool:
        """Whether a second network adds something."""
        return self.config.phase != "1a" and not self.settings_alone

    @property
    def ears(self) -> int:
        """How many signals the encoder hears: 1, mid; or 2, mid and side."""
        return 2 if build_model(self.config).hears_side else 1

    def pooled(self, pieces: Pieces) -> Pooled:
        """What the encoder hears of a signal `[frames, ears]` at the model's rate and level: the sum over all its
        frames."""
        total, count = 0.0, 0
        encoder = ENCODERS[self.config.model.encoder]
        for w in windows(pieces, _LISTEN_CORE, encoder.MARGIN):
            first, own = w.lead // encoder.STRIDE, encoder.frames_of(w.core)
            audio, valid = w.audio.T[:, :, None], np.full(w.audio.shape[1], w.valid, np.int32)
            heard = _summed(self.config)(self.variables, audio, valid, np.int32(first), np.int32(first + own))
            total = total + np.asarray(heard, np.float64)
            count += own
        if not count:  # two samples at 192 kHz are none at the model's rate
            return self.pooled([np.zeros((1, self.ears), np.float32)])
        return Pooled(total, count)

    def settle(self, mean: Float[Array, "ears size"]) -> Prediction:
        """Settings from the mean over a track's frames."""
        return self._compiled("settle")(self.variables, *(mean[i : i + 1] for i in range(self.ears)))

    def predict(self, pieces: Pieces) -> Prediction:
        """Settings for a signal `[frames, ears]` at the model's rate and level, from the mean over all its frames."""
        return self.settle(self.pooled(pieces).mean)

    def correction(self, pieces: Pieces, z: jax.Array) -> Iterator[np.ndarray]:
        """The residual of a signal at the model's rate and level, piece by piece; none in digital silence, where the
        network hears nothing and adds a constant."""
        correct = self._compiled("correct")
        for w in windows(pieces, _RESIDUAL_CORE, residual.MARGIN):
            out = np.asarray(correct(self.variables, w.audio[None], z, np.array([w.valid], np.int32)))[0]
            yield (out * _near_sound(w.audio, w.valid))[w.lead : w.lead + w.core]

    def _compiled(self, method: str):
        return _compiled(self.config, method)


@functools.cache  # a second track of the same network compiles nothing
def _compiled(config: Config, method: str):
    model = build_model(config)
    return jax.jit(lambda variables, *arguments: model.apply(variables, *arguments, method=method))


@functools.cache
def _summed(config: Config):
    """The sum over an encoder's frames from `first` to before `end`."""
    model = build_model(config)

    @jax.jit
    def summed(variables, audio, valid, first, end):
        frames = model.apply(variables, audio, valid, method="hear")
        number = jnp.arange(frames.shape[1])
        return jnp.sum(jnp.where(((number >= first) & (number < end))[None, :, None], frames, 0.0), axis=1)

    return summed


def _near_sound(audio: np.ndarray, valid: int) -> np.ndarray:
    """`[frames, 1]`: 1 where at least a millisecond within the network's reach is not digital silence, falling to 0
    where all of it is; of a signal shorter than that, where all of it sounds."""
    sounds = np.concatenate([[0], np.cumsum(functools.reduce(np.logical_or, (audio != 0.0).T))])
    place = np.arange(len(audio))
    first, end = np.clip(place - residual.MARGIN, 0, valid), np.clip(place + residual.MARGIN + 1, 0, valid)
    enough = np.clip(end - first, 1, _A_MILLISECOND)
    return np.minimum((sounds[end] - sounds[first]) / enough, 1.0).astype(np.float32)[:, None]


def load(folder: Path, report=print) -> Network:
    """The network of a run's folder or of a folder of checkpoints.

    Raises:
        BadInputError: missing, unfinished, damaged, or written by another version of the program.
    """
    checkpoints, step = checkpoint.find(folder, report)
    meta = checkpoints.meta(step)
    try:
        config = restored(meta["config"])
    except (BadInputError, KeyError, TypeError):
        raise BadInputError(f"'{folder}' was written by another version of nmjax; train it again.") from None
    digests = (checkpoints.folder / str(step) / "digests.json").read_bytes()
    return Network(config, checkpoints.restore_model(step), step, hashlib.sha256(digests).hexdigest()[:16])
