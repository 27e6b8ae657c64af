"""Long convolutions between many channels with a seventh of the products; the same numbers to float32's rounding.

A bilinear algorithm (Winograd, "Arithmetic Complexity of Computations", 1980):

    y = S((A x) · (B w))

takes N samples of x and K taps of w to L = N − K + 1 samples of y with M products in place of L·K. Between channels
each of them is a matrix product [blocks, in]·[in, out]. The algorithm is the cyclic convolution by a DFT of N points,
each complex product (a + ib)(u + iv) done with three real ones, u(a + b), a(v − u) and b(u + v) (Gauss):
M = 3N/2 − 1. For N = 64 and K = 15 that is 95 products for 50 samples, 1.9 in place of 15 for one. The DFT's rows are
orthogonal, so that no digits are lost (Toom and Cook's points, as for small kernels of images, lose them).

A convolution of one channel is one matrix product [frames, K]·[K, out] of the signal's K shifted copies. One of stride
S is one of stride 1 over S·in channels at the lower rate: its input's gradient then has no zeros between the frames.

Gradients are JAX's own but for the transforms' (`from_left`). On GPU and TPU the plain convolution is the better choice
(cuDNN and the TPU's compiler choose among such algorithms themselves), so the rewriting is for the CPU only.
"""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

_DFT_SIZE = 64  # N; 32 does a quarter more products, 128 has kernels that no longer lie in the cache
_MIN_TAPS = 9
_MIN_CHANNELS = 40  # in·out/(in + out); below, moving the transformed signals costs what the products save
_MAX_SPECTRUM_SIZE = (
    250_000_000  # numbers in a transformed signal (1 GB): a large batch's memory matters more than its time
)
_MIN_FRAMES = 2000  # frames; the kernel is transformed too, which few frames do not repay


def convolve(
    x: Float[Array, "batch time channels_in"],
    kernel: Float[Array, "taps channels_in channels_out"],
    strides: tuple[int, ...],
    padding,
    *,
    rhs_dilation: tuple[int, ...] = (1,),
    **conv_kwargs,
) -> Float[Array, "batch frames channels_out"]:
    """`lax.conv_general_dilated` with its arguments, so that `nn.Conv` can be given it, for [batch, time, channel].

    Rewritten on a CPU where that pays; the backend is asked while tracing, since a choice inside the program
    (`lax.platform_dependent`) would keep what both ways need for the gradient.
    """
    on_cpu = jax.default_backend() == "cpu" and x.dtype == jnp.float32
    undilated = on_cpu and rhs_dilation == (1,)
    if undilated and len(kernel) == 1 and strides == (1,):  # its kernel's gradient is a product then, not a convolution
        x = lax.optimization_barrier(x)
        return jnp.einsum("bti,io->bto", x, kernel[0], precision=lax.Precision.HIGHEST)
    if undilated and x.shape[2] == 1:
        return convolve_im2col(x, kernel, strides[0], *padding[0])
    if undilated and strides == (1,) and is_bilinear_faster(x.shape[0] * x.shape[1], *kernel.shape):
        return convolve_bilinear(x, kernel, *padding[0])
    if on_cpu:
        # Kept as it is for the kernel's gradient, which would compute it again from the layers before, in the order
        # [channel, time, batch]; where barriers are compiled away (see jitted_train_step) that costs time only.
        x = lax.optimization_barrier(x)
    if undilated and strides[0] > 1:
        return convolve_strided(x, kernel, strides[0], *padding[0])
    return lax.conv_general_dilated(x, kernel, strides, padding, rhs_dilation=rhs_dilation, **conv_kwargs)


def is_bilinear_faster(frames: int, taps: int, in_channels: int, out_channels: int) -> bool:
    """Whether the bilinear form is the faster one, as measured (docs/speed.md), for `size` frames in all."""
    spectrum_size = 1.5 * _DFT_SIZE / (_DFT_SIZE - taps + 1) * frames * max(in_channels, out_channels)
    enough_channels = in_channels * out_channels >= _MIN_CHANNELS * (in_channels + out_channels)
    return enough_channels and taps >= _MIN_TAPS and frames >= _MIN_FRAMES and spectrum_size <= _MAX_SPECTRUM_SIZE


