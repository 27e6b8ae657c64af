"""Spectral encoder: z from the features of `spectral_features`, without the waveform.

z is linear in them: with a few hundred songs, a nonlinear network in between overfits.
"""

from __future__ import annotations

from flax import linen as nn
from jaxtyping import Array, Float, Int

from nmjax.models import spectral_features
from nmjax.models.layers import DEFAULT_PRECISION
from nmjax.models.masks import length_mask, mean_pool
from nmjax.models.signal_format import LATENT_SIZE
from nmjax.models.spectral_features import band_power_and_flatness, frame_count, frame_features, pooled_features

STRIDE, MARGIN = spectral_features.STRIDE, spectral_features.MARGIN
ENCODES_CHANNELS = False  # but their mean


class SpectralEncoder(nn.Module):
    """Audio `[batch, time, 1]` → z `[batch, 512]`, for any length from one sample; same methods as `Encoder`.

    It has no width multiplier: its cost is that of one FFT.

    Attributes:
        precision: Precision of float32 products, see `layers.DEFAULT_PRECISION`.
    """

    precision: str = DEFAULT_PRECISION

    def setup(self):
        self.out = nn.Dense(LATENT_SIZE, precision=self.precision)

    def frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch frames features"]:
        """One frame per 1024 samples; 0 beyond a signal's length."""
        mask = None if lengths is None else length_mask(frame_count(lengths), frame_count(audio.shape[1]))
        return frame_features(*band_power_and_flatness(audio, lengths), mask)

    def latent(self, mean: Float[Array, "batch features"]) -> Float[Array, "batch 512"]:
        """z from the mean over the frames."""
        return self.out(pooled_features(mean))

    def __call__(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch 512"]:
        """z of each signal, up to its length in samples."""
        return self.latent(mean_pool(self.frames(audio, lengths, train), lengths, STRIDE))
