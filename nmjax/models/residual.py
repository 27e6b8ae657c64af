"""The residual: a small Wave-U-Net conditioned on z, which adds what an equaliser cannot.

It hears about ±165 samples (3.7 ms): enough to shape transients and colour, not to compress.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from nmjax.models.layers import ConvNorm, scaled, silenced, within

STRIDE = 8  # the lowest rate is an eighth; pieces for streaming start at multiples of it
MARGIN = 176  # samples on each side that an output can hear, rounded up to a multiple of STRIDE
_DOWN = (32, 64, 128)
_BOTTLENECK = 256


class FilmBlock(nn.Module):
    """Conv(k 15) · BatchNorm · ReLU, then FiLM: gamma(z)·x + beta(z)."""

    features: int
    momentum: float

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channel"],
        z: Float[Array, "batch latent"],
        mask: Bool[Array, "batch time 1"] | None,
        train: bool,
    ) -> Float[Array, "batch time features"]:
        small = nn.initializers.variance_scaling(0.01, "fan_in", "normal")
        gamma = nn.Dense(self.features, kernel_init=small, bias_init=nn.initializers.ones, name="gamma")(z)
        beta = nn.Dense(self.features, kernel_init=small, name="beta")(z)
        x = nn.relu(ConvNorm(self.features, 15, momentum=self.momentum, name="layer")(x, mask, train))
        return silenced(gamma[:, None, :] * x + beta[:, None, :], mask)


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
    """

    width: float = 1.0
    momentum: float = 0.99

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

        def block(name, channels, x, level):
            mask = None if ends is None else within(ends // 2**level, x.shape[1])
            return FilmBlock(scaled(channels, self.width), self.momentum, name=name)(x, z, mask, train), mask

        skips = []
        for level, size in enumerate(_DOWN):
            x, _ = block(f"down_{level}", size, x, level)
            skips.append(x)
            x = nn.avg_pool(x, (2,), (2,))
        x, mask = block("bottleneck", _BOTTLENECK, x, len(_DOWN))
        for level in reversed(range(len(_DOWN))):
            x = jnp.concatenate([doubled(x, mask), skips[level]], axis=-1)
            x, mask = block(f"up_{level}", _DOWN[level], x, level)
        x = nn.Conv(1, (1,), kernel_init=nn.initializers.zeros, name="out")(x)
        x = jnp.moveaxis(x[:, :time].reshape(batch, channels, time), 1, 2)
        return silenced(x, within(lengths, time))
