"""The benchmark's damage, in NumPy and SciPy (float64): clipping and saturation, computed at four times the rate.

Written apart from the damage of training (`nmjax.training.damage`): other curves, oversampled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.signal import resample_poly

_OVERSAMPLING = 4
_MAX_DRIVE_DB = 14.0
_UNTOUCHED_PROB = 0.1
_MAX_BIAS = 0.4  # of an asymmetric curve, relative to the ceiling

Curve = Callable[[np.ndarray], np.ndarray]  # slope 1 at 0, ceiling 1
CURVES: dict[str, tuple[Curve, ...]] = {
    "hard": (lambda x: np.clip(x, -1.0, 1.0),),
    "soft": (
        lambda x: np.where(np.abs(x) < 1.5, x - 4.0 / 27.0 * x**3, np.sign(x)),  # cubic, flat from 1.5 on
        lambda x: np.where(np.abs(x) < 2.0, x - x * np.abs(x) / 4.0, np.sign(x)),  # quadratic, flat from 2 on
    ),
    "saturation": (
        lambda x: 2.0 / np.pi * np.arctan(np.pi / 2.0 * x),
        lambda x: np.sign(x) * -np.expm1(-np.abs(x)),
        lambda x: x / (1.0 + np.abs(x)),
    ),
}


@dataclasses.dataclass(frozen=True)
class Damage:
    """What was done to an excerpt.

    Attributes:
        kind: One of CURVES.
        curve: Index of the curve within its kind.
        drive_db: Level of the peak over the ceiling; 0 leaves the excerpt as it is.
        bias: Offset before the curve, relative to the ceiling; removed after it.
    """

    kind: str
    curve: int
    drive_db: float
    bias: float


def random_damage(rng: np.random.Generator) -> Damage:
    """A kind, a curve and a drive at random; a tenth is untouched and half of the rest symmetric."""
    kind = str(rng.choice(list(CURVES)))
    curve = int(rng.integers(len(CURVES[kind])))
    untouched, symmetric = rng.uniform() < _UNTOUCHED_PROB, rng.uniform() < 0.5
    drive_db, bias = rng.uniform(0.0, _MAX_DRIVE_DB), rng.uniform(-_MAX_BIAS, _MAX_BIAS)
    return Damage(kind, curve, 0.0 if untouched else drive_db, 0.0 if symmetric else bias)


def apply_damage(audio: Float[np.ndarray, "time channel"], damage: Damage) -> Float[np.ndarray, "time channel"]:
    """The damaged signal; small signals keep their level and polarity."""
    peak = np.abs(audio).max()
    if damage.drive_db == 0.0 or peak == 0.0:
        return audio.copy()
    curve = CURVES[damage.kind][damage.curve]
    ceiling = peak * 10.0 ** (-damage.drive_db / 20.0)
    step = 1e-4
    slope = (curve(np.array(damage.bias + step)) - curve(np.array(damage.bias - step))) / (2.0 * step)
    dense = resample_poly(audio, _OVERSAMPLING, 1, axis=0)
    damaged = ceiling / slope * (curve(dense / ceiling + damage.bias) - curve(np.array(damage.bias)))
    return resample_poly(damaged, 1, _OVERSAMPLING, axis=0)[: len(audio)]
