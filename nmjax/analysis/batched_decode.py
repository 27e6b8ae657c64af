"""Decode pooled encoder frames to settings, in batches of one fixed shape."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from nmjax.config import Config
from nmjax.mastering.network import Network
from nmjax.models import ENCODERS, Prediction, Settings, build_model

_BATCH_ROWS = 64  # decoded at a time, so that one compiled program serves any number
EQ_FIELDS = ("freq_hz", "gain_db", "gate", "q")


def decode_settings(means: Float[np.ndarray, "rows inputs size"], network: Network) -> dict[str, np.ndarray]:
    """The float32 settings of each row of pooled frames, by name.

    `freq_hz`, `gain_db`, `gate`, `q`: `[rows, bands]`. Settings of the network's processors, as `compressor_ratio`:
    `[rows]`. `z`: `[rows, latent]`.
    """
    chunks = []
    for start in range(0, len(means), _BATCH_ROWS):
        chunk = means[start : start + _BATCH_ROWS].astype(np.float32)
        padded = np.pad(chunk, ((0, _BATCH_ROWS - len(chunk)), (0, 0), (0, 0)), mode="edge")
        prediction = jax.device_get(_compiled_decoder(network.config)(network.variables, padded))  # pyright: ignore[reportArgumentType]  hashable: frozen
        chunks.append({name: values[: len(chunk)] for name, values in flatten_prediction(prediction).items()})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def flatten_prediction(prediction: Prediction) -> dict[str, Any]:
    """The arrays of a prediction (or their shapes) by the names of `decode_settings`."""
    eq = prediction.settings.eq
    return {
        **{name: getattr(eq, name) for name in EQ_FIELDS},
        **flatten_processors(prediction.settings),
        "z": prediction.z,
    }


def flatten_processors(settings: Settings) -> dict[str, Any]:
    """The settings of the processors that the network has, as `compressor_ratio`, each `[batch]`."""
    fields = {}
    for processor in dataclasses.fields(settings):
        values = getattr(settings, processor.name)
        if processor.name != "eq" and dataclasses.is_dataclass(values):
            fields |= {f"{processor.name}_{f.name}": getattr(values, f.name) for f in dataclasses.fields(values)}
    return fields


def prediction_shapes(network: Network) -> Prediction:
    """The shapes of a prediction for one track, by abstract evaluation; `gate_logit` is None without gates."""
    model, encoder = build_model(network.config), ENCODERS[network.config.model.encoder]
    audio = jax.ShapeDtypeStruct((1, encoder.STRIDE, 1), np.float32)
    lengths = jax.ShapeDtypeStruct((1,), np.int32)
    frames = jax.eval_shape(functools.partial(model.apply, method="encode_frames"), network.variables, audio, lengths)
    means = [jax.ShapeDtypeStruct((1, frames.shape[-1]), np.float32)] * network.encoder_inputs
    return jax.eval_shape(functools.partial(model.apply, method="decode_pooled"), network.variables, *means)


@functools.cache
def _compiled_decoder(config: Config):
    model = build_model(config)

    def decode_row(variables, mean):  # [inputs, size]
        return jax.tree.map(lambda x: x[0], model.apply(variables, *mean[:, None], method="decode_pooled"))

    return jax.jit(jax.vmap(decode_row, in_axes=(None, 0)))
