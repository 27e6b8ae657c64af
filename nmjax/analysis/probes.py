"""What z knows: linear probes, judged on songs that they have not seen, beside the same probes for shuffled answers.

The text that this design comes from claims that the four quarters of z carry spectrum, dynamics, production quality and
abstract traits; nothing in the network asks for that, and the quarters' own probes say what is so.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from nmjax.analysis.groups import comparable

QUARTERS = 4
LEAST = 20  # tracks
_FOLDS, _INNER_FOLDS = 10, 5
_SHUFFLED = 20
_PENALTIES = 10.0 ** np.arange(-2.0, 4.5, 0.5)  # times the mean eigenvalue of the product of x
GROUP = "group"


@dataclasses.dataclass(frozen=True)
class Probe:
    """How well a target is told from a part of z. part: `all`, or `1` to `4`. score: R² on held-out songs; of `group`
    the share that is named right. control: the mean score for shuffled answers, control_high its 95th percentile."""

    target: str
    part: str
    score: float
    control: float
    control_high: float


def probes(
    z: Float[np.ndarray, "tracks latent"], measures: dict[str, np.ndarray], groups: np.ndarray, seed: int = 0
) -> list[Probe]:
    """Probes of all of z and of its quarters for every measure and for the group.

    Tracks where a measure is NaN are left out; `group` is that of the groups that have enough tracks, and is missing
    where there are not two.
    """
    draw, found = np.random.default_rng(seed), []
    quarters = np.split(z, QUARTERS, axis=1)
    parts = {"all": z, **{str(i + 1): quarter for i, quarter in enumerate(quarters)}}
    measured = [name for name, x in measures.items() if np.nanstd(x) > 1e-9]
    usable = np.all([np.isfinite(measures[n]) for n in measured], axis=0) & np.isfinite(z).all(axis=1)
    jobs = []
    if measured:
        jobs.append((measured, np.stack([measures[n] for n in measured], axis=1)[usable], usable, [1] * len(measured)))
    names = comparable(groups)[0]
    if len(names) > 1:
        named = np.isin(groups, names)
        answers = (groups[named, None] == np.array(names)[None]).astype(np.float64)
        jobs.append(([GROUP], answers, named, [len(names)]))
    for targets, answers, kept, widths in jobs:
        fold = draw.permutation(len(answers)) % min(_FOLDS, len(answers))
        orders = [np.arange(len(answers)), *(draw.permutation(len(answers)) for _ in range(_SHUFFLED))]
        wanted = np.concatenate([answers[order] for order in orders], axis=1)
        for part, x in parts.items():
            guesses = predicted(x[kept], wanted, fold)
            found += _scored(targets, widths, part, np.split(guesses, len(orders), 1), np.split(wanted, len(orders), 1))
    return sorted(found, key=lambda p: [*measured, GROUP].index(p.target))


def _scored(
    targets: list[str], widths: list[int], part: str, guesses: list[np.ndarray], answers: list[np.ndarray]
) -> list[Probe]:
    """guesses, answers: the real ones, then the shuffled ones; `[rows, columns]`, of each target so many columns."""
    found, ends = [], np.cumsum(widths)
    for target, width, end in zip(targets, widths, ends, strict=True):
        score = _share_right if target == GROUP else _r2
        scores = [
            score(g[:, end - width : end], a[:, end - width : end]) for g, a in zip(guesses, answers, strict=True)
        ]
        high = float(np.percentile(scores[1:], 95))
        found.append(Probe(target, part, scores[0], float(np.mean(scores[1:])), high))
    return found


def predicted(
    x: Float[np.ndarray, "rows dims"], y: Float[np.ndarray, "rows targets"], fold: Int[np.ndarray, "rows"]
) -> Float[np.ndarray, "rows targets"]:
    """Ridge regression's answer for each row from the rows of the other folds; each target's penalty is chosen by
    cross-validation among these rows."""
    out = np.zeros_like(y)
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        place = np.arange(train.sum()) % min(_INNER_FOLDS, train.sum())  # the rows are in no order by fold
        errors = np.zeros((len(_PENALTIES), y.shape[1]))
        for inner in np.unique(place):
            a, b = (np.flatnonzero(train)[where] for where in (place != inner, place == inner))
            errors += np.sum((_ridge(x[a], y[a], x[b]) - y[b]) ** 2, axis=1)
        out[test] = np.take_along_axis(_ridge(x[train], y[train], x[test]), np.argmin(errors, axis=0)[None, None], 0)[0]
    return out


def _ridge(
    x: Float[np.ndarray, "rows dims"], y: Float[np.ndarray, "rows targets"], asked: Float[np.ndarray, "asked dims"]
) -> Float[np.ndarray, "penalties asked targets"]:
    """Answers for `asked` from rows x, y, for every penalty."""
    start, scale, mean = x.mean(axis=0), x.std(axis=0) + 1e-9, y.mean(axis=0)
    x, asked = (x - start) / scale, (asked - start) / scale
    if len(x) < x.shape[1]:  # by the smaller of both products
        values, left = np.linalg.eigh(x @ x.T)
        right = x.T @ left
    else:
        values, right = np.linalg.eigh(x.T @ x)
        left = x @ right
    inside, there = left.T @ (y - mean), asked @ right
    penalties = _PENALTIES * np.mean(values)
    return np.stack([mean + (there / (values + penalty)) @ inside for penalty in penalties])


def _r2(guess: np.ndarray, answer: np.ndarray) -> float:
    """Of held-out answers, about their own mean; below 0 where the mean would have been the better guess."""
    return float(1.0 - np.sum((guess - answer) ** 2) / np.sum((answer - answer.mean(axis=0)) ** 2))


def _share_right(guess: np.ndarray, answer: np.ndarray) -> float:
    return float(np.mean(np.argmax(guess, axis=1) == np.argmax(answer, axis=1)))
