"""Where a measure ranks among the training songs; `scripts/diagnosis_percentiles.py` makes the table."""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np


def percentile_of(measure: str, value: float) -> float | None:
    """Share in percent of training songs whose value is lower; None for a measure that the table does not have."""
    quantiles = _table().get(measure)
    if quantiles is None or not np.isfinite(value):
        return None
    below = np.searchsorted(quantiles, value, side="left") / len(quantiles)
    above = np.searchsorted(quantiles, value, side="right") / len(quantiles)
    return float(100.0 * 0.5 * (below + above))


def quantile(measure: str, percent: float) -> float:
    """The value of a measure below which `percent` of the training songs are."""
    return float(np.percentile(_table()[measure], percent))


@functools.cache
def _table() -> dict[str, np.ndarray]:
    """Sorted values by measure."""
    text = resources.files("nmjax.mastering.diagnosis").joinpath("percentiles.json").read_text(encoding="utf-8")
    return {name: np.asarray(values) for name, values in json.loads(text)["measures"].items()}
