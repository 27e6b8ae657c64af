"""The residual: a small Wave-U-Net conditioned on z, which adds what the equalizer cannot render.

Its receptive field is about ±165 samples (3.7 ms): enough to shape transients and timbre, too short to compress.
A residual for saturated music also has, or only has, a curve without memory (`inverse_curve`).
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from nmjax.models.fast_conv import convolve
from nmjax.models.inverse_curve import InverseCurve, apply_curve
from nmjax.models.layers import DEFAULT_PRECISION, ConvNorm, maybe_remat, scale_channels
from nmjax.models.masks import apply_mask, length_mask

STRIDE = 8  # the lowest rate is an eighth; chunks of a stream start at multiples of it
MARGIN = 176  # samples on each side of an output in its receptive field, rounded up to a multiple of STRIDE
_DOWN_CHANNELS = (32, 64, 128)
_BOTTLENECK_CHANNELS = 256
_FILM_INIT = nn.initializers.variance_scaling(0.01, "fan_in", "normal")  # of gamma and beta


class FilmBlock(nn.Module):
    """Conv(k 15) · BatchNorm · ReLU, then FiLM: gamma(z)·x + beta(z).

    Given a skip connection, x has half its rate: it is first upsampled and, if `concat_skip`, concatenated with it.
    """

    features: int
    bn_momentum: float
    dtype: str
    concat_skip: bool = True
    precision: str = DEFAULT_PRECISION

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch before channel"],
        mask: Bool[Array, "batch time 1"] | None,
        train: bool,
        z: Float[Array, "batch latent"],
        skip: Float[Array, "batch time skipped"] | None = None,
    ) -> Float[Array, "batch time features"]:
        if skip is not None:
            x = upsample2x(x, None if mask is None else mask[:, ::2])
            x = jnp.concatenate([x, skip], axis=-1) if self.concat_skip else x
        dense_args = {
            "features": self.features,
            "kernel_init": _FILM_INIT,
            "dtype": self.dtype,
            "precision": self.precision,
        }
        gamma = nn.Dense(**dense_args, bias_init=nn.initializers.ones, name="gamma")(z)
        beta = nn.Dense(**dense_args, name="beta")(z)
        layer = ConvNorm(
            features=self.features,
            kernel=15,
            bn_momentum=self.bn_momentum,
            dtype=self.dtype,
            precision=self.precision,
            name="layer",
        )
        x = nn.relu(layer(x, mask, train))
        return apply_mask(film(x, gamma, beta), mask)


def film(
    x: Float[Array, "batch time channel"], gamma: Float[Array, "batch channel"], beta: Float[Array, "batch channel"]
) -> Float[Array, "batch time channel"]:
    """gamma·x + beta. A batch of one drops its axis, for the compile time of the gradient: see ConvNorm."""
    if len(x) == 1:
        return (gamma * x[0] + beta)[None]
    return gamma[:, None, :] * x + beta[:, None, :]


def upsample2x(
    x: Float[Array, "batch time channel"], mask: Bool[Array, "batch time 1"] | None
) -> Float[Array, "batch doubled channel"]:
    """Linear interpolation ×2 between frame centers; the first and the last frame of the signal are repeated."""
    batch, time, channels = x.shape
    previous = jnp.concatenate([x[:, :1], x[:, :-1]], axis=1)
    following = jnp.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    if mask is not None:
        next_valid = jnp.concatenate([mask[:, 1:], mask[:, -1:]], axis=1)
        following = jnp.where(next_valid, following, x)
    pair = jnp.stack([0.75 * x + 0.25 * previous, 0.75 * x + 0.25 * following], axis=2)
    return apply_mask(pair.reshape(batch, 2 * time, channels), None if mask is None else jnp.repeat(mask, 2, axis=1))


class Residual(nn.Module):
    """Audio `[batch, time, channel]` and z → a residual of the same shape; untrained, it is silence.

    The same weights run on each channel, all conditioned on one z.

    Attributes:
        width: Multiplier of every channel count except that of z.
        bn_momentum: Momentum of the running BatchNorm statistics.
        dtype: Type of the arithmetic; the residual itself is float32.
        remat: Whether to keep only each block's input for the gradient and to recompute the block.
        skips: Whether each upsampling block also gets the output of the downsampling block of the same rate.
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
        parts: `unet`; `curve`; or `curve_and_unet`, where the U-Net gets the output of the curve as a second input and
            adds to it. With a curve, the first entry of z is the logarithm of the level that the signal is divided by.
    """

    width: float = 1.0
    bn_momentum: float = 0.99
    dtype: str = "float32"
    remat: bool = False
    skips: bool = True
    precision: str = DEFAULT_PRECISION
    parts: str = "unet"

    @nn.compact
    def __call__(
        self,
        audio: Float[Array, "batch time channel"],
        z: Float[Array, "batch latent"],
        lengths: Int[Array, " batch"] | None = None,
        train: bool = False,
    ) -> Float[Array, "batch time channel"]:
        """The residual; 0 beyond `lengths` (samples). `train`: BatchNorm with the batch's own statistics."""
        mask = length_mask(lengths, audio.shape[1])
        audio = apply_mask(audio, mask)
        if self.parts == "unet":
            return apply_mask(self._unet([audio], z, lengths, train), mask)
        scale = jnp.exp(z[:, 0])[:, None, None]
        audio = audio / scale
        output = apply_curve(audio, InverseCurve(self.precision, name="curve")(z))
        if self.parts == "curve_and_unet":
            output = output + self._unet([audio, output], z, lengths, train)
        return apply_mask(scale * output, mask)

    @nn.nowrap  # it belongs to __call__, where Flax names its layers
    def _unet(
        self,
        inputs: list[Float[Array, "batch time channel"]],
        z: Float[Array, "batch latent"],
        lengths: Int[Array, " batch"] | None,
        train: bool,
    ) -> Float[Array, "batch time channel"]:
        """What the U-Net adds, from one or several versions of each channel."""
        batch, time, channels = inputs[0].shape
        x = jnp.stack([jnp.moveaxis(audio, 2, 1).reshape(batch * channels, time) for audio in inputs], axis=-1)
        x = jnp.pad(x, ((0, 0), (0, -time % STRIDE), (0, 0)))
        z = jnp.repeat(z, channels, axis=0)
        padded_lengths = None if lengths is None else jnp.repeat(-(-lengths // STRIDE) * STRIDE, channels)

        film_block = maybe_remat(FilmBlock, self.remat)

        def block(name, channels, level, x, skip=None):
            time_at_level = x.shape[1] if skip is None else skip.shape[1]
            mask = None if padded_lengths is None else length_mask(padded_lengths // 2**level, time_at_level)
            module = film_block(
                features=scale_channels(channels, self.width),
                bn_momentum=self.bn_momentum,
                dtype=self.dtype,
                concat_skip=self.skips,
                precision=self.precision,
                name=name,
            )
            return module(x, mask, train, z, skip)

        skips = []
        for level, size in enumerate(_DOWN_CHANNELS):
            skips.append(block(f"down_{level}", size, level, x))
            x = nn.avg_pool(skips[-1], (2,), (2,))
        x = block("bottleneck", _BOTTLENECK_CHANNELS, len(_DOWN_CHANNELS), x)
        for level in reversed(range(len(_DOWN_CHANNELS))):
            x = block(f"up_{level}", _DOWN_CHANNELS[level], level, x, skips[level])
        x = nn.Conv(
            features=1,
            kernel_size=(1,),
            kernel_init=nn.initializers.zeros,
            conv_general_dilated=convolve,
            dtype=self.dtype,
            precision=self.precision,
            name="out",
        )(x).astype(jnp.float32)
        return jnp.moveaxis(x[:, :time].reshape(batch, channels, time), 1, 2)
