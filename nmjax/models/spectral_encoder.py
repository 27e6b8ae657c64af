"""The encoder's alternative: it hears long-term levels in sixth octaves, and nothing of the waveform.

A frame is 4096 samples every 1024. What is pooled over time are each band's power, its level, and the level's square,
so that the mean over any pieces of a track is the mean over the track. From these come the long-term spectrum, the mean
level and how far the level moves, and a network of three layers turns them into z. There is nothing to learn before it
hears a spectrum, which the TCN must learn from the waveform.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from nmjax.dsp.auditory import band_shares
from nmjax.dsp.numerics import safe_log, safe_sqrt
from nmjax.models.encoder import LATENT
from nmjax.models.layers import pooled, within

WINDOW, HOP = 4096, 1024
STRIDE = HOP  # samples a frame; pieces for streaming start at multiples of it
MARGIN = 2 * HOP  # samples on each side that a frame can hear (1536), rounded up to whole frames
SAMPLE_RATE = 44_100  # Hz, at which the bands are laid out
_LOWEST_HZ, _HIGHEST_HZ, _BANDS = 30.0, 16_000.0, 54
_FLOOR_DB = -90.0  # of a mean square of 1; signals are at −20 LUFS
_HIDDEN = 512


class SpectralEncoder(nn.Module):
    """Audio `[batch, time, 1]` → z `[batch, 512]`, for any time from one sample; the same methods as `Encoder`.

    dropout: after each hidden layer. There is no width: its cost is that of one FFT.
    """

    dropout: float = 0.2

    def setup(self):
        self.hidden = [nn.Dense(_HIDDEN), nn.Dense(_HIDDEN)]
        self.drop = nn.Dropout(self.dropout)
        self.out = nn.Dense(LATENT)

    def frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, "batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch frames features"]:
        """Each band's power, level (in 10 dB) and its square, every 1024 samples; 0 beyond a signal's length."""
        signal = audio[..., 0] if lengths is None else audio[..., 0] * within(lengths, audio.shape[1])[..., 0]
        count = frames_of(signal.shape[1])
        before = (WINDOW - HOP) // 2
        blocks = count - 1 + WINDOW // HOP
        padded = jnp.pad(signal, ((0, 0), (before, blocks * HOP - before - signal.shape[1])))
        padded = padded.reshape(len(signal), blocks, HOP)
        cut = jnp.concatenate([padded[:, i : i + count] for i in range(WINDOW // HOP)], axis=2)
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
        spectrum = jnp.fft.rfft(cut * jnp.asarray(hann, jnp.float32)[None, None], axis=2)
        power = (spectrum.real**2 + spectrum.imag**2) * (2.0 / (WINDOW * np.sum(hann**2)))
        edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BANDS + 1)
        shares = jnp.asarray(band_shares(edges[:-1], edges[1:], WINDOW, SAMPLE_RATE), jnp.float32)
        power = jnp.einsum("btf,fn->btn", power, shares, precision="highest")
        level = _level(power)
        features = jnp.concatenate([power, level, level**2], axis=2)
        mask = None if lengths is None else within(frames_of(lengths), count)
        return features if mask is None else jnp.where(mask, features, 0.0)

    def latent(self, mean: Float[Array, "batch features"], train: bool = False) -> Float[Array, "batch 512"]:
        """z from the mean of the frames; `train` turns dropout on."""
        power, level, square = jnp.split(mean, 3, axis=1)
        spectrum = _level(power)
        motion = safe_sqrt(jnp.maximum(square - level**2, 0.0), 1e-4)
        middle = jnp.mean(spectrum, axis=1, keepdims=True)
        x = jnp.concatenate([(spectrum - middle) / 1.5, (level - spectrum) / 0.5, motion / 0.5, middle], axis=1)
        for dense in self.hidden:
            x = self.drop(nn.relu(dense(x)), deterministic=not train)
        return self.out(x)

    def __call__(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, "batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch 512"]:
        """z of a signal; beyond `lengths` (samples) nothing counts."""
        return self.latent(pooled(self.frames(audio, lengths, train), lengths, STRIDE), train)


def frames_of(samples):
    """Frames for a number of samples (int or array)."""
    return -(-samples // HOP)


def _level(power: Array) -> Array:
    """Tens of dB, held at the floor with gradient 0."""
    return safe_log(power, 10.0 ** (_FLOOR_DB / 10.0)) / np.log(10.0)
