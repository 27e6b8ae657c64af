"""A network of phase 1a that works on levels, evaluated by NumPy: no import of JAX, no compiled program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.config import Config
from nmjax.models import PHASES, Prediction
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.raw_settings import eq_from_raw
from nmjax.models.spectral_features import MARGIN, STRIDE, band_power_and_flatness, frame_features, pooled_features


def can_evaluate(config: Config) -> bool:
    """Whether a network is of the kind: the spectral encoder, and an equalizer without gates as its only output."""
    phase = PHASES[config.phase]
    has_more = phase.has_gates or phase.has_residual or phase.has_processors
    return config.model.encoder == "spectral" and not has_more


class LevelsNetwork:
    """The network for tracks of any length.

    Attributes:
        core: samples per window, about 1.5 s: its arrays stay in the processor's cache.
        margin, stride: of the encoder, in samples.
        encodes_channels: False: the encoder's input is the mean of the channels.
    """

    core, margin, stride = 64 * STRIDE, MARGIN, STRIDE
    encodes_channels = False

    def __init__(self, config: Config, variables: Any):
        self._frequency_map = config.model.frequency_map
        params = variables["params"]
        self._out = _layer(params["encoder"]["out"])
        self._hidden = [_layer(params["decoder"][name]) for name in ("hidden_0", "hidden_1")]
        self._heads = [_layer(params["decoder"][name]["dense"]) for name in ("frequency", "gain", "q")]

    def frame_sum(
        self, audio: Float[np.ndarray, "inputs time 1"], valid: int, first: int, end: int
    ) -> Float[np.ndarray, "inputs size"]:
        """The sum over some of the encoder's frames, in float64.

        Args:
            audio: at the model's rate and level; zeros from `valid` on.
            valid: samples of the signal.
            first, end: the first frame, and the one after the last.
        """
        power, flatness = band_power_and_flatness(audio)
        return frame_features(power, flatness)[:, first:end].sum(axis=1, dtype=np.float64)

    def decode_pooled(self, means: Sequence[Float[np.ndarray, "1 size"]]) -> Prediction:
        """Predicts settings from the mean over a track's frames, one for each encoder input."""
        (mean,) = means
        z = _dense(self._out, pooled_features(mean))
        return Prediction(at_model_level(self.decode_eq(z)), z)

    def decode_eq(self, z: Float[np.ndarray, "batch latent"]) -> EqSettings:
        """Predicts the equalizer from z alone."""
        x = z
        for layer in self._hidden:
            x = np.maximum(_dense(layer, x), 0.0)
        freq, gain, q = (_dense(layer, x) for layer in self._heads)
        return eq_from_raw(freq, gain, q, self._frequency_map)


class _Dense(NamedTuple):
    kernel: Float[np.ndarray, "inputs outputs"]
    bias: Float[np.ndarray, " outputs"]


def _layer(params: Mapping[str, Any]) -> _Dense:
    return _Dense(np.asarray(params["kernel"]), np.asarray(params["bias"]))


def _dense(layer: _Dense, x: Float[np.ndarray, "batch inputs"]) -> Float[np.ndarray, "batch outputs"]:
    return x @ layer.kernel + layer.bias
