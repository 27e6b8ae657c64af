"""The processors after the equalizer: one table of their settings and functions, and the chain.

A decoder predicts an unbounded raw value per setting. Raw value 0 gives the setting's initial value exactly; a tanh on
each side approaches the ends of the range, with the same slope on both sides of 0. So a neutral setting can be reached
exactly, which a sigmoid over the whole range does not guarantee in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

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
from nmjax.dsp.namespace import namespace
from nmjax.dsp.saturator import initial_saturator_state
from nmjax.runtime.lazy_jax import Array, jnp

BLOCK_SIZE = STREAM_BLOCK  # blocks of a stream are multiples of this many samples


@dataclasses.dataclass(frozen=True)
class ProcessorSetting:
    """One setting of a processor.

    Attributes:
        name: Field of the processor's settings type.
        unit: Unit for display; empty for a ratio or a fraction.
        low, high: Range of a network's predictions. A user can choose within `Processor.limits`.
        initial: Value of an untrained network, and of a processor that a user adds.
        neutral: Value at which the processor does nothing, if all its neutral settings have theirs; None for a setting
            that does not decide this.
        scale: Scale on which the raw value moves the setting: `linear`, `log`, or `slope` (1 − 1/ratio).
    """

    name: str
    unit: str
    low: float
    high: float
    initial: float
    neutral: float | None = None
    scale: Literal["linear", "log", "slope"] = "linear"

    def from_raw(self, raw: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """The setting for an unbounded raw value; exactly `initial` for 0."""
        low, initial, high = (self.to_scale(x) for x in (self.low, self.initial, self.high))
        xp = namespace(raw)
        half_range = xp.where(raw > 0.0, high - initial, initial - low).astype(raw.dtype)
        value = initial + half_range * xp.tanh(raw * (0.5 * (high - low) / half_range))
        if self.scale == "log":
            return self.initial * xp.exp(value - initial)
        return 1.0 / (1.0 - value) if self.scale == "slope" else value

    def to_raw(self, value: float) -> float:
        """The inverse of `from_raw`, for a value strictly between `low` and `high`."""
        low, initial, high = (self.to_scale(x) for x in (self.low, self.initial, self.high))
        offset = self.to_scale(value) - initial
        half_range = high - initial if offset > 0.0 else initial - low
        return float(np.arctanh(offset / half_range) * half_range / (0.5 * (high - low)))

    @property
    def raw_per_unit(self) -> float:
        """Derivative of the raw value with respect to the setting on its scale, at `initial`."""
        return 2.0 / (self.to_scale(self.high) - self.to_scale(self.low))

    def to_scale(self, value: float) -> float:
        """A value of the setting → its position on the setting's scale."""
        if self.scale == "log":
            return float(np.log(value))
        return 1.0 - 1.0 / value if self.scale == "slope" else value


@dataclasses.dataclass(frozen=True)
class Processor:
    """One processor of the chain: its settings and its functions.

    Attributes:
        settings_type: Dataclass of the settings, each array `[batch]`.
        settings: One row per field of `settings_type`, in the same order.
        limits: Lowest and highest accepted value of each setting, by name.
        apply: `(audio, settings, sample_rate) → audio` for a whole signal.
        process_block: `(audio, settings, sample_rate, state) → (audio, state)` for the next block of a stream. The
            output is `latency_samples` late. Blocks are multiples of `BLOCK_SIZE` long, except the last one.
        initial_state: `(batch, channels, sample_rate, dtype) → state` before a stream begins.
        latency_samples: Delay of the streamed output.
        uses_side: Whether its decoder reads z of mid and of the side; otherwise it reads z of mid only.
        runs_in_numpy: Whether `process_block` takes NumPy arrays and then needs no JAX.
    """

    settings_type: type
    settings: tuple[ProcessorSetting, ...]
    limits: Mapping[str, tuple[float, float]]
    apply: Callable[[Array, Any, float], Array]
    process_block: Callable[[Array, Any, float, Any], tuple[Array, Any]]
    initial_state: Callable[[int, int, float, Any], Any]
    latency_samples: int = 0
    uses_side: bool = False
    runs_in_numpy: bool = False

    def from_raw(self, raw: Float[Array, "batch settings"]) -> Any:
        """Settings from raw values, one column per row of `settings`."""
        return self.settings_type(*(setting.from_raw(raw[:, i]) for i, setting in enumerate(self.settings)))

    def initial_settings(self, batch: int = 1) -> Any:
        """The settings of an untrained network: neutral, so that the output is bit-identical to the input."""
        return self.settings_type(*(np.full((batch,), s.initial, np.float32) for s in self.settings))

    def is_neutral(self, settings: Any) -> bool:
        """Whether the processor leaves every signal of the batch bit-identical."""
        return all(
            bool(np.all(np.asarray(getattr(settings, setting.name)) == setting.neutral))
            for setting in self.settings
            if setting.neutral is not None
        )


