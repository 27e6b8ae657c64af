"""Long convolutions between many channels with a seventh of the multiplications, equal up to float32 rounding.

A bilinear algorithm (Winograd, "Arithmetic Complexity of Computations", 1980):

    y = S((A x) · (B w))

computes L = N − K + 1 samples of y from N samples of x and K taps of w with M instead of L·K multiplications. With
several channels, each multiplication is a matrix product [blocks, in]·[in, out]. The algorithm is a cyclic convolution
by a DFT of N points, in which each complex product (a + ib)(u + iv) takes three real ones, u(a + b), a(v − u) and
b(u + v) (Gauss): M = 3N/2 − 1. For N = 64 and K = 15 these are 95 multiplications for 50 samples: 1.9 instead of 15 per
sample. The rows of the DFT are orthogonal, so that no precision is lost (the Toom–Cook points that are common for small
kernels of images lose some).

A convolution of one channel becomes one matrix product [frames, K]·[K, out] of K shifted copies of the signal. A
convolution of stride S becomes one of stride 1 over S·in channels at the lower rate: the gradient of its input then has
no zeros between the frames.

Gradients are JAX's own, except those of the transforms (`left_multiply`). On GPU and TPU the plain convolution is the
better choice (cuDNN and the TPU compiler choose among such algorithms themselves), so only the CPU uses these forms.
"""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

_DFT_SIZE = 64  # N; 32 needs a quarter more multiplications, 128 has kernels that no longer fit into the cache
_MIN_TAPS = 9
_MIN_CHANNELS = 40  # in·out/(in + out); below, moving the transformed signals costs what the multiplications save
_MAX_SPECTRUM_SIZE = 250_000_000  # elements of a transformed signal (1 GB): above, memory matters more than time
_MIN_FRAMES = 2000  # below, transforming the kernel costs more than the multiplications save


def convolve(
    x: Float[Array, "batch time channels_in"],
    kernel: Float[Array, "taps channels_in channels_out"],
    strides: tuple[int, ...],
    padding,
    *,
    rhs_dilation: tuple[int, ...] = (1,),
    **conv_kwargs,
) -> Float[Array, "batch frames channels_out"]:
    """Convolution with the signature of `lax.conv_general_dilated`, as `nn.Conv(conv_general_dilated=…)` needs it.

    On a CPU it takes the fastest form. The choice is made while tracing: a choice inside the program
    (`lax.platform_dependent`) would keep the residuals of all forms for the gradient.

    Args:
        x: Signals.
        kernel: Taps, by input and output channel.
        strides, padding, rhs_dilation: One entry for the time axis, as in `lax.conv_general_dilated`.
        conv_kwargs: Passed on to `lax.conv_general_dilated`.
    """
    on_cpu = jax.default_backend() == "cpu" and x.dtype == jnp.float32
    undilated = on_cpu and rhs_dilation == (1,)
    if undilated and len(kernel) == 1 and strides == (1,):  # the kernel's gradient is then a matrix product
        x = lax.optimization_barrier(x)
        return jnp.einsum("bti,io->bto", x, kernel[0], precision=lax.Precision.HIGHEST)
    if undilated and x.shape[2] == 1:
        return convolve_im2col(x, kernel, strides[0], *padding[0])
    if undilated and strides == (1,) and is_bilinear_faster(x.shape[0] * x.shape[1], *kernel.shape):
        return convolve_bilinear(x, kernel, *padding[0])
    if on_cpu:
        # Keep x for the kernel's gradient; XLA would recompute it from the previous layers, in the order
        # [channel, time, batch]. Where barriers are compiled away (see jit_train_step) this only costs time.
        x = lax.optimization_barrier(x)
    if undilated and strides[0] > 1:
        return convolve_strided(x, kernel, strides[0], *padding[0])
    return lax.conv_general_dilated(x, kernel, strides, padding, rhs_dilation=rhs_dilation, **conv_kwargs)


def is_bilinear_faster(frames: int, taps: int, in_channels: int, out_channels: int) -> bool:
    """Whether the bilinear form is faster for `frames` frames of the whole batch, measured in docs/results/speed.md."""
    spectrum_size = 1.5 * _DFT_SIZE / (_DFT_SIZE - taps + 1) * frames * max(in_channels, out_channels)
    enough_channels = in_channels * out_channels >= _MIN_CHANNELS * (in_channels + out_channels)
    return enough_channels and taps >= _MIN_TAPS and frames >= _MIN_FRAMES and spectrum_size <= _MAX_SPECTRUM_SIZE


def convolve_im2col(
    x: Float[Array, "batch time 1"], kernel: Float[Array, "taps 1 out"], stride: int, pad_before: int, pad_after: int
) -> Float[Array, "batch frames channels_out"]:
    """A convolution of one input channel as a matrix product with its shifted copies (im2col)."""
    taps = len(kernel)
    frames = (x.shape[1] + pad_before + pad_after - taps) // stride + 1
    pad_to_frames = max(pad_after, stride * (frames - 1) + taps - pad_before - x.shape[1])
    x = jnp.pad(x, ((0, 0), (pad_before, pad_to_frames), (0, 0)))
    shifted = [x[:, k : k + stride * (frames - 1) + 1 : stride] for k in range(taps)]
    return jnp.einsum("btk,ko->bto", jnp.concatenate(shifted, axis=2), kernel[:, 0], precision=lax.Precision.HIGHEST)


