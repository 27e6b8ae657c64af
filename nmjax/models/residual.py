"""The residual: a small Wave-U-Net conditioned on z, which adds what an equaliser cannot.

It hears about ±165 samples (3.7 ms): enough to shape transients and colour, not to compress.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from nmjax.models.convolution import convolve
from nmjax.models.layers import ConvNorm, recomputed, scaled, silenced, within

STRIDE = 8  # the lowest rate is an eighth; pieces for streaming start at multiples of it
MARGIN = 176  # samples on each side that an output can hear, rounded up to a multiple of STRIDE
_DOWN = (32, 64, 128)
_BOTTLENECK = 256
_SMALL = nn.initializers.variance_scaling(0.01, "fan_in", "normal")  # of gamma and beta


class FilmBlock(nn.Module):
    """Conv(k 15) · BatchNorm · ReLU, then FiLM: gamma(z)·x + beta(z). Given a skip, x is at half its rate: it is
    doubled and, where `joins`, joined with the skip first."""

    features: int
    momentum: float
    dtype: str
    joins: bool = True

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
            x = doubled(x, None if mask is None else mask[:, ::2])
            x = jnp.concatenate([x, skip], axis=-1) if self.joins else x
        film = {"features": self.features, "kernel_init": _SMALL, "dtype": self.dtype}
        gamma = nn.Dense(**film, bias_init=nn.initializers.ones, name="gamma")(z)
        beta = nn.Dense(**film, name="beta")(z)
        layer = ConvNorm(self.features, 15, momentum=self.momentum, dtype=self.dtype, name="layer")
        x = nn.relu(layer(x, mask, train))
        return silenced(modulated(x, gamma, beta), mask)


def modulated(
    x: Float[Array, "batch time channel"], gamma: Float[Array, "batch channel"], beta: Float[Array, "batch channel"]
) -> Float[Array, "batch time channel"]:
    """gamma·x + beta. A batch of one goes without its axis, for the gradient's sum over time: see ConvNorm."""
    if len(x) == 1:
        return (gamma * x[0] + beta)[None]
    return gamma[:, None, :] * x + beta[:, None, :]


def doubled(
    x: Float[Array, "batch time channel"], mask: Bool[Array, "batch time 1"] | None
) -> Float[Array, "batch doubled channel"]:
    """Linear interpolation ×2 between frame centres; both ends of the signal (not of the array) repeat their last
    frame."""
    batch, time, channels = x.shape
    before = jnp.concatenate([x[:, :1], x[:, :-1]], axis=1)
    after = jnp.concatenate([x[:, 1:], x[:, -1:]], axis=1)
    if mask is not None:
        follows = jnp.concatenate([mask[:, 1:], mask[:, -1:]], axis=1)
        after = jnp.where(follows, after, x)
    pair = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis=2)
    return silenced(pair.reshape(batch, 2 * time, channels), None if mask is None else jnp.repeat(mask, 2, axis=1))


class Residual(nn.Module):
    """Audio `[batch, time, channel]` and z → a residual of the same shape; untrained it is silence.

    The same weights run on each channel, all conditioned on the one z. width: scales every channel count but z's.
    dtype: of the arithmetic; the residual itself is float32. remat: as the encoder's. skips: whether the way up sees
    what the way down had at the same rate.
    """

    width: float = 1.0
    momentum: float = 0.99
    dtype: str = "float32"
    remat: bool = False
    skips: bool = True

    @nn.compact
    def __call__(
        self,
        audio: Float[Array, "batch time channel"],
        z: Float[Array, "batch latent"],
        lengths: Int[Array, "batch"] | None = None,
        train: bool = False,
    ) -> Float[Array, "batch time channel"]:
        """The residual; 0 beyond `lengths` (samples). `train`: statistics of the batch, not the running ones."""
        batch, time, channels = audio.shape
        x = silenced(audio, within(lengths, time))
        x = jnp.moveaxis(x, 2, 1).reshape(batch * channels, time, 1)
        x = jnp.pad(x, ((0, 0), (0, -time % STRIDE), (0, 0)))
        z = jnp.repeat(z, channels, axis=0)
        ends = None if lengths is None else jnp.repeat(-(-lengths // STRIDE) * STRIDE, channels)

        film = recomputed(FilmBlock, self.remat)

        def block(name, channels, level, x, skip=None):
            mask = None if ends is None else within(ends // 2**level, x.shape[1] if skip is None else skip.shape[1])
            settings = (scaled(channels, self.width), self.momentum, self.dtype, self.skips)
            return film(*settings, name=name)(x, mask, train, z, skip)

        skips = []
        for level, size in enumerate(_DOWN):
            skips.append(block(f"down_{level}", size, level, x))
            x = nn.avg_pool(skips[-1], (2,), (2,))
        x = block("bottleneck", _BOTTLENECK, len(_DOWN), x)
        for level in reversed(range(len(_DOWN))):
            x = block(f"up_{level}", _DOWN[level], level, x, skips[level])
        out = {"kernel_init": nn.initializers.zeros, "conv_general_dilated": convolve, "dtype": self.dtype}
        x = nn.Conv(1, (1,), **out, name="out")(x).astype(jnp.float32)
        x = jnp.moveaxis(x[:, :time].reshape(batch, channels, time), 1, 2)
        return silenced(x, within(lengths, time))
