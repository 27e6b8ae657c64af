"""Temporal convolutional encoder: frames with a receptive field of 23 ms, and z from their mean over the track."""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from nmjax.models.fast_conv import convolve
from nmjax.models.layers import DEFAULT_PRECISION, ConvNorm, maybe_remat, scale_channels
from nmjax.models.masks import apply_mask, length_mask, mean_pool
from nmjax.models.signal_format import LATENT_SIZE

STRIDE = 16  # samples per frame; chunks of a stream start at multiples of it
MARGIN = 528  # samples on each side of a frame in its receptive field (515), rounded up to whole frames
ENCODES_CHANNELS = False  # but their mean
_STEM_CHANNELS = (64, 128)
_BLOCKS = ((128, 1), (256, 2), (256, 4), (512, 8))  # channels, dilation


def frame_count(samples):
    """Frames of a signal of `samples` samples (int or array): each of the two stem layers has stride 4, rounded up."""
    return -(-samples // STRIDE)


class TcnBlock(nn.Module):
    """Conv · BN · ReLU · Conv · BN, plus the input (by a 1×1 convolution if the channel count changes), then ReLU."""

    features: int
    dilation: int
    bn_momentum: float
    dtype: str
    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch frames channel"], mask: Bool[Array, "batch frames 1"] | None, train: bool
    ) -> Float[Array, "batch frames features"]:
        conv_args = {
            "kernel": 3,
            "dilation": self.dilation,
            "bn_momentum": self.bn_momentum,
            "dtype": self.dtype,
            "precision": self.precision,
        }
        y = apply_mask(nn.relu(ConvNorm(self.features, **conv_args, name="first")(x, mask, train)), mask)
        y = ConvNorm(self.features, **conv_args, name="second")(y, mask, train)
        if x.shape[-1] != self.features:
            x = nn.Conv(
                features=self.features,
                kernel_size=(1,),
                conv_general_dilated=convolve,
                dtype=self.dtype,
                precision=self.precision,
                name="projection",
            )(x)
        return apply_mask(nn.relu(x + y), mask)


class Encoder(nn.Module):
    """Audio `[batch, time, 1]` → z `[batch, 512]`, for any length from one sample.

    Attributes:
        width: Multiplier of every channel count except that of z.
        bn_momentum: Momentum of the running BatchNorm statistics.
        dtype: Type of the arithmetic up to the frames; their mean and z are float32.
        remat: Whether to keep only each block's input for the gradient and to recompute the block.
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
        out_init: Initial weights of the dense layer to z.
    """

    width: float = 1.0
    bn_momentum: float = 0.99
    dtype: str = "float32"
    remat: bool = False
    precision: str = DEFAULT_PRECISION
    out_init: nn.initializers.Initializer = nn.initializers.lecun_normal()

    def setup(self):
        norm_args = {"bn_momentum": self.bn_momentum, "dtype": self.dtype, "precision": self.precision}
        conv, block = (maybe_remat(c, self.remat) for c in (ConvNorm, TcnBlock))
        self.stem = [conv(scale_channels(c, self.width), 15, 4, **norm_args) for c in _STEM_CHANNELS]
        self.blocks = [block(scale_channels(c, self.width), d, **norm_args) for c, d in _BLOCKS]
        self.out = nn.Dense(LATENT_SIZE, kernel_init=self.out_init, precision=self.precision)

    def frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch frames features"]:
        """One frame per 16 samples; 0 beyond a signal's length."""
        x = apply_mask(audio, length_mask(lengths, audio.shape[1]))
        for conv in self.stem:
            lengths = None if lengths is None else -(-lengths // 4)
            mask = length_mask(lengths, -(-x.shape[1] // 4))
            x = apply_mask(nn.relu(conv(x, mask, train)), mask)
        mask = length_mask(lengths, x.shape[1])
        for block in self.blocks:
            x = block(x, mask, train)
        return x.astype(jnp.float32)

    def latent(self, mean: Float[Array, "batch features"]) -> Float[Array, "batch 512"]:
        """z from the mean over the frames."""
        return self.out(mean)

    def __call__(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch 512"]:
        """z of each signal, up to its length in samples. `train`: BatchNorm with the batch's own statistics."""
        return self.latent(mean_pool(self.frames(audio, lengths, train), lengths, STRIDE))
