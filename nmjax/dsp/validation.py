"""Argument checks. They raise a ValueError for concrete values; inside a trace, where values are unknown, they pass."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from nmjax.runtime import lazy_jax
from nmjax.runtime.lazy_jax import jax


def is_concrete(x: object) -> bool:
    """Whether the value of `x` is known: it is not a tracer."""
    return not (lazy_jax.is_imported() and isinstance(x, jax.core.Tracer))


def require(condition: bool, name: str, requirement: str, value: object) -> None:
    """Raise a ValueError with an argument's name, its valid range and its value unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} must be {requirement}; it is {value}")


def check_sample_rate(sample_rate: float) -> None:
    """Require a sample rate that is positive, finite and static (known when the program is compiled)."""
    require(is_concrete(sample_rate), "sample_rate", "a number when compiling (jax.jit's static_argnums)", "traced")
    require(bool(np.isfinite(sample_rate)) and sample_rate > 0, "sample_rate", "above 0 Hz", sample_rate)


def check_audio(audio: Any) -> None:
    """Require a non-empty `[batch, time, channel]` array of float32 or float64."""
    shape = np.shape(audio)
    require(len(shape) == 3, "audio", "[batch, time, channel]", f"of shape {list(shape)}")
    require(min(shape) > 0, "audio", "at least one sample of one channel of one signal", f"of shape {list(shape)}")
    dtype = np.dtype(audio.dtype)
    require(dtype in (np.float32, np.float64), "audio", "float32 or float64", str(dtype))


def check_state(state: Any, expected_shape: tuple[int, ...]) -> None:
    """Require a streaming state of the shape that this signal needs."""
    shape = np.shape(state)
    requirement = f"of shape {list(expected_shape)}, as returned for the previous chunk"
    require(shape == expected_shape, "state", requirement, f"of shape {list(shape)}")


def check_state_tree(state: Any, initial_state: Any) -> None:
    """Require a streaming state, a dataclass of arrays, whose arrays have the shapes of those of `initial_state`."""
    for field in dataclasses.fields(initial_state):
        check_state(getattr(state, field.name), np.shape(getattr(initial_state, field.name)))


def check_range(name: str, values: Any, low: float, high: float, requirement: str) -> None:
    """Require that every value is from `low` to `high`, both included. NaN is out of range."""
    if is_concrete(values):
        array = np.asarray(values)
        invalid = ~((array >= low) & (array <= high))
        require(not invalid.any(), name, requirement, array[invalid].flat[0] if invalid.any() else None)


def check_settings(settings: Any, limits: dict[str, tuple[float, float]], batch_size: int) -> None:
    """Require that each field of `settings` named in `limits` is `[batch]` and within its limits."""
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        shape = np.shape(value)
        require(shape == (batch_size,), name, f"one value a signal, [{batch_size}]", f"of shape {list(shape)}")
        check_range(name, value, low, high, f"from {low:g} to {high:g}")
