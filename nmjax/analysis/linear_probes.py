"""What z knows: linear probes, judged on songs that they have not seen, beside the same probes for shuffled answers.

The text that this design comes from claims that the four quarters of z carry spectrum, dynamics, production quality and
abstract traits; nothing in the network asks for that, and the quarters' own probes say what is so.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from nmjax.analysis.groups import comparable_groups

NUM_QUARTERS = 4
MIN_TRACKS = 20  # tracks
_NUM_FOLDS, _NUM_INNER_FOLDS = 10, 5
_NUM_SHUFFLES = 20
_PENALTIES = 10.0 ** np.arange(-2.0, 4.5, 0.5)  # times the mean eigenvalue of the product of x
GROUP_TARGET = "group"


@dataclasses.dataclass(frozen=True)
class ProbeScore:
    """How well a target is told from a part of z. part: `all`, or `1` to `4`. score: R² on held-out songs; of `group`
    the share that is named right. control: the mean score for shuffled answers, control_high its 95th percentile."""

    target: str
    z_slice: str
    score: float
    shuffled_mean: float
    shuffled_p95: float


def fit_probes(
    z: Float[np.ndarray, "tracks latent"], descriptors: dict[str, np.ndarray], groups: np.ndarray, seed: int = 0
) -> list[ProbeScore]:
    """Probes of all of z and of its quarters for every measure and for the group.

    Tracks where a measure is NaN are left out; `group` is that of the groups that have enough tracks, and is missing
    where there are not two.
    """
    rng, scores = np.random.default_rng(seed), []
    quarters = np.split(z, NUM_QUARTERS, axis=1)
    z_slices = {"all": z, **{str(i + 1): quarter for i, quarter in enumerate(quarters)}}
    varying_descriptors = [name for name, x in descriptors.items() if np.nanstd(x) > 1e-9]
    usable = np.all([np.isfinite(descriptors[n]) for n in varying_descriptors], axis=0) & np.isfinite(z).all(axis=1)
    jobs = []
    if varying_descriptors:
        jobs.append(
            (
                varying_descriptors,
                np.stack([descriptors[n] for n in varying_descriptors], axis=1)[usable],
                usable,
                [1] * len(varying_descriptors),
            )
        )
    names = comparable_groups(groups)[0]
    if len(names) > 1:
        in_comparison = np.isin(groups, names)
        labels = (groups[in_comparison, None] == np.array(names)[None]).astype(np.float64)
        jobs.append(([GROUP_TARGET], labels, in_comparison, [len(names)]))
    for targets, labels, row_mask, target_widths in jobs:
        fold = rng.permutation(len(labels)) % min(_NUM_FOLDS, len(labels))
        orders = [np.arange(len(labels)), *(rng.permutation(len(labels)) for _ in range(_NUM_SHUFFLES))]
        all_labels = np.concatenate([labels[order] for order in orders], axis=1)
        for z_slice, x in z_slices.items():
            predictions = cross_val_predict(x[row_mask], all_labels, fold)
            scores += _score_probes(
                targets,
                target_widths,
                z_slice,
                np.split(predictions, len(orders), 1),
                np.split(all_labels, len(orders), 1),
            )
    return sorted(scores, key=lambda p: [*varying_descriptors, GROUP_TARGET].index(p.target))


def _score_probes(
    targets: list[str], target_widths: list[int], z_slice: str, predictions: list[np.ndarray], labels: list[np.ndarray]
) -> list[ProbeScore]:
    """guesses, answers: the real ones, then the shuffled ones; `[rows, columns]`, of each target so many columns."""
    probe_scores, ends = [], np.cumsum(target_widths)
    for target, width, end in zip(targets, target_widths, ends, strict=True):
        score = _accuracy if target == GROUP_TARGET else _r2
        scores = [
            score(g[:, end - width : end], a[:, end - width : end]) for g, a in zip(predictions, labels, strict=True)
        ]
        shuffled_p95 = float(np.percentile(scores[1:], 95))
        probe_scores.append(ProbeScore(target, z_slice, scores[0], float(np.mean(scores[1:])), shuffled_p95))
    return probe_scores


def cross_val_predict(
    x: Float[np.ndarray, "rows dims"], y: Float[np.ndarray, "rows targets"], fold: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "rows targets"]:
    """Ridge regression's answer for each row from the rows of the other folds; each target's penalty is chosen by
    cross-validation among these rows."""
    out = np.zeros_like(y)
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        inner_fold = np.arange(train.sum()) % min(_NUM_INNER_FOLDS, train.sum())  # the rows are in no order by fold
        errors = np.zeros((len(_PENALTIES), y.shape[1]))
        for held_out_fold in np.unique(inner_fold):
            inner_train, inner_test = (
                np.flatnonzero(train)[row_mask]
                for row_mask in (inner_fold != held_out_fold, inner_fold == held_out_fold)
            )
            errors += np.sum(
                (_ridge_predict(x[inner_train], y[inner_train], x[inner_test]) - y[inner_test]) ** 2, axis=1
            )
        out[test] = np.take_along_axis(
            _ridge_predict(x[train], y[train], x[test]), np.argmin(errors, axis=0)[None, None], 0
        )[0]
    return out


def _ridge_predict(
    x_train: Float[np.ndarray, "rows dims"],
    y_train: Float[np.ndarray, "rows targets"],
    x_test: Float[np.ndarray, "asked dims"],
) -> Float[np.ndarray, "penalties asked targets"]:
    """Answers for `asked` from rows x, y, for every penalty."""
    x_mean, x_std, y_mean = x_train.mean(axis=0), x_train.std(axis=0) + 1e-9, y_train.mean(axis=0)
    x_train, x_test = (x_train - x_mean) / x_std, (x_test - x_mean) / x_std
    if len(x_train) < x_train.shape[1]:  # by the smaller of both products
        values, left = np.linalg.eigh(x_train @ x_train.T)
        right = x_train.T @ left
    else:
        values, right = np.linalg.eigh(x_train.T @ x_train)
        left = x_train @ right
    projected_targets, projected_test = left.T @ (y_train - y_mean), x_test @ right
    penalties = _PENALTIES * np.mean(values)
    return np.stack([y_mean + (projected_test / (values + penalty)) @ projected_targets for penalty in penalties])


def _r2(prediction: np.ndarray, target: np.ndarray) -> float:
    """Of held-out answers, about their own mean; below 0 where the mean would have been the better guess."""
    return float(1.0 - np.sum((prediction - target) ** 2) / np.sum((target - target.mean(axis=0)) ** 2))


def _accuracy(prediction: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean(np.argmax(prediction, axis=1) == np.argmax(target, axis=1)))
