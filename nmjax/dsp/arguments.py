"""Bad arguments as one sentence, where their values are known; inside a trace they are held in range instead."""

from __future__ import annotations

import jax
import numpy as np


def known(x) -> bool:
    """Whether a value can be looked at: it is no tracer."""
    return not isinstance(x, jax.core.Tracer)


def require(holds: bool, name: str, wanted: str, given: object) -> None:
    """Raise a ValueError that names an argument, its range and what it was."""
    if not holds:
        raise ValueError(f"{name} must be {wanted}; it is {given}")


def check_rate(sample_rate: float) -> None:
    """A sample rate is a positive, finite number of Hz that is known when a program is compiled."""
    require(known(sample_rate), "sample_rate", "a number when compiling (jax.jit's static_argnums)", "traced")
    require(bool(np.isfinite(sample_rate)) and sample_rate > 0, "sample_rate", "above 0 Hz", sample_rate)


def check_audio(audio) -> None:
    """A signal is `[batch, time, channel]` of real floating-point numbers, each axis at least 1 long."""
    shape = np.shape(audio)
    require(len(shape) == 3, "audio", "[batch, time, channel]", f"of shape {list(shape)}")
    require(min(shape) > 0, "audio", "at least one sample of one channel of one signal", f"of shape {list(shape)}")
    kind = np.dtype(audio.dtype)
    require(kind in (np.float32, np.float64), "audio", "float32 or float64", str(kind))


def check_state(state, shape: tuple[int, ...]) -> None:
    """A state handed on has the shape that this signal's has."""
    fits = np.shape(state) == shape
    require(fits, "state", f"of shape {list(shape)}, from the piece before", f"of shape {list(np.shape(state))}")


def check_within(name: str, x, low: float, high: float, wanted: str) -> None:
    """Every value lies between `low` and `high`, both included."""
    if known(x):
        values = np.asarray(x)
        bad = ~((values >= low) & (values <= high))  # NaN is bad as well
        require(not bad.any(), name, wanted, values[bad].flat[0] if bad.any() else None)


def check_settings(settings, limits: dict[str, tuple[float, float]], batch: int) -> None:
    """Each field of a struct that `limits` names is `[batch]` and, where it is known, within its limits."""
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        require(
            np.shape(value) == (batch,), name, f"one value a signal, [{batch}]", f"of shape {list(np.shape(value))}"
        )
        check_within(name, value, low, high, f"from {low:g} to {high:g}")
