"""The width of the stereo image towards a reference's: closed form, since side and mid are known by band."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Width
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.models.processors import processor_settings
from nmjax.reference.features import CENTERS_HZ, TrackFeatures

_BAND_MASKS = (CENTERS_HZ < CROSSOVER_HZ, CENTERS_HZ >= CROSSOVER_HZ, CENTERS_HZ > 0.0)  # low, high, all
_LOWPASS = 1.0 / (1.0 + 1j * CENTERS_HZ / CROSSOVER_HZ) ** 2  # the stage's low-pass, Q 0.5, far from half the rate
_MONO_DB = -40.0  # a side so far below mid has nothing to make wider
_ITERATIONS = 40
_MIN_FACTOR = 0.01  # of a factor


def band_widths_db(
    features: TrackFeatures,
    eq_db: Float[np.ndarray, " bands"] | float = 0.0,
    factors: Sequence[float] | np.ndarray = (1.0, 1.0),
) -> Float[np.ndarray, "3"]:
    """The side's power over mid's in dB, below and above the crossover and of all, after a curve on both and a width;
    −inf for mono."""
    gain_db = 20.0 * np.log10(np.abs(factors[0] * _LOWPASS + factors[1] * (1.0 - _LOWPASS)) + 1e-9)
    ratios_db = []
    for mask in _BAND_MASKS:
        levels = (features.side_db + gain_db, features.mid_db)
        side, mid = (np.sum(10.0 ** ((x + eq_db)[mask] / 10.0)) for x in levels)
        ratios_db.append(10.0 * np.log10(side / mid) if features.stereo else -np.inf)
    return np.array(ratios_db)


def fit_width(
    current: Width | None,
    features: TrackFeatures,
    eq_db: Float[np.ndarray, " bands"] | float,
    change_db: Float[np.ndarray, "3"],
) -> Width | None:
    """The width (fields `[1]`) that makes the side so many dB louder below and above the crossover and, first of all,
    as a whole; within what a network may choose. A side that holds nothing is not made louder. None where nothing was
    there and nothing changes.

    The two parts overlap, so the factors are found by rounds: each by half of what its part still lacks, then both by
    half of what the whole does.
    """
    low, high = zip(*((row.low, row.high) for row in processor_settings("width")), strict=True)
    start = np.array([1.0 if current is None else float(getattr(current, name)[0]) for name in ("low", "high")])
    current_db = band_widths_db(features, eq_db)
    change_db = np.where(current_db > _MONO_DB, change_db, np.minimum(change_db, 0.0))
    target_db, factors = band_widths_db(features, eq_db, start) + change_db, np.maximum(start, _MIN_FACTOR)
    for selection in (slice(0, 2), 2):
        for _ in range(_ITERATIONS if change_db.any() else 0):
            deficit_db = (target_db - band_widths_db(features, eq_db, factors))[selection]
            factors = np.clip(factors * 10.0 ** (0.5 * deficit_db / 20.0), np.maximum(low, _MIN_FACTOR), high)
    if current is None and np.allclose(factors, 1.0, atol=_MIN_FACTOR):
        return None
    return Width(*(jnp.full(1, value, jnp.float32) for value in factors))
