"""Layers that encoder and residual share: masked convolution with BatchNorm, and a dense layer."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from nmjax.models.fast_conv import convolve

# Of convolutions and dense layers. With "default", a GPU rounds float32 operands to TF32 (10 bits of mantissa) and a
# TPU to bfloat16 (7 bits), without saying so. On a CPU all settings are the same.
DEFAULT_PRECISION = "highest"


def scale_channels(channels: int, width: float) -> int:
    """A channel count times the width multiplier, at least 1."""
    return max(1, round(channels * width))


def maybe_remat(module: type[nn.Module], remat: bool) -> type[nn.Module]:
    """The module class `(x, mask, train)`, or one that keeps only its input for the gradient and is recomputed there.

    Parameter names are the same in both cases.
    """
    return nn.remat(module, static_argnums=(3,)) if remat else module


class ConvNorm(nn.Module):
    """Conv · BatchNorm; the statistics are float32 and exclude masked frames.

    Attributes:
        dtype: Type of the arithmetic and of the output. Parameters and statistics are float32.
        precision: Precision of float32 products, see `DEFAULT_PRECISION`.
    """

    features: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    bn_momentum: float = 0.99
    dtype: str = "float32"
    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channel"],
        mask: Bool[Array, "batch frames 1"] | None,
        train: bool,
    ) -> Float[Array, "batch frames features"]:
        pad = self.dilation * (self.kernel // 2)
        x = nn.Conv(
            features=self.features,
            kernel_size=(self.kernel,),
            strides=self.stride,
            padding=[(pad, pad)],
            kernel_dilation=self.dilation,
            conv_general_dilated=convolve,
            dtype=self.dtype,
            precision=self.precision,
            name="conv",
        )(x)
        norm = nn.BatchNorm(use_running_average=not train, momentum=self.bn_momentum, dtype=self.dtype, name="norm")
        # All signals' frames share one axis: with two axes, one of them of length 1 (a batch of one), the gradient of
        # the scale takes XLA's CPU compiler 60 times as long (docs/results/speed.md).
        flat = norm(x.reshape(-1, x.shape[-1]), mask=mask.reshape(-1, 1) if train and mask is not None else None)
        return flat.reshape(x.shape)


class BiasInitDense(nn.Module):
    """Dense layer with a zero kernel and a given bias: untrained, it returns exactly `initial_values`.

    Attributes:
        initial_values: One value per output.
        precision: Precision of float32 products, see `DEFAULT_PRECISION`.
    """

    initial_values: tuple[float, ...]
    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(self, x: Float[Array, "batch hidden"]) -> Float[Array, "batch values"]:
        def bias(key, shape, dtype=jnp.float32):
            return jnp.asarray(self.initial_values, dtype)

        return nn.Dense(
            features=len(self.initial_values),
            kernel_init=nn.initializers.zeros,
            bias_init=bias,
            precision=self.precision,
            name="dense",
        )(x)
