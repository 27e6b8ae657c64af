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
from nmjax.dsp.compressor import HOP, compressor_state
from nmjax.dsp.saturator import saturator_state
from nmjax.models.layers import StartHead

_HIDDEN = 64
STAGES = {"compressor": Compressor, "saturator": Saturator, "width": Width}  # in the order of the chain
PIECE = HOP  # pieces of a stream are multiples of it
LATENCY = {"compressor": 0, "saturator": SATURATOR_LATENCY, "width": 0}  # samples by which a stream comes out late
_LIMITS = {"compressor": COMPRESSOR_LIMITS, "saturator": SATURATOR_LIMITS, "width": WIDTH_LIMITS}


@dataclasses.dataclass(frozen=True)
class StageSetting:
    """One setting of one stage.

    low, high: what a network can choose; a person can choose within `limits`. axis: on what it moves: `linear`, `log`,
    or `slope`, 1 − 1/ratio. start: of an untrained network, and of a stage that somebody adds. neutral: the value at
    which the stage does nothing (all of a stage's neutral ones together); None for a setting without one.
    """

    stage: str
    name: str
    unit: str
    low: float
    high: float
    axis: Literal["linear", "log", "slope"]
    start: float
    neutral: float | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """What the stage itself accepts."""
        return _LIMITS[self.stage][self.name]

    def of_raw(self, raw: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """The value for an unbounded number; the start exactly for 0."""
        low, start, high = (self._to_axis(x) for x in (self.low, self.start, self.high))
        side = jnp.where(raw > 0.0, high - start, start - low)
        moved = start + side * jnp.tanh(raw * (0.5 * (high - low) / side))
        if self.axis == "log":
            return self.start * jnp.exp(moved - start)
        return 1.0 / (1.0 - moved) if self.axis == "slope" else moved

    def raw_of(self, value: float) -> float:
        """The number for a value inside the range, the ends excluded: the inverse of `of_raw`."""
        low, start, high = (self._to_axis(x) for x in (self.low, self.start, self.high))
        moved = self._to_axis(value) - start
        side = high - start if moved > 0.0 else start - low
        return float(np.arctanh(moved / side) * side / (0.5 * (high - low)))

    @property
    def raw_slope(self) -> float:
        """By how much the raw number changes for a change by 1 on the setting's axis, at its start."""
        return 2.0 / (self._to_axis(self.high) - self._to_axis(self.low))

    def _to_axis(self, value: float) -> float:
        if self.axis == "log":
            return float(np.log(value))
        return 1.0 - 1.0 / value if self.axis == "slope" else value


TABLE = (
    StageSetting("compressor", "threshold_db", "dB", -45.0, -6.0, "linear", -24.0),
    StageSetting("compressor", "ratio", "", 1.0 / 1.5, 10.0, "slope", 1.0, 1.0),
    StageSetting("compressor", "attack_ms", "ms", 1.0, 100.0, "log", 20.0),
    StageSetting("compressor", "release_ms", "ms", 20.0, 1000.0, "log", 150.0),
    StageSetting("compressor", "knee_db", "dB", 0.0, 18.0, "linear", 9.0),
    StageSetting("compressor", "makeup_db", "dB", -12.0, 12.0, "linear", 0.0, 0.0),
    StageSetting("saturator", "drive_db", "dB", 0.0, 18.0, "linear", 9.0),
    StageSetting("saturator", "mix", "", -0.5, 1.0, "linear", 0.0, 0.0),
    StageSetting("saturator", "asymmetry", "", 0.0, 1.0, "linear", 0.25),
    StageSetting("width", "low", "", 0.0, 1.5, "linear", 1.0, 1.0),
    StageSetting("width", "high", "", 0.0, 2.0, "linear", 1.0, 1.0),
)


def settings_of(stage: str) -> tuple[StageSetting, ...]:
    """A stage's rows of the table, in its own order."""
    return tuple(row for row in TABLE if row.stage == stage)


def start_of(stage: str, batch: int = 1) -> Any:
    """A stage as an untrained network sets it: it changes no bit."""
    return STAGES[stage](*(jnp.full((batch,), row.start, jnp.float32) for row in settings_of(stage)))


def is_neutral(stage: str, settings: Any) -> bool:
    """Whether a stage changes no bit of any signal of its batch."""
    neutral = (row for row in settings_of(stage) if row.neutral is not None)
    return all(bool(np.all(np.asarray(getattr(settings, row.name)) == row.neutral)) for row in neutral)


def processing(settings: Any) -> Float[Array, "batch settings"] | None:
    """How far a prediction's stages are from neutral: each neutral setting's distance as a share of its range, on its
    own axis; None without stages."""
    found = []
    for row in TABLE:
        stage = getattr(settings, row.stage)
        if stage is not None and row.neutral is not None:
            value = stage.slope if row.axis == "slope" else getattr(stage, row.name)
            span = row._to_axis(row.high) - row._to_axis(row.low)
            found.append((value - row._to_axis(row.neutral)) / span)
    return jnp.stack(found, axis=1) if found else None


def play(audio: Float[Array, "batch time channel"], settings: Any, sample_rate: float) -> Array:
    """The stages that a prediction has, from rest, on the equaliser's output; at the model's level."""
    if settings.compressor is not None:
        audio = compress(audio, settings.compressor, sample_rate)[0]
    if settings.saturator is not None:
        audio = saturate(audio, settings.saturator, sample_rate)
    return audio if settings.width is None else widen(audio, settings.width, sample_rate)[0]


def stage_state(stage: str, batch: int, channels: int, sample_rate: float, dtype=jnp.float32) -> Any:
    """What a stage remembers before a stream begins."""
    if stage == "compressor":
        return compressor_state(batch, channels, sample_rate, dtype)
    return saturator_state(batch, channels, dtype) if stage == "saturator" else jnp.zeros((batch, 1, 1, 2), dtype)


def play_piece(
    audio: Float[Array, "batch time channel"], stage: str, settings: Any, sample_rate: float, state: Any
) -> tuple[Float[Array, "batch time channel"], Any]:
    """The next piece of a stream through one stage, `LATENCY` samples late, and the state after it; pieces are
    multiples of `PIECE` long, the last one is free."""
    run = {"compressor": compress, "saturator": saturate_stream, "width": widen}[stage]
    return run(audio, settings, sample_rate, state)


class StageDecoder(nn.Module):
    """z → one stage's settings; untrained they are the table's starts.

    stage: of STAGES.
    """

    stage: str

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"]) -> Any:
        rows = settings_of(self.stage)
        raw = StartHead((0.0,) * len(rows), name="settings")(nn.relu(nn.Dense(_HIDDEN, name="hidden")(z)))
        return STAGES[self.stage](*(row.of_raw(raw[:, i]) for i, row in enumerate(rows)))


class StageDecoders(nn.Module):
    """A decoder for each stage; the width's hears both z, the others mid's."""

    @nn.compact
    def __call__(self, z: Float[Array, "batch latent"], z_side: Float[Array, "batch latent"]) -> dict[str, Any]:
        both = jnp.concatenate([z, z_side], axis=1)
        return {stage: StageDecoder(stage, name=stage)(both if stage == "width" else z) for stage in STAGES}
