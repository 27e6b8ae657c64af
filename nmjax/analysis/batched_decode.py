"""Means over frames become settings: decoder by `vmap`, and whatever stages the settings hold, by name."""

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

_BATCH_ROWS = 64  # decoded at a time, so that one program decodes any number
EQ_FIELDS = ("freq_hz", "gain_db", "gate", "q")


def decode_settings(means: Float[np.ndarray, "rows ears size"], network: Network) -> dict[str, np.ndarray]:
    """Settings from means over frames: `freq_hz`, `gain_db`, `gate`, `q`, each `[rows, bands]`; `STAGE_FIELD`, each
    `[rows]`, of the stages after the equaliser that the network has; `z`, `[rows, 512]`. float32."""
    chunks = []
    for start in range(0, len(means), _BATCH_ROWS):
        chunk = means[start : start + _BATCH_ROWS].astype(np.float32)
        padded = np.pad(chunk, ((0, _BATCH_ROWS - len(chunk)), (0, 0), (0, 0)), mode="edge")
        prediction = jax.device_get(_compiled_decoder(network.config)(network.variables, padded))
        chunks.append({name: values[: len(chunk)] for name, values in flatten_prediction(prediction).items()})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def flatten_prediction(prediction: Prediction) -> dict[str, Any]:
    """A prediction's arrays (or their shapes) by the names of `settled`."""
    eq = prediction.settings.eq
    return {
        **{name: getattr(eq, name) for name in EQ_FIELDS},
        **flatten_processors(prediction.settings),
        "z": prediction.z,
    }


def flatten_processors(settings: Settings) -> dict[str, Any]:
    """The fields of every stage but the equaliser that is there, as `compressor_ratio`, each `[batch]`."""
    fields = {}
    for processor in dataclasses.fields(settings):
        values = getattr(settings, processor.name)
        if processor.name != "eq" and dataclasses.is_dataclass(values):
            fields |= {f"{processor.name}_{f.name}": getattr(values, f.name) for f in dataclasses.fields(values)}
    return fields


def prediction_shapes(network: Network) -> Prediction:
    """A prediction's shapes for one track, without computing anything; `gate_logit` is None without gates."""
    model, encoder = build_model(network.config), ENCODERS[network.config.model.encoder]
    audio = jax.ShapeDtypeStruct((1, encoder.STRIDE, 1), np.float32)
    lengths = jax.ShapeDtypeStruct((1,), np.int32)
    frames = jax.eval_shape(functools.partial(model.apply, method="encode_frames"), network.variables, audio, lengths)
    means = [jax.ShapeDtypeStruct((1, frames.shape[-1]), np.float32)] * network.encoder_inputs
    return jax.eval_shape(functools.partial(model.apply, method="decode_pooled"), network.variables, *means)


@functools.cache
def _compiled_decoder(config: Config):
    model = build_model(config)

    def decode_row(variables, mean):  # [ears, size]
        return jax.tree.map(lambda x: x[0], model.apply(variables, *mean[:, None], method="decode_pooled"))

    return jax.jit(jax.vmap(decode_row, in_axes=(None, 0)))