def convolve_strided(
    x: Float[Array, "batch time channels_in"],
    kernel: Float[Array, "taps channels_in channels_out"],
    stride: int,
    pad_before: int,
    pad_after: int,
) -> Float[Array, "batch frames channels_out"]:
    """A strided convolution as one of stride 1: `stride` samples form a frame of stride·in channels."""
    taps, in_channels, out_channels = kernel.shape
    frames = (x.shape[1] + pad_before + pad_after - taps) // stride + 1
    taps_per_frame = -(-taps // stride)
    padded_size = stride * (frames + taps_per_frame - 1)
    x = jnp.pad(x, ((0, 0), (pad_before, max(0, padded_size - pad_before - x.shape[1])), (0, 0)))[:, :padded_size]
    x = x.reshape(len(x), frames + taps_per_frame - 1, stride * in_channels)
    kernel = jnp.pad(kernel, ((0, stride * taps_per_frame - taps), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps_per_frame, stride * in_channels, out_channels)
    return lax.conv_general_dilated(
        lhs=x,
        rhs=kernel,
        window_strides=(1,),
        padding="VALID",
        dimension_numbers=("NWC", "WIO", "NWC"),
        precision=lax.Precision.HIGHEST,
    )


@cache
def bilinear_matrices(points: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A `[M, N]`, B `[M, K]` and S `[L, M]` in float64, with S((A x)·(B w))[l] = Σ_k x[l + k] w[k].

    Args:
        points: N, the size of the DFT.
        taps: K, the length of the kernel.
    """
    n, k, m = (np.arange(size) for size in (points, taps, points - taps + 1))
    input_rows, kernel_rows, output_rows = (
        [np.ones(points), (-1.0) ** n],
        [np.ones(taps), (-1.0) ** k],
        [np.ones(m.size), (-1.0) ** m],
    )
    for w in 2.0 * np.pi * np.arange(1, points // 2) / points:
        a, b = np.cos(w * n), -np.sin(w * n)
        u, v = np.cos(w * k), np.sin(w * k)  # the conjugate: Flax's convolution is a correlation
        c, s = 2.0 * np.cos(w * m), 2.0 * np.sin(w * m)
        input_rows += [a + b, a, b]
        kernel_rows += [u, v - u, u + v]
        output_rows += [c - s, -s, -c]  # c·real − s·imaginary, real = 1st − 3rd product, imaginary = 1st + 2nd
    return np.array(input_rows), np.array(kernel_rows), np.array(output_rows).T / points


def left_multiply(
    matrix: np.ndarray, x: Float[Array, "from batch block channel"]
) -> Float[Array, "to batch block channel"]:
    """matrix · x over the first axis, with the gradient matrixᵀ · g.

    JAX's own rule would multiply from the right, and transpose arrays of the spectrum's size before and after.
    """

    def product(matrix, x):
        return jnp.tensordot(jnp.asarray(matrix, x.dtype), x, 1, precision=lax.Precision.HIGHEST)

    forward = jax.custom_vjp(lambda x: product(matrix, x))
    forward.defvjp(lambda x: (product(matrix, x), None), lambda _, g: (product(matrix.T, g),))
    return forward(x)


def convolve_bilinear(
    x: Float[Array, "batch time channels_in"],
    kernel: Float[Array, "taps channels_in channels_out"],
    pad_before: int,
    pad_after: int,
) -> Float[Array, "batch frames channels_out"]:
    """A convolution of stride 1 by the bilinear form, in blocks of L frames.

    The position in a block is the first axis, batch and block are separate axes: the transforms are plain products from
    the left, and a batch that is sharded over devices needs no communication.
    """
    taps, _, out_channels = kernel.shape
    input_matrix, kernel_matrix, output_matrix = bilinear_matrices(_DFT_SIZE, taps)
    batch, time, in_channels = x.shape
    frames, block_size = time + pad_before + pad_after - taps + 1, _DFT_SIZE - taps + 1
    blocks = -(-frames // block_size)
    x = jnp.pad(x, ((0, 0), (pad_before, (blocks + 1) * block_size - pad_before - time), (0, 0)))
    x = jnp.moveaxis(x.reshape(batch, blocks + 1, block_size, in_channels), 2, 0)
    x = jnp.concatenate([x[:, :, :blocks], x[: taps - 1, :, 1:]])  # each block, with its overlap of taps − 1 samples
    kernel = left_multiply(kernel_matrix, kernel[:, None])[:, 0]
    y = jnp.einsum("mbji,mio->mbjo", left_multiply(input_matrix, x), kernel, precision=lax.Precision.HIGHEST)
    y = jnp.moveaxis(left_multiply(output_matrix, y), 0, 2)
    return y.reshape(batch, blocks * block_size, out_channels)[:, :frames]
