"""Ridge regression, and folds that keep albums together, for all that is taught in closed form."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

_NUM_FOLDS = 8


def group_folds(groups: Int[np.ndarray, " items"]) -> Int[np.ndarray, " items"]:
    """Each item's fold, from 0 to 7, the same for all of a group; groups count from 0."""
    return np.random.default_rng(0).permutation(groups.max() + 1)[groups] % _NUM_FOLDS


def fit_ridge(inputs: np.ndarray, targets: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """`(mean, slope)` so that mean + inputs @ slope is near to what is wanted; inputs `[items, inputs]` are
    standardised, wanted is `[items]` or `[items, wanted]`."""
    mean = np.asarray(targets.mean(axis=0))
    products = inputs.T @ inputs / len(inputs) + penalty * np.eye(inputs.shape[1])
    return mean, np.linalg.solve(products, inputs.T @ (targets - mean) / len(inputs))