def convolve_im2col(
    x: Float[Array, "batch time 1"], kernel: Float[Array, "taps 1 out"], stride: int, pad_before: int, pad_after: int
) -> Float[Array, "batch frames channels_out"]:
    """A convolution of one channel as a product with its shifted copies."""
    taps = len(kernel)
    frames = (x.shape[1] + pad_before + pad_after - taps) // stride + 1
    x = jnp.pad(
        x, ((0, 0), (pad_before, max(pad_after, stride * (frames - 1) + taps - pad_before - x.shape[1])), (0, 0))
    )
    shifted = [x[:, k : k + stride * (frames - 1) + 1 : stride] for k in range(taps)]
    return jnp.einsum("btk,ko->bto", jnp.concatenate(shifted, axis=2), kernel[:, 0], precision=lax.Precision.HIGHEST)


def convolve_strided(
    x: Float[Array, "batch time channels_in"],
    kernel: Float[Array, "taps channels_in channels_out"],
    stride: int,
    pad_before: int,
    pad_after: int,
) -> Float[Array, "batch frames channels_out"]:
    """A convolution of a stride as one of stride 1: `stride` samples together are a frame of stride·in channels."""
    taps, in_channels, out_channels = kernel.shape
    frames = (x.shape[1] + pad_before + pad_after - taps) // stride + 1
    taps_per_frame = -(-taps // stride)
    padded_size = stride * (frames + taps_per_frame - 1)
    x = jnp.pad(x, ((0, 0), (pad_before, max(0, padded_size - pad_before - x.shape[1])), (0, 0)))[:, :padded_size]
    x = x.reshape(len(x), frames + taps_per_frame - 1, stride * in_channels)
    kernel = jnp.pad(kernel, ((0, stride * taps_per_frame - taps), (0, 0), (0, 0))).reshape(
        taps_per_frame, stride * in_channels, out_channels
    )
    dimension_numbers = ("NWC", "WIO", "NWC")
    return lax.conv_general_dilated(
        x, kernel, (1,), "VALID", dimension_numbers=dimension_numbers, precision=lax.Precision.HIGHEST
    )


@cache
def bilinear_matrices(points: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A `[M, N]`, B `[M, K]` and S `[L, M]` of the formula above, float64: S((A x)·(B w))[l] = Σ_k x[l + k] w[k]."""
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
    """matrix · x over the first axis. Its gradient is matrixᵀ · g from the left as well: JAX's own rule would multiply
    from the right, and copy arrays of a spectrum's size into another order before and after."""

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
    """A convolution of stride 1 by the bilinear form, block by block of L frames.

    The place in a block leads, and batch and block stay axes of their own: the transforms are plain products from the
    left, and devices that share a batch move nothing.
    """
    taps, _, out_channels = kernel.shape
    input_matrix, kernel_matrix, output_matrix = bilinear_matrices(_DFT_SIZE, taps)
    batch, time, in_channels = x.shape
    frames, block_size = time + pad_before + pad_after - taps + 1, _DFT_SIZE - taps + 1
    blocks = -(-frames // block_size)
    x = jnp.pad(x, ((0, 0), (pad_before, (blocks + 1) * block_size - pad_before - time), (0, 0)))
    x = jnp.moveaxis(x.reshape(batch, blocks + 1, block_size, in_channels), 2, 0)
    x = jnp.concatenate([x[:, :, :blocks], x[: taps - 1, :, 1:]])  # a block, and what it hears of the next
    kernel = left_multiply(kernel_matrix, kernel[:, None])[:, 0]
    y = jnp.einsum("mbji,mio->mbjo", left_multiply(input_matrix, x), kernel, precision=lax.Precision.HIGHEST)
    y = jnp.moveaxis(left_multiply(output_matrix, y), 0, 2)
    return y.reshape(batch, blocks * block_size, out_channels)[:, :frames]
