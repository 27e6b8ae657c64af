"""Threshold, ratio, attack and release of a compressor by least squares, from what its gain shall do to excerpts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Compressor, level_gain_reduction_db
from nmjax.dsp.least_squares import minimize_squares
from nmjax.models import SAMPLE_RATE
from nmjax.models.processors import PROCESSORS

PARAMETERS = PROCESSORS["compressor"].settings
NUM_PARAMETERS = len(PARAMETERS)
RATIO_INDEX = [row.name for row in PARAMETERS].index("ratio")
_FREE_PARAMETERS = [i for i, row in enumerate(PARAMETERS) if row.name not in ("knee_db", "makeup_db")]
_MAX_START = 4.0  # at an end of its range a raw parameter would be infinite
MIN_RAW, _MAX_RAW = -6.0, 6.0  # of a result
_TOLERANCE = 1e-3  # relative decrease of the cost at which a fit ends
_DIFFERENCE_STEP = 0.01  # of a raw parameter
_POWER_FLOOR = 1e-10

ErrorsAndSlopes = tuple[Float[np.ndarray, " errors"], Float[np.ndarray, "free errors"]]


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
        errors, slopes = (np.asarray(x, np.float64) for x in errors_and_slopes(with_free(values)))
        return (
            np.concatenate([errors, scale * (values - start[free])]),
            np.concatenate([slopes.T, scale * np.eye(len(free))]),
        )

    lowest = np.broadcast_to(low, start.shape)[free]
    fitted = minimize_squares(evaluate, start[free], lowest, np.full(len(free), _MAX_RAW), _TOLERANCE)
    return with_free(fitted.params)


def with_slopes(
    errors: Callable[[Float[np.ndarray, "sets settings"]], Float[np.ndarray, "sets errors"]],
    raw: Float[np.ndarray, " settings"],
) -> ErrorsAndSlopes:
    """Errors at raw parameters and their derivatives by those that are fitted, as differences.

    Args:
        errors: of several sets of raw parameters at once: five recursions over the same levels take less time than five
            times one.
        raw: raw parameters.
    """
    steps = _DIFFERENCE_STEP * np.eye(NUM_PARAMETERS)[_FREE_PARAMETERS]
    values = errors(raw + np.concatenate([np.zeros((1, NUM_PARAMETERS)), steps]))
    return values[0], (values[1:] - values[:1]) / _DIFFERENCE_STEP


def raw_parameters(compressor: Compressor | None) -> Float[np.ndarray, " settings"]:
    """Raw parameters to start a fit from; the middle of each range for None."""
    if compressor is None:
        return np.zeros(NUM_PARAMETERS)
    raw = np.array([row.to_raw(float(getattr(compressor, row.name)[0])) for row in PARAMETERS])
    return np.clip(raw, -_MAX_START, _MAX_START)


def compressor_from_raw(
    raw: Float[np.ndarray, "sets settings"], makeup_db: float | Float[np.ndarray, " sets"] = 0.0
) -> Compressor:
    """Settings from sets of raw parameters, with a make-up gain within its range."""
    values = [row.from_raw(raw[:, i]).astype(np.float32) for i, row in enumerate(PARAMETERS)]
    makeup_db = np.clip(makeup_db, PARAMETERS[-1].low, PARAMETERS[-1].high)
    return dataclasses.replace(Compressor(*values), makeup_db=np.broadcast_to(makeup_db, len(raw)).astype(np.float32))


def gains_db(
    detector_db: Float[np.ndarray, "blocks points"], raw: Float[np.ndarray, "sets settings"]
) -> Float[np.ndarray, "sets blocks points"]:
    """The gain of compressors without make-up.

    Args:
        detector_db: the level that a compressor compares with its threshold, see `detector_level_db`.
        raw: sets of raw parameters.
    """
    sets, blocks = len(raw), len(detector_db)
    settings = compressor_from_raw(np.repeat(raw, blocks, axis=0))
    reduction_db = level_gain_reduction_db(np.tile(detector_db, (sets, 1)), settings, SAMPLE_RATE)
    return -reduction_db.reshape(sets, blocks, -1)


def level_db(power: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Power in dB, at least −100."""
    return np.asarray(10.0 * np.log10(np.maximum(power, _POWER_FLOOR)))


def hop_powers(audio: Float[np.ndarray, "blocks time channel"], hop: int) -> Float[np.ndarray, "blocks hops"]:
    """Mean square of each hop over all channels; the length is a multiple of the hop."""
    hops = audio.reshape(len(audio), -1, hop * audio.shape[2])
    return np.einsum("bhs,bhs->bh", hops, hops) / hops.shape[2]
