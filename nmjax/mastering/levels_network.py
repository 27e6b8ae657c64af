"""A network that works on levels, evaluated by NumPy: no import of JAX, no compiled program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.config import Config
from nmjax.models import PHASES, Prediction
from nmjax.models.parameters import EqSettings, at_model_level
from nmjax.models.processors import PROCESSORS
from nmjax.models.raw_settings import GATES, eq_from_raw, gated, price_logit
from nmjax.models.spectral_features import MARGIN, STRIDE, band_power_and_flatness, frame_features, pooled_features


def can_evaluate(config: Config) -> bool:
    """Whether a network is of the kind, apart from its residual: the spectral encoder."""
    return config.model.encoder == "spectral"


class LevelsNetwork:
    """The network for tracks of any length, without its residual.

    Attributes:
        core: samples per window, about 1.5 s: its arrays stay in the processor's cache.
        margin, stride: of the encoder, in samples.
        encodes_channels: False: the encoder's inputs are mid and perhaps side.
    """

    core, margin, stride = 64 * STRIDE, MARGIN, STRIDE
    encodes_channels = False

    def __init__(self, config: Config, variables: Any):
        phase, self._model, params = PHASES[config.phase], config.model, variables["params"]
        decoder = params["decoder"]
        self._out = _layer(params["encoder"]["out"])
        self._hidden = [_layer(decoder[name]) for name in ("hidden_0", "hidden_1")]
        self._heads = [_layer(decoder[name]["dense"]) for name in ("frequency", "gain", "q")]
        self._gate_layers, self._processors = None, {}
        if phase.has_gates:
            self._gate_layers = _layer(decoder["selector"]), _layer(decoder["gate"]["dense"])
            self._gain_divisor = np.asarray(variables["warm_start"]["decoder"]["gain_divisor"])
        if phase.has_processors:
            layers = params["processors"]
            self._processors = {
                name: (_layer(layers[name]["hidden"]), _layer(layers[name]["settings"]["dense"])) for name in PROCESSORS
            }

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
        z, *z_side = (_dense(self._out, pooled_features(mean)) for mean in means)
        eq, gate_logit = self._decode_eq(z)
        settings = at_model_level(eq)
        if not self._processors:
            return Prediction(settings, z, gate_logit)
        both = np.concatenate([z, *z_side], axis=1)
        processors = {
            name: PROCESSORS[name].from_raw(
                _dense(out, _relu(_dense(hidden, both if PROCESSORS[name].uses_side else z)))
            )
            for name, (hidden, out) in self._processors.items()
        }
        return Prediction(settings.replace(**processors), z, gate_logit, *z_side)

    def decode_eq(self, z: Float[np.ndarray, "batch latent"]) -> EqSettings:
        """Predicts the equalizer from z alone."""
        return self._decode_eq(z)[0]

    def _decode_eq(
        self, z: Float[np.ndarray, "batch latent"]
    ) -> tuple[EqSettings, Float[np.ndarray, "batch bands"] | None]:
        """The equalizer, and the logits of the prices of its gates."""
        x = z
        for layer in self._hidden:
            x = _relu(_dense(layer, x))
        freq, gain, q = (_dense(layer, x) for layer in self._heads)
        eq = eq_from_raw(freq, gain, q, self._model.frequency_map)
        if self._gate_layers is None:
            return eq, None
        selector, out = self._gate_layers
        logit = _dense(out, _relu(_dense(selector, z)))
        return gated(eq, GATES[self._model.gates](logit), self._gain_divisor), price_logit(logit, self._model.gates)


class _Dense(NamedTuple):
    kernel: Float[np.ndarray, "inputs outputs"]
    bias: Float[np.ndarray, " outputs"]


def _layer(params: Mapping[str, Any]) -> _Dense:
    return _Dense(np.asarray(params["kernel"]), np.asarray(params["bias"]))


def _dense(layer: _Dense, x: Float[np.ndarray, "batch inputs"]) -> Float[np.ndarray, "batch outputs"]:
    return x @ layer.kernel + layer.bias


def _relu(x: Float[np.ndarray, "batch values"]) -> Float[np.ndarray, "batch values"]:
    return np.maximum(x, 0.0)
