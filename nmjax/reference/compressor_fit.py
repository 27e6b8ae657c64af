"""Threshold, ratio, attack and release of a compressor by least squares, from what its gain shall do to excerpts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Compressor
from nmjax.dsp.least_squares import minimize_squares
from nmjax.dsp.numerics import safe_log
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.lazy_jax import Array, jax, jnp

PARAMETERS = PROCESSORS["compressor"].settings
NUM_PARAMETERS = len(PARAMETERS)
RATIO_INDEX = [row.name for row in PARAMETERS].index("ratio")
_FREE_PARAMETERS = [i for i, row in enumerate(PARAMETERS) if row.name not in ("knee_db", "makeup_db")]
_MAX_START = 4.0  # at an end of its range a raw parameter would be infinite
MIN_RAW, _MAX_RAW = -6.0, 6.0  # of a result
_TOLERANCE = 1e-3  # relative decrease of the cost at which a fit ends
_DIFFERENCE_STEP = 0.01  # of a raw parameter
_POWER_FLOOR = 1e-10

ErrorsAndSlopes = tuple[Float[Array, " errors"], Float[Array, "free errors"]]


def fit_raw_parameters(
    errors_and_slopes: Callable[[Float[np.ndarray, " settings"]], ErrorsAndSlopes],
    start: Float[np.ndarray, " settings"],
    proximity_weight: float,
    low: Float[np.ndarray, " settings"] | float = MIN_RAW,
) -> Float[np.ndarray, " settings"]:
    """Raw parameters with the smallest sum of squared errors near the start; knee and make-up gain stay.

    Args:
        errors_and_slopes: errors at raw parameters, with their derivatives as of `with_slopes`.
        start: raw parameters.
        proximity_weight: cost of changing a raw parameter by 1.
        low: lower limits.
    """
    start, free, scale = np.asarray(start, np.float64), _FREE_PARAMETERS, np.sqrt(proximity_weight)

    def with_free(values: np.ndarray) -> np.ndarray:
        raw = start.copy()
        raw[free] = values
        return raw

    def evaluate(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        errors, slopes = (np.asarray(x, np.float64) for x in errors_and_slopes(with_free(values).astype(np.float32)))
        return (
            np.concatenate([errors, scale * (values - start[free])]),
            np.concatenate([slopes.T, scale * np.eye(len(free))]),
        )

    lowest = np.broadcast_to(low, start.shape)[free]
    return with_free(minimize_squares(evaluate, start[free], lowest, np.full(len(free), _MAX_RAW), _TOLERANCE))


def with_slopes(errors: Callable[[Array], Array], raw: Float[Array, " settings"]) -> ErrorsAndSlopes:
    """Errors `[errors]` at raw parameters and their derivatives by those that are fitted; within a compiled function.

    The derivatives are differences: five recursions over the same levels take little longer than one, and an eighth of
    the time of forward differentiation.
    """
    steps = _DIFFERENCE_STEP * jnp.eye(NUM_PARAMETERS, dtype=raw.dtype)[jnp.array(_FREE_PARAMETERS)]
    values = jax.vmap(errors)(raw[None] + jnp.concatenate([jnp.zeros_like(steps[:1]), steps]))
    return values[0], (values[1:] - values[:1]) / _DIFFERENCE_STEP


def raw_parameters(compressor: Compressor | None) -> Float[np.ndarray, " settings"]:
    """Raw parameters to start a fit from; the middle of each range for None."""
    if compressor is None:
        return np.zeros(NUM_PARAMETERS)
    raw = np.array([row.to_raw(float(getattr(compressor, row.name)[0])) for row in PARAMETERS])
    return np.clip(raw, -_MAX_START, _MAX_START)


def compressor_from_raw(
    raw: Float[Array, " settings"], makeup_db: float | Float[Array, ""] = 0.0, batch_size: int = 1
) -> Compressor:
    """Settings from raw parameters, with a make-up gain within its range; within a compiled function."""
    values = [jnp.broadcast_to(row.from_raw(raw[i : i + 1]), (batch_size,)) for i, row in enumerate(PARAMETERS)]
    makeup_db = jnp.clip(makeup_db, PARAMETERS[-1].low, PARAMETERS[-1].high)
    return dataclasses.replace(Compressor(*values), makeup_db=jnp.broadcast_to(makeup_db, (batch_size,)))


def level_db(power: Array) -> Array:
    """Power in dB, at least −100."""
    return safe_log(power, _POWER_FLOOR) * (10.0 / np.log(10.0))
