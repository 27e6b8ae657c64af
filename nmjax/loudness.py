"""What SciPy and NumPy need for loudness after ITU-R BS.1770-4; `nmjax.dsp.loudness` is the same for JAX."""

from __future__ import annotations

import math

import numpy as np

OFFSET = -0.691  # LUFS of a K-weighted power of 1


def k_weighting(sample_rate: int) -> np.ndarray:
    """BS.1770's two biquads as `[section, 6]` for SciPy's `sosfilt`, at any rate: pyloudnorm's after B. De Man."""
    from pyloudnorm import Meter as Filters  # a second of importing

    filters = Filters(sample_rate, filter_class="DeMan")._filters.values()
    return np.stack([np.concatenate([stage.b, stage.a]) for stage in filters])


def loudness_of_power(power: np.ndarray | float) -> np.ndarray | float:
    """LUFS of a K-weighted power; −inf for 0."""
    with np.errstate(divide="ignore"):
        return OFFSET + 10.0 * np.log10(power)


def gated_loudness(energy: np.ndarray, sizes: np.ndarray) -> float:
    """Integrated loudness in LUFS from the K-weighted energy and the frames of each tenth of a second, four at least.

    Blocks of 400 ms every 100 ms, above −70 LUFS and 10 LU below the mean of those; −inf where none passes.
    """
    four = np.ones(4)
    power = np.convolve(energy, four, "valid") / np.convolve(sizes, four, "valid")
    heard = power[loudness_of_power(power) > -70.0]
    if not len(heard):
        return -math.inf
    return float(loudness_of_power(np.mean(heard[heard > 0.1 * np.mean(heard)])))
