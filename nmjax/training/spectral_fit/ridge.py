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
    intercept, slopes = fit_ridge_path(inputs, targets, np.array([penalty]))
    return intercept, slopes[0]


def fit_ridge_path(
    inputs: Float[np.ndarray, "samples inputs"],
    targets: Float[np.ndarray, "samples ..."],
    penalties: Float[np.ndarray, " penalties"],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "penalties inputs ..."]]:
    """`fit_ridge` for several penalties, by one eigendecomposition of the smaller Gram matrix.

    With the singular value decomposition inputs = U·S·Vᵀ the slope is V · diag(1/(S² + samples · penalty)) · Vᵀ ·
    inputsᵀ · (targets − intercept).
    """
    intercept = np.asarray(targets.mean(axis=0))
    num_samples, num_inputs = inputs.shape
    if num_samples < num_inputs:
        eigenvalues, left = np.linalg.eigh(inputs @ inputs.T)  # S², U
        right = inputs.T @ left  # V·S
        projected = left.T @ (targets - intercept)
    else:
        eigenvalues, right = np.linalg.eigh(inputs.T @ inputs)  # S², V
        projected = right.T @ (inputs.T @ (targets - intercept))
    factors = 1.0 / (eigenvalues + num_samples * np.asarray(penalties)[:, None])
    return intercept, np.stack([(right * factor) @ projected for factor in factors])


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
