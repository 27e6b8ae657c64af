"""The width of the stereo image towards a reference's: closed form, since side and mid are known by band."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Width
from nmjax.dsp.width import CROSSOVER_HZ
from nmjax.models.stages import settings_of
from nmjax.reference.profile import CENTRES_HZ, Profile

_PARTS = (CENTRES_HZ < CROSSOVER_HZ, CENTRES_HZ >= CROSSOVER_HZ, CENTRES_HZ > 0.0)  # low, high, all
_BELOW = 1.0 / (1.0 + 1j * CENTRES_HZ / CROSSOVER_HZ) ** 2  # the stage's low-pass, Q 0.5, far from half the rate
_MONO_DB = -40.0  # a side so far below mid has nothing to make wider
_ROUNDS = 40
_HEARD = 0.01  # of a factor


def width_db(
    profile: Profile,
    curve_db: Float[np.ndarray, "bands"] | float = 0.0,
    factors: Sequence[float] | np.ndarray = (1.0, 1.0),
) -> Float[np.ndarray, "3"]:
    """The side's power over mid's in dB, below and above the crossover and of all, after a curve on both and a width;
    −inf for mono."""
    gain_db = 20.0 * np.log10(np.abs(factors[0] * _BELOW + factors[1] * (1.0 - _BELOW)) + 1e-9)
    found = []
    for part in _PARTS:
        levels = (profile.side_db + gain_db, profile.mid_db)
        side, mid = (np.sum(10.0 ** ((x + curve_db)[part] / 10.0)) for x in levels)
        found.append(10.0 * np.log10(side / mid) if profile.stereo else -np.inf)
    return np.array(found)


def widened(
    there: Width | None, profile: Profile, curve_db: Float[np.ndarray, "bands"] | float, more_db: Float[np.ndarray, "3"]
) -> Width | None:
    """The width (fields `[1]`) that makes the side so many dB louder below and above the crossover and, first of all,
    as a whole; within what a network may choose. A side that holds nothing is not made louder. None where nothing was
    there and nothing changes.

    The two parts overlap, so the factors are found by rounds: each by half of what its part still lacks, then both by
    half of what the whole does.
    """
    low, high = zip(*((row.low, row.high) for row in settings_of("width")), strict=True)
    start = np.array([1.0 if there is None else float(getattr(there, name)[0]) for name in ("low", "high")])
    so_far_db = width_db(profile, curve_db)
    more_db = np.where(so_far_db > _MONO_DB, more_db, np.minimum(more_db, 0.0))
    aim_db, factors = width_db(profile, curve_db, start) + more_db, np.maximum(start, _HEARD)
    for lacks in (slice(0, 2), 2):
        for _ in range(_ROUNDS if more_db.any() else 0):
            lacking_db = (aim_db - width_db(profile, curve_db, factors))[lacks]
            factors = np.clip(factors * 10.0 ** (0.5 * lacking_db / 20.0), np.maximum(low, _HEARD), high)
    if there is None and np.allclose(factors, 1.0, atol=_HEARD):
        return None
    return Width(*(jnp.full(1, value, jnp.float32) for value in factors))
