"""What SciPy and NumPy need for loudness after ITU-R BS.1770-4; `nmjax.dsp.loudness` is the same for JAX."""

from __future__ import annotations

import math

import numpy as np

OFFSET_LUFS = -0.691  # LUFS of a K-weighted power of 1


def k_weighting_sos(sample_rate: int) -> np.ndarray:
    """BS.1770's two biquads as `[section, 6]` for SciPy's `sosfilt`, at any rate: pyloudnorm's after B. De Man."""
    from pyloudnorm import Meter as Filters  # a second of importing

    filters = Filters(sample_rate, filter_class="DeMan")._filters.values()
    return np.stack([np.concatenate([stage.b, stage.a]) for stage in filters])


def power_to_lufs(power: np.ndarray | float) -> np.ndarray | float:
    """LUFS of a K-weighted power; −inf for 0."""
    with np.errstate(divide="ignore"):
        return OFFSET_LUFS + 10.0 * np.log10(power)


def gated_loudness(energy: np.ndarray, frame_counts: np.ndarray) -> float:
    """Integrated loudness in LUFS from the K-weighted energy and the frames of each tenth of a second, four at least.

    Blocks of 400 ms every 100 ms, above −70 LUFS and 10 LU below the mean of those; −inf where none passes.
    """
    ones = np.ones(4)
    power = np.convolve(energy, ones, "valid") / np.convolve(frame_counts, ones, "valid")
    above_absolute_gate = power[power_to_lufs(power) > -70.0]
    if not len(above_absolute_gate):
        return -math.inf
    return float(power_to_lufs(np.mean(above_absolute_gate[above_absolute_gate > 0.1 * np.mean(above_absolute_gate)])))
