"""Linear probes of the latent z, scored on held-out tracks against probes fitted to shuffled targets.

They also test whether the four quarters of z encode different properties of the track.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from nmjax.analysis.group_statistics import comparable_groups
from nmjax.training.spectral_fit.ridge import fit_ridge_path

NUM_QUARTERS = 4
MIN_TRACKS = 20
GROUP_TARGET = "group"
RELATIVE_PENALTIES = 10.0 ** np.arange(-2.0, 4.5, 0.5)  # times the mean non-zero eigenvalue of the inputs' Gram matrix
_NUM_FOLDS, _NUM_INNER_FOLDS = 10, 5
_NUM_SHUFFLES = 20


@dataclasses.dataclass(frozen=True)
class ProbeScore:
    """Score of a probe.

    Attributes:
        target: a descriptor, or `group`.
        z_slice: `all`, or a quarter of z, `1` to `4`.
        score: R² on held-out tracks; for `group` the share of correct ones.
        shuffled_mean: mean score for shuffled targets.
        shuffled_p95: 95th percentile of the scores for shuffled targets.
    """

    target: str
    z_slice: str
    score: float
    shuffled_mean: float
    shuffled_p95: float


@dataclasses.dataclass(frozen=True)
class _Task:
    """Targets that are probed together. values: `[rows, columns]`; rows: which tracks have them, `[tracks]`."""

    values: np.ndarray
    rows: np.ndarray
    columns: dict[str, slice]  # of each target
    score: Callable[[np.ndarray, np.ndarray], float]


def fit_probes(
    z: Float[np.ndarray, "tracks latent"], descriptors: dict[str, np.ndarray], groups: np.ndarray, seed: int = 0
) -> list[ProbeScore]:
    """Probes of all of z and of its quarters, for every descriptor that varies and for the group.

    Tracks with an undefined descriptor (NaN) are excluded. `group` covers the groups with enough tracks, and is omitted
    if there are fewer than two.

    Args:
        z: latents.
        descriptors: each `[tracks]`.
        groups: group of each track, "" for none.
        seed: of the folds and shuffles.
    """
    rng, scores = np.random.default_rng(seed), []
    z_slices = {"all": z} | {str(i): quarter for i, quarter in enumerate(np.split(z, NUM_QUARTERS, axis=1), 1)}
    for task in _probe_tasks(z, descriptors, groups):
        fold = rng.permutation(len(task.values)) % min(_NUM_FOLDS, len(task.values))
        orders = [np.arange(len(task.values)), *(rng.permutation(len(task.values)) for _ in range(_NUM_SHUFFLES))]
        shuffles = [task.values[order] for order in orders]  # the first one is not shuffled
        for z_slice, x in z_slices.items():
            predictions = cross_val_predict(x[task.rows], np.concatenate(shuffles, axis=1), fold)
            scores += _score_probes(task, z_slice, np.split(predictions, len(orders), axis=1), shuffles)
    order = [name for task in _probe_tasks(z, descriptors, groups) for name in task.columns]
    return sorted(scores, key=lambda probe: order.index(probe.target))


def _probe_tasks(z: np.ndarray, descriptors: dict[str, np.ndarray], groups: np.ndarray) -> list[_Task]:
    """All descriptors that vary as one task, and the one-hot groups as another."""
    tasks = []
    varying = [name for name, values in descriptors.items() if np.nanstd(values) > 1e-9]
    if varying:
        rows = np.all([np.isfinite(descriptors[name]) for name in varying], axis=0) & np.isfinite(z).all(axis=1)
        values = np.stack([descriptors[name] for name in varying], axis=1)[rows]
        columns = {name: slice(i, i + 1) for i, name in enumerate(varying)}
        tasks.append(_Task(values=values, rows=rows, columns=columns, score=_r2))
    names = comparable_groups(groups)[0]
    if len(names) > 1:
        rows = np.isin(groups, names)
        values = (groups[rows, None] == np.array(names)[None]).astype(np.float64)
        tasks.append(_Task(values=values, rows=rows, columns={GROUP_TARGET: slice(None)}, score=_accuracy))
    return tasks


def _score_probes(
    task: _Task, z_slice: str, predictions: list[np.ndarray], shuffles: list[np.ndarray]
) -> list[ProbeScore]:
    """Scores of each target of a task; the first prediction is that of the targets themselves."""
    probe_scores = []
    for target, columns in task.columns.items():
        pairs = zip(predictions, shuffles, strict=True)
        scores = [task.score(prediction[:, columns], values[:, columns]) for prediction, values in pairs]
        probe_scores.append(
            ProbeScore(
                target=target,
                z_slice=z_slice,
                score=scores[0],
                shuffled_mean=float(np.mean(scores[1:])),
                shuffled_p95=float(np.percentile(scores[1:], 95)),
            )
        )
    return probe_scores


def cross_val_predict(
    x: Float[np.ndarray, "rows dims"], y: Float[np.ndarray, "rows targets"], fold: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "rows targets"]:
    """Ridge predictions for each row from the rows of the other folds.

    The penalty of each target is selected by an inner cross-validation among these rows.
    """
    out = np.zeros_like(y)
    for held_out in np.unique(fold):
        train, test = fold != held_out, fold == held_out
        x_train, y_train = x[train], y[train]
        inner_fold = np.arange(len(x_train)) % min(_NUM_INNER_FOLDS, len(x_train))  # folds are random already
        errors = np.zeros((len(RELATIVE_PENALTIES), y.shape[1]))
        for inner_held_out in np.unique(inner_fold):
            inner_train, inner_test = inner_fold != inner_held_out, inner_fold == inner_held_out
            predictions = ridge_predictions(x_train[inner_train], y_train[inner_train], x_train[inner_test])
            errors += np.sum((predictions - y_train[inner_test]) ** 2, axis=1)
        best_penalty = np.argmin(errors, axis=0)
        predictions = ridge_predictions(x_train, y_train, x[test])
        out[test] = np.take_along_axis(predictions, best_penalty[None, None], 0)[0]
    return out


def ridge_predictions(
    x_train: Float[np.ndarray, "rows dims"],
    y_train: Float[np.ndarray, "rows targets"],
    x_test: Float[np.ndarray, "test_rows dims"],
) -> Float[np.ndarray, "penalties test_rows targets"]:
    """Predictions for test rows by a ridge regression on standardized inputs, for each of `RELATIVE_PENALTIES`."""
    x_mean, x_std = x_train.mean(axis=0), x_train.std(axis=0) + 1e-9
    x_train, x_test = (x_train - x_mean) / x_std, (x_test - x_mean) / x_std
    mean_eigenvalue = np.sum(x_train**2) / min(x_train.shape) / len(x_train)
    intercept, slopes = fit_ridge_path(x_train, y_train, RELATIVE_PENALTIES * mean_eigenvalue)
    return intercept + x_test @ slopes


def _r2(prediction: np.ndarray, target: np.ndarray) -> float:
    """R² of held-out predictions; below 0 if the mean predicts better."""
    return float(1.0 - np.sum((prediction - target) ** 2) / np.sum((target - target.mean(axis=0)) ** 2))


def _accuracy(prediction: np.ndarray, target: np.ndarray) -> float:
    """The share of rows whose largest prediction is the target's."""
    return float(np.mean(np.argmax(prediction, axis=1) == np.argmax(target, axis=1)))
