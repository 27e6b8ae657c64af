"""The stages behind the equaliser: one table of their settings, from numbers without bounds to physical values, and the
chain that plays them.

Every setting starts where its raw number is 0, and moves to either end of its range by a tanh of its own, so that a
start (and with it a neutral value) is reached exactly and the slope is the same on both sides of it.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from nmjax.dsp import (
    COMPRESSOR_LIMITS,
    SATURATOR_LATENCY,
    SATURATOR_LIMITS,
    WIDTH_LIMITS,
    Compressor,
    Saturator,
    Width,
    compress,
    saturate,
    saturate_stream,
    widen,
)
from nmjax.dsp.compressor import STREAM_BLOCK, initial_compressor_state
from nmjax.dsp.saturator import initial_saturator_state
from nmjax.models.layers import BiasInitDense

_HIDDEN_SIZE = 64
PROCESSORS = {"compressor": Compressor, "saturator": Saturator, "width": Width}  # in the order of the chain
BLOCK_SIZE = STREAM_BLOCK  # pieces of a stream are multiples of it
LATENCY_SAMPLES = {
    "compressor": 0,
    "saturator": SATURATOR_LATENCY,
    "width": 0,
}  # samples by which a stream comes out late
_LIMITS = {"compressor": COMPRESSOR_LIMITS, "saturator": SATURATOR_LIMITS, "width": WIDTH_LIMITS}


@dataclasses.dataclass(frozen=True)
class ProcessorSetting:
    """One setting of one stage.

    low, high: what a network can choose; a person can choose within `limits`. axis: on what it moves: `linear`, `log`,
    or `slope`, 1 − 1/ratio. start: of an untrained network, and of a stage that somebody adds. neutral: the value at
    which the stage does nothing (all of a stage's neutral ones together); None for a setting without one.
    """

    processor: str
    name: str
    unit: str
    low: float
    high: float
    scale: Literal["linear", "log", "slope"]
    initial: float
    neutral: float | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """What the stage itself accepts."""
        return _LIMITS[self.processor][self.name]

    def from_raw(self, raw: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """The value for an unbounded number; the start exactly for 0."""
        low, initial, high = (self.to_scale(x) for x in (self.low, self.initial, self.high))
        half_range = jnp.where(raw > 0.0, high - initial, initial - low)
        value = initial + half_range * jnp.tanh(raw * (0.5 * (high - low) / half_range))
        if self.scale == "log":
            return self.initial * jnp.exp(value - initial)
        return 1.0 / (1.0 - value) if self.scale == "slope" else value

    def to_raw(self, value: float) -> float:
        """The number for a value inside the range, the ends excluded: the inverse of `of_raw`."""
        low, initial, high = (self.to_scale(x) for x in (self.low, self.initial, self.high))
        offset = self.to_scale(value) - initial
        half_range = high - initial if offset > 0.0 else initial - low
        return float(np.arctanh(offset / half_range) * half_range / (0.5 * (high - low)))

    @property
    def raw_per_unit(self) -> float:
        """By how much the raw number changes for a change by 1 on the setting's axis, at its start."""
        return 2.0 / (self.to_scale(self.high) - self.to_scale(self.low))

    def to_scale(self, value: float) -> float:
        if self.scale == "log":
            return float(np.log(value))
        return 1.0 - 1.0 / value if self.scale == "slope" else value


SETTING_TABLE = (
    ProcessorSetting("compressor", "threshold_db", "dB", -45.0, -6.0, "linear", -24.0),
    ProcessorSetting("compressor", "ratio", "", 1.0 / 1.5, 10.0, "slope", 1.0, 1.0),
    ProcessorSetting("compressor", "attack_ms", "ms", 1.0, 100.0, "log", 20.0),
    ProcessorSetting("compressor", "release_ms", "ms", 20.0, 1000.0, "log", 150.0),
    ProcessorSetting("compressor", "knee_db", "dB", 0.0, 18.0, "linear", 9.0),
    ProcessorSetting("compressor", "makeup_db", "dB", -12.0, 12.0, "linear", 0.0, 0.0),
    ProcessorSetting("saturator", "drive_db", "dB", 0.0, 18.0, "linear", 9.0),
    ProcessorSetting("saturator", "mix", "", -0.5, 1.0, "linear", 0.0, 0.0),
    ProcessorSetting("saturator", "asymmetry", "", 0.0, 1.0, "linear", 0.25),
    ProcessorSetting("width", "low", "", 0.0, 1.5, "linear", 1.0, 1.0),
    ProcessorSetting("width", "high", "", 0.0, 2.0, "linear", 1.0, 1.0),
)


def processor_settings(processor: str) -> tuple[ProcessorSetting, ...]:
    """A stage's rows of the table, in its own order."""
    return tuple(row for row in SETTING_TABLE if row.processor == processor)


def initial_settings(processor: str, batch: int = 1) -> Any:
    """A stage as an untrained network sets it: it changes no bit."""
    return PROCESSORS[processor](
        *(jnp.full((batch,), row.initial, jnp.float32) for row in processor_settings(processor))
    )


def is_neutral(processor: str, settings: Any) -> bool:
    """Whether a stage changes no bit of any signal of its batch."""
    neutral_rows = (row for row in processor_settings(processor) if row.neutral is not None)
    return all(bool(np.all(np.asarray(getattr(settings, row.name)) == row.neutral)) for row in neutral_rows)


def distance_from_neutral(settings: Any) -> Float[Array, "batch settings"] | None:
    """How far a prediction's stages are from neutral: each neutral setting's distance as a share of its range, on its
    own axis; None without stages."""
    distances = []
    for row in SETTING_TABLE:
        processor = getattr(settings, row.processor)
        if processor is not None and row.neutral is not None:
            value = processor.slope if row.scale == "slope" else getattr(processor, row.name)
            span = row.to_scale(row.high) - row.to_scale(row.low)
            distances.append((value - row.to_scale(row.neutral)) / span)
    return jnp.stack(distances, axis=1) if distances else None


def apply_chain(audio: Float[Array, "batch time channel"], settings: Any, sample_rate: float) -> Array:
    """The stages that a prediction has, from rest, on the equaliser's output; at the model's level."""
    if settings.compressor is not None:
        audio = compress(audio, settings.compressor, sample_rate)[0]
    if settings.saturator is not None:
        audio = saturate(audio, settings.saturator, sample_rate)
    return audio if settings.width is None else widen(audio, settings.width, sample_rate)[0]


def processor_state(processor: str, batch: int, channels: int, sample_rate: float, dtype=jnp.float32) -> Any:
    """What a stage remembers before a stream begins."""
    if processor == "compressor":
        return initial_compressor_state(batch, channels, sample_rate, dtype)
    return (
        initial_saturator_state(batch, channels, dtype)
        if processor == "saturator"
        else jnp.zeros((batch, 1, 1, 2), dtype)
    )


def process_block(
    audio: Float[Array, "batch time channel"], processor: str, settings: Any, sample_rate: float, state: Any
) -> tuple[Float[Array, "batch time channel"], Any]:
    """The next piece of a stream through one stage, `LATENCY` samples late, and the state after it; pieces are
    multiples of `PIECE` long, the last one is free."""
    process = {"compressor": compress, "saturator": saturate_stream, "width": widen}[processor]
    return process(audio, settings, sample_rate, state)


class ProcessorDecoder(nn.Module):
    """z → one stage's settings; untrained they are the table's starts.

    stage: of STAGES.
    """

    processor: str

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"]) -> Any:
        rows = processor_settings(self.processor)
        raw = BiasInitDense((0.0,) * len(rows), name="settings")(nn.relu(nn.Dense(_HIDDEN_SIZE, name="hidden")(z)))
        return PROCESSORS[self.processor](*(row.from_raw(raw[:, i]) for i, row in enumerate(rows)))


class ProcessorDecoders(nn.Module):
    """A decoder for each stage; the width's hears both z, the others mid's."""

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], z_side: Float[Array, "batch latent"]) -> dict[str, Any]:
        z_mid_side = jnp.concatenate([z, z_side], axis=1)
        return {
            stage: ProcessorDecoder(stage, name=stage)(z_mid_side if stage == "width" else z) for stage in PROCESSORS
        }
