"""A trained network applied to streams: settings for a whole track, and the residual."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from nmjax.audio.streams import AudioChunks, windows
from nmjax.config import Config, restore_config
from nmjax.mastering.levels_network import LevelsNetwork, can_evaluate
from nmjax.mastering.network_names import network_label
from nmjax.mastering.settings.schema import ModelId
from nmjax.models import PHASES, Prediction
from nmjax.models.parameters import EqSettings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.import_pause import without_collection
from nmjax.runtime.lazy_jax import Array
from nmjax.runtime.saved_network import find_network

if TYPE_CHECKING:
    from nmjax.mastering.compiled_network import CompiledNetwork


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
        return any(np.any(x) for layer in last_layers for x in _leaves(layer))

    @property
    def encoder_inputs(self) -> int:
        """Number of encoder inputs after pooling: 1 (mid, or the mean over the channels) or 2 (mid and side)."""
        return 2 if PHASES[self.config.phase].has_processors else 1

    @functools.cached_property
    def _evaluator(self) -> LevelsNetwork | CompiledNetwork:
        """What predicts: NumPy where it can, which needs no import of JAX."""
        return LevelsNetwork(self.config, self.variables) if can_evaluate(self.config) else self._compiled

    @functools.cached_property
    def _compiled(self) -> CompiledNetwork:
        """What evaluates everything, the residual included, by programs of JAX."""
        with without_collection():
            from nmjax.mastering.compiled_network import CompiledNetwork

        return CompiledNetwork(self.config, self.variables)

    @property
    def is_compiled(self) -> bool:
        """Whether programs of JAX predict, rather than NumPy."""
        return not can_evaluate(self.config)

    @property
    def encodes_channels(self) -> bool:
        """Whether the encoder's inputs are the channels of the signal."""
        return self._evaluator.encodes_channels

    def pool_frames(self, chunks: AudioChunks) -> PooledFrames:
        """Encodes a signal `[frames, inputs]` at the model's rate and level, and sums over all frames.

        Where the network encodes the channels, the inputs are any number of them, and their frames are averaged.
        """
        frame_sum, num_frames = np.zeros(()), 0
        evaluator = self._evaluator
        for window in windows(chunks, evaluator.core, evaluator.margin):
            first_frame, num_core_frames = window.lead // evaluator.stride, -(-window.core // evaluator.stride)
            audio = window.audio.T[:, :, None]
            window_sum = evaluator.frame_sum(audio, window.valid, first_frame, first_frame + num_core_frames)
            frame_sum = frame_sum + (window_sum.mean(axis=0, keepdims=True) if self.encodes_channels else window_sum)
            num_frames += num_core_frames
        if not num_frames:  # two samples at 192 kHz have no frame at the model's rate
            return self.pool_frames([np.zeros((1, self.encoder_inputs), np.float32)])
        return PooledFrames(frame_sum, num_frames)

    def decode_pooled(self, mean: Float[np.ndarray, "inputs size"]) -> Prediction:
        """Predicts settings from the mean over a track's frames."""
        return self._evaluator.decode_pooled([mean[i : i + 1] for i in range(self.encoder_inputs)])

    def decode_eq(self, z: Float[Array, "batch latent"]) -> EqSettings:
        """Predicts the equalizer from z alone."""
        return self._evaluator.decode_eq(np.asarray(z, np.float32))

    def predict(self, chunks: AudioChunks) -> Prediction:
        """Predicts settings for a signal `[frames, inputs]` at the model's rate and level."""
        return self.decode_pooled(self.pool_frames(chunks).mean)

    def inverse_curve(self, z: Float[Array, "1 latent"]) -> Float[np.ndarray, "1 2 knots"]:
        """The changes of slope of the residual's curve, see `InverseCurve`."""
        return self._compiled.inverse_curve(z)

    def residual_stream(self, chunks: AudioChunks, z: Float[Array, "1 latent"]) -> Iterator[np.ndarray]:
        """The residual of a signal at the model's rate and level, in chunks.

        It is zero in digital silence, where the network would add a constant.
        """
        return self._compiled.residual_stream(chunks, z)


def load(run_folder: Path, log=print) -> Network:
    """Loads the network of a run folder, of a folder of checkpoints, or of a folder with one weights file.

    Raises:
        BadInputError: the folder is missing, incomplete, damaged, or from another version of nmjax.
    """
    saved = find_network(run_folder, log)
    try:
        config = restore_config(saved.config)
    except (BadInputError, TypeError):
        raise BadInputError(f"'{run_folder}' is from another version of nmjax; train it again.") from None
    variables = saved.read_variables()
    _check_processors(run_folder, variables["params"].get("processors", {}))
    return Network(config, variables, saved.step, saved.checkpoint_digest)


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


def _leaves(tree: Any) -> Iterator[Any]:
    """The arrays of a nested dictionary."""
    if isinstance(tree, Mapping):
        for branch in tree.values():
            yield from _leaves(branch)
    else:
        yield tree
