"""Runs of true values."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int


def find_runs(mask: Bool[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " runs"], Int[np.ndarray, " runs"]]:
    """The first index of each run of true values, and the index after its last one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return edges[::2], edges[1::2]
