"""Bad arguments as one sentence, where their values are known; inside a trace they are held in range instead."""

from __future__ import annotations

import jax
import numpy as np


def is_concrete(x) -> bool:
    """Whether a value can be looked at: it is no tracer."""
    return not isinstance(x, jax.core.Tracer)


def require(condition: bool, name: str, requirement: str, value: object) -> None:
    """Raise a ValueError that names an argument, its range and what it was."""
    if not condition:
        raise ValueError(f"{name} must be {requirement}; it is {value}")


def check_sample_rate(sample_rate: float) -> None:
    """A sample rate is a positive, finite number of Hz that is known when a program is compiled."""
    require(is_concrete(sample_rate), "sample_rate", "a number when compiling (jax.jit's static_argnums)", "traced")
    require(bool(np.isfinite(sample_rate)) and sample_rate > 0, "sample_rate", "above 0 Hz", sample_rate)


def check_audio(audio) -> None:
    """A signal is `[batch, time, channel]` of real floating-point numbers, each axis at least 1 long."""
    shape = np.shape(audio)
    require(len(shape) == 3, "audio", "[batch, time, channel]", f"of shape {list(shape)}")
    require(min(shape) > 0, "audio", "at least one sample of one channel of one signal", f"of shape {list(shape)}")
    dtype = np.dtype(audio.dtype)
    require(dtype in (np.float32, np.float64), "audio", "float32 or float64", str(dtype))


def check_state(state, expected_shape: tuple[int, ...]) -> None:
    """A state handed on has the shape that this signal's has."""
    matches = np.shape(state) == expected_shape
    require(
        matches, "state", f"of shape {list(expected_shape)}, from the piece before", f"of shape {list(np.shape(state))}"
    )


def check_range(name: str, values, low: float, high: float, requirement: str) -> None:
    """Every value lies between `low` and `high`, both included."""
    if is_concrete(values):
        array = np.asarray(values)
        invalid = ~((array >= low) & (array <= high))  # NaN is bad as well
        require(not invalid.any(), name, requirement, array[invalid].flat[0] if invalid.any() else None)


def check_settings(settings, limits: dict[str, tuple[float, float]], batch_size: int) -> None:
    """Each field of a struct that `limits` names is `[batch]` and, where it is known, within its limits."""
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        require(
            np.shape(value) == (batch_size,),
            name,
            f"one value a signal, [{batch_size}]",
            f"of shape {list(np.shape(value))}",
        )
        check_range(name, value, low, high, f"from {low:g} to {high:g}")
