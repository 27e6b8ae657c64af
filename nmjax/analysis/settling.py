"""Means over frames become settings: decoder by `vmap`, and whatever stages the settings hold, by name."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from nmjax.config import Config
from nmjax.inference.network import Network
from nmjax.models import ENCODERS, Prediction, Settings, build_model

_ROWS = 64  # decoded at a time, so that one program decodes any number
EQ = ("freq_hz", "gain_db", "gate", "q")


def settled(means: Float[np.ndarray, "rows ears size"], network: Network) -> dict[str, np.ndarray]:
    """Settings from means over frames: `freq_hz`, `gain_db`, `gate`, `q`, each `[rows, bands]`; `STAGE_FIELD`, each
    `[rows]`, of the stages after the equaliser that the network has; `z`, `[rows, 512]`. float32."""
    found = []
    for start in range(0, len(means), _ROWS):
        part = means[start : start + _ROWS].astype(np.float32)
        padded = np.pad(part, ((0, _ROWS - len(part)), (0, 0), (0, 0)), mode="edge")
        answer = jax.device_get(_settled(network.config)(network.variables, padded))
        found.append({name: values[: len(part)] for name, values in flat(answer).items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def flat(prediction: Prediction) -> dict[str, Any]:
    """A prediction's arrays (or their shapes) by the names of `settled`."""
    eq = prediction.settings.eq
    return {**{name: getattr(eq, name) for name in EQ}, **stages(prediction.settings), "z": prediction.z}


def stages(settings: Settings) -> dict[str, Any]:
    """The fields of every stage but the equaliser that is there, as `compressor_ratio`, each `[batch]`."""
    found = {}
    for stage in dataclasses.fields(settings):
        values = getattr(settings, stage.name)
        if stage.name != "eq" and dataclasses.is_dataclass(values):
            found |= {f"{stage.name}_{f.name}": getattr(values, f.name) for f in dataclasses.fields(values)}
    return found


def shape_of(network: Network) -> Prediction:
    """A prediction's shapes for one track, without computing anything; `gate_logit` is None without gates."""
    model, encoder = build_model(network.config), ENCODERS[network.config.model.encoder]
    audio = jax.ShapeDtypeStruct((1, encoder.STRIDE, 1), np.float32)
    lengths = jax.ShapeDtypeStruct((1,), np.int32)
    frames = jax.eval_shape(functools.partial(model.apply, method="hear"), network.variables, audio, lengths)
    means = [jax.ShapeDtypeStruct((1, frames.shape[-1]), np.float32)] * network.ears
    return jax.eval_shape(functools.partial(model.apply, method="settle"), network.variables, *means)


@functools.cache
def _settled(config: Config):
    model = build_model(config)

    def one(variables, mean):  # [ears, size]
        return jax.tree.map(lambda x: x[0], model.apply(variables, *mean[:, None], method="settle"))

    return jax.jit(jax.vmap(one, in_axes=(None, 0)))
