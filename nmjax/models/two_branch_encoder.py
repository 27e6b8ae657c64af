"""Two-branch encoder: z is the sum of a branch for the waveform and a branch for long-term levels.

The temporal convolutional branch can detect damage and transients, but its frames of 23 ms do not resolve the lowest
third octaves. The spectral branch can be fitted in closed form. The first adds zeros to z until it is trained, so
training continues from the fit. A frame covers 1024 samples.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from nmjax.models import encoder, spectral_encoder
from nmjax.models.encoder import Encoder
from nmjax.models.layers import DEFAULT_PRECISION
from nmjax.models.masks import mean_pool
from nmjax.models.spectral_encoder import SpectralEncoder
from nmjax.models.spectral_features import NUM_FRAME_FEATURES, frame_count

STRIDE = spectral_encoder.STRIDE  # samples per frame; chunks of a stream start at multiples of it
MARGIN = -(-max(encoder.MARGIN, spectral_encoder.MARGIN) // STRIDE) * STRIDE
ENCODES_CHANNELS = False  # but their mean
_WAVEFORM_FRAMES = STRIDE // encoder.STRIDE  # frames of the waveform branch in one frame

__all__ = ["ENCODES_CHANNELS", "MARGIN", "STRIDE", "TwoBranchEncoder", "frame_count"]


class TwoBranchEncoder(nn.Module):
    """Audio `[batch, time, 1]` → z `[batch, 512]`, for any length from one sample; same methods as `Encoder`.

    Attributes:
        width, bn_momentum, dtype, remat, precision: Of the waveform branch, see `Encoder`.
    """

    width: float = 1.0
    bn_momentum: float = 0.99
    dtype: str = "float32"
    remat: bool = False
    precision: str = DEFAULT_PRECISION

    def setup(self):
        self.waveform = Encoder(
            width=self.width,
            bn_momentum=self.bn_momentum,
            dtype=self.dtype,
            remat=self.remat,
            precision=self.precision,
            out_init=nn.initializers.zeros,
        )
        self.spectral = SpectralEncoder(precision=self.precision)

    def frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch frames features"]:
        """One frame per 1024 samples; 0 beyond a signal's length."""
        waveform = self.waveform.frames(audio, lengths, train)
        total = audio.shape[1] if lengths is None else lengths[:, None]
        return jnp.concatenate(
            [_mean_of_groups(waveform, encoder.frame_count(total)), self.spectral.frames(audio, lengths)], axis=2
        )

    def latent(self, mean: Float[Array, "batch features"]) -> Float[Array, "batch 512"]:
        """z from the mean over the frames."""
        waveform, spectral = jnp.split(mean, [mean.shape[1] - NUM_FRAME_FEATURES], axis=1)
        return self.waveform.latent(waveform) + self.spectral.latent(spectral)

    def __call__(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch 512"]:
        """z of each signal, up to its length in samples. `train`: BatchNorm with the batch's own statistics."""
        return self.latent(mean_pool(self.frames(audio, lengths, train), lengths, STRIDE))


def _mean_of_groups(
    frames: Float[Array, "batch frames features"], num_valid: Int[Array, "batch 1"] | int
) -> Float[Array, "batch groups features"]:
    """The mean of each 64 frames; of the last ones, the mean of those that are valid. The others are 0."""
    batch, count, features = frames.shape
    groups = -(-count // _WAVEFORM_FRAMES)
    padded = jnp.pad(frames, ((0, 0), (0, groups * _WAVEFORM_FRAMES - count), (0, 0)))
    sums = jnp.sum(padded.reshape(batch, groups, _WAVEFORM_FRAMES, features), axis=2)
    num_in_group = jnp.clip(num_valid - _WAVEFORM_FRAMES * jnp.arange(groups)[None], 1, _WAVEFORM_FRAMES)
    return sums / num_in_group[:, :, None]