# In the order of the chain. A network of phase 2 has a decoder per row, with an output per setting: a new row or a new
# setting makes all of them unloadable, the shipped one (nmjax/weights/2) included, until they are trained again.
PROCESSORS = {
    "compressor": Processor(
        settings_type=Compressor,
        settings=(
            ProcessorSetting("threshold_db", "dB", low=-45.0, high=-6.0, initial=-24.0),
            ProcessorSetting("ratio", "", low=1.0 / 1.5, high=10.0, initial=1.0, neutral=1.0, scale="slope"),
            ProcessorSetting("attack_ms", "ms", low=1.0, high=100.0, initial=20.0, scale="log"),
            ProcessorSetting("release_ms", "ms", low=20.0, high=1000.0, initial=150.0, scale="log"),
            ProcessorSetting("knee_db", "dB", low=0.0, high=18.0, initial=9.0),
            ProcessorSetting("makeup_db", "dB", low=-12.0, high=12.0, initial=0.0, neutral=0.0),
        ),
        limits=COMPRESSOR_LIMITS,
        apply=lambda audio, settings, sample_rate: compress(audio, settings, sample_rate)[0],
        process_block=compress,
        initial_state=initial_compressor_state,
        runs_in_numpy=True,
    ),
    "saturator": Processor(
        settings_type=Saturator,
        settings=(
            ProcessorSetting("drive_db", "dB", low=0.0, high=18.0, initial=9.0),
            ProcessorSetting("mix", "", low=-0.5, high=1.0, initial=0.0, neutral=0.0),
            ProcessorSetting("asymmetry", "", low=0.0, high=1.0, initial=0.25),
        ),
        limits=SATURATOR_LIMITS,
        apply=saturate,
        process_block=saturate_stream,
        initial_state=lambda batch, channels, _rate, dtype: initial_saturator_state(batch, channels, dtype),
        latency_samples=SATURATOR_LATENCY,
    ),
    "width": Processor(
        settings_type=Width,
        settings=(
            ProcessorSetting("low", "", low=0.0, high=1.5, initial=1.0, neutral=1.0),
            ProcessorSetting("high", "", low=0.0, high=2.0, initial=1.0, neutral=1.0),
        ),
        limits=WIDTH_LIMITS,
        apply=lambda audio, settings, sample_rate: widen(audio, settings, sample_rate)[0],
        process_block=widen,
        initial_state=lambda batch, _channels, _rate, dtype: np.zeros((batch, 1, 1, 2), dtype),
        uses_side=True,
        runs_in_numpy=True,
    ),
}


def apply_chain(
    audio: Float[Array, "batch time channel"], settings: Any, sample_rate: float
) -> Float[Array, "batch time channel"]:
    """The equalizer's output, at the model's level, through each processor that `settings` has."""
    for name, processor in PROCESSORS.items():
        if (values := getattr(settings, name)) is not None:
            audio = processor.apply(audio, values, sample_rate)
    return audio


def distance_from_neutral(settings: Any) -> Float[Array, "batch settings"] | None:
    """Signed distance of each neutral setting from its neutral value, as a fraction of its range on its scale.

    None for settings without processors.
    """
    distances = []
    for name, processor in PROCESSORS.items():
        values = getattr(settings, name)
        if values is None:
            continue
        for setting in processor.settings:
            if setting.neutral is not None:
                value = values.slope if setting.scale == "slope" else getattr(values, setting.name)
                span = setting.to_scale(setting.high) - setting.to_scale(setting.low)
                distances.append((value - setting.to_scale(setting.neutral)) / span)
    return jnp.stack(distances, axis=1) if distances else None
