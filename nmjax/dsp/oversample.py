"""A curve applied at four times the rate: up with a filter of linear phase, the curve, and down with the same filter.

The filter is a fourth-band one: it keeps the samples and makes the three values between each two, so on the way down a
quarter of the samples themselves is kept. Kaiser's window, 90 dB: flat to 0.4535 of the rate, stopped from 0.5465 of it
(20 and 24.1 kHz at 44.1 kHz). Both ways are a convolution over blocks of 64 samples with all three values of a block at
once, dense products on every backend; a plain convolution of one channel takes four times as long on a CPU.

Sources: P. P. Vaidyanathan, "Multirate Systems and Filter Banks" (1993), ch. 4; J. F. Kaiser (1974).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp.block_recursion import HIGHEST_PRECISION

_HALF_TAPS = 32  # samples on either side of a value between two that make it
_BLOCK = 2 * _HALF_TAPS  # the longest for which a block and the next are enough
_KAISER_BETA = 0.1102 * (90.0 - 8.7)  # Kaiser's, for 90 dB
OVERSAMPLING_MARGIN = 2 * _HALF_TAPS - 1  # samples before and after a sample on which it depends, up and down together


def _interpolation_taps() -> np.ndarray:
    """The taps of the values at ¼, ½ and ¾ after a sample, `[3, 64]`, each with the sum 1: from 31 samples before that
    sample to 32 after it."""
    distance = np.arange(1 - _HALF_TAPS, _HALF_TAPS + 1)[None] - np.arange(1, 4)[:, None] / 4.0
    taps = np.sinc(distance) * np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (distance / _HALF_TAPS) ** 2)))
    return taps / taps.sum(axis=1, keepdims=True)


def _banded_matrix(taps: np.ndarray) -> np.ndarray:
    """Taps as a matrix from two blocks to one, `[2·64, 64]`: column i has them from row i on."""
    matrix = np.zeros((2 * _BLOCK, _BLOCK))
    for i in range(_BLOCK):
        matrix[i : i + _BLOCK, i] = taps
    return matrix


_UPSAMPLE_KERNEL = np.concatenate([_banded_matrix(taps) for taps in _interpolation_taps()], axis=1).reshape(
    2, _BLOCK, 3 * _BLOCK
)
# The mirrored taps: a value at ¼ after a sample is for the samples before and after it what it was made of.
_DOWNSAMPLE_KERNEL = np.stack(
    [_banded_matrix(taps[::-1] / 4.0).reshape(2, _BLOCK, _BLOCK) for taps in _interpolation_taps()], axis=1
)
_DOWNSAMPLE_KERNEL = _DOWNSAMPLE_KERNEL.reshape(2, 3 * _BLOCK, _BLOCK)


def apply_oversampled(
    x: Float[Array, "row time"], nonlinearity: Callable[[Array], tuple[Array, Array]]
) -> tuple[Float[Array, "row inner"], Float[Array, "row inner"]]:
    """A curve at four times the rate, for the samples that have `REACH` others on either side.

    Args:
        x: more than 2·REACH samples.
        curve: two functions of each value; it gets arrays `[row, …]`.

    Returns:
        the first function's values filtered down to x's rate, aligned with x[:, REACH : time − REACH]; of the second
        the mean of each sample's and the three values after it, which is enough where only what is slow counts.
    """
    rows, num_inner = x.shape[0], x.shape[1] - 2 * OVERSAMPLING_MARGIN
    num_blocks = -(-num_inner // _BLOCK)
    padded_blocks = jnp.pad(x, ((0, 0), (0, (num_blocks + 2) * _BLOCK - x.shape[1]))).reshape(
        rows, num_blocks + 2, _BLOCK
    )
    at_samples, aux_at_samples = nonlinearity(x[:, OVERSAMPLING_MARGIN : OVERSAMPLING_MARGIN + num_inner])
    between_samples, aux_between = nonlinearity(_convolve(padded_blocks, _UPSAMPLE_KERNEL))
    aux_between = jnp.sum(aux_between.reshape(rows, num_blocks + 1, 3, _BLOCK), axis=2).reshape(rows, -1)
    downsampled = _convolve(between_samples, _DOWNSAMPLE_KERNEL).reshape(rows, -1)[:, :num_inner]
    return 0.25 * at_samples + downsampled, 0.25 * (
        aux_at_samples + aux_between[:, _HALF_TAPS : _HALF_TAPS + num_inner]
    )


def _convolve(x: Float[Array, "row blocks values"], kernel: np.ndarray) -> Float[Array, "row fewer out"]:
    return jax.lax.conv_general_dilated(
        x,
        jnp.asarray(kernel, x.dtype),
        (1,),
        "VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=HIGHEST_PRECISION,
    )
