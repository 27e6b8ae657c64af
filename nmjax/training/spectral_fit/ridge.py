"""Ridge regression, and cross-validation folds that keep groups together."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_NUM_FOLDS = 8


def group_folds(groups: Int[np.ndarray, " samples"]) -> Int[np.ndarray, " samples"]:
    """The fold of each sample, 0 to 7; all samples of a group are in one fold.

    Args:
        groups: Group of each sample, numbered from 0.
    """
    return np.random.default_rng(0).permutation(groups.max() + 1)[groups] % _NUM_FOLDS


def fit_ridge(
    inputs: Float[np.ndarray, "samples inputs"], targets: Float[np.ndarray, "samples ..."], penalty: float
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "inputs ..."]]:
    """Ridge regression: the intercept and the slope that minimize the mean of

        ‖intercept + inputs @ slope − targets‖² over the samples, plus penalty · ‖slope‖².

    Args:
        inputs: Standardized inputs (mean 0, standard deviation 1).
        targets: One or several outputs per sample.
        penalty: Above 0.
    """
    intercept = np.asarray(targets.mean(axis=0))
    products = inputs.T @ inputs / len(inputs) + penalty * np.eye(inputs.shape[1])
    return intercept, np.linalg.solve(products, inputs.T @ (targets - intercept) / len(inputs))


def held_out_residuals(
    inputs: Float[np.ndarray, "samples inputs"],
    targets: Float[np.ndarray, "samples ..."],
    groups: Int[np.ndarray, " samples"],
    penalty: float,
) -> Float[np.ndarray, "samples ..."]:
    """Targets minus their predictions by ridge regressions that did not see the sample's fold.

    Args:
        inputs, targets, penalty: As for `fit_ridge`.
        groups: Group of each sample, numbered from 0.
    """
    folds = group_folds(groups)
    residuals = np.zeros_like(targets)
    for fold in np.unique(folds):
        held_out = folds == fold
        intercept, slope = fit_ridge(inputs[~held_out], targets[~held_out], penalty)
        residuals[held_out] = targets[held_out] - intercept - inputs[held_out] @ slope
    return residuals
