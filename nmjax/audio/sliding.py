"""Windows that slide over an array, in NumPy: SciPy's take a quarter of a second to import."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def sliding_maximum(values: Float[np.ndarray, "..."], size: int) -> Float[np.ndarray, "..."]:
    """The largest of the `size` (odd) values around each one, along the first axis; beyond the ends there is nothing.

    Windows of 1, 2, 4, … values come from each other, and two of them cover any size.
    """
    num_values, half = len(values), size // 2
    padding = np.full((half, *values.shape[1:]), -np.inf, values.dtype)
    maxima, width = np.concatenate([padding, values, padding]), 1
    while 2 * width <= size:
        maxima = np.maximum(maxima[:-width], maxima[width:])
        width *= 2
    return np.maximum(maxima[:num_values], maxima[size - width : size - width + num_values])


def sliding_mean(values: Float[np.ndarray, " n"], size: int) -> Float[np.ndarray, " n"]:
    """The mean of the `size` (odd) values around each one; the first and the last value continue beyond the ends."""
    if not len(values):
        return values
    padded = np.pad(values, size // 2, mode="edge")
    return np.convolve(padded, np.full(size, 1.0 / size, values.dtype), "valid")


def medians_around(values: Float[np.ndarray, " n"], index: np.ndarray, size: int) -> Float[np.ndarray, " indices"]:
    """The median of the `size` (odd) values around each index; the first and the last value continue beyond the
    ends."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, size // 2, mode="edge"), size)
    return np.median(windows[index], axis=1)


def step_maxima(values: Float[np.ndarray, " n"], step: int) -> Float[np.ndarray, " steps"]:
    """The largest of each `step` (a power of two) values in a row, of which the last may be fewer.

    Halving the array again and again takes a tenth of the time of a maximum over a short axis.

    Args:
        values: 0 or more.
        step: how many.
    """
    maxima = np.zeros(-(-len(values) // step) * step, values.dtype)
    maxima[: len(values)] = values
    for _ in range(step.bit_length() - 1):
        maxima = np.maximum(maxima[::2], maxima[1::2])
    return maxima
