"""The encoder's alternative: it hears long-term levels in sixth octaves, and nothing of the waveform.

A frame is 4096 samples every 1024. Of each band it hears the power; the level; how noisy the band is (the mean level of
its bins below the level of their mean: 0 dB for a flat spectrum, far below for a few partials); and by how much the
level differs from the frame before. What is pooled over time are these and their squares, so that the mean over any
pieces of a track is the mean over the track.

From the means come the long-term spectrum, which an equaliser changes, and what no equaliser changes: how the levels
move, how far they lie below the level of the mean power, how noisy the bands are. The second tells what kind of music
it is and with that what spectrum to expect (docs/results.md). z is linear in all of it: with some hundred songs to
learn from, a network in between learns them by heart.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from nmjax.dsp.filterbanks import band_filterbank
from nmjax.dsp.numerics import safe_log, safe_sqrt
from nmjax.models.encoder import LATENT_SIZE
from nmjax.models.layers import length_mask, mean_pool

WINDOW, HOP = 4096, 1024
STRIDE = HOP  # samples a frame; pieces for streaming start at multiples of it
MARGIN = 3 * HOP  # samples on each side that a frame and the one before can hear (2560), rounded up to whole frames
SAMPLE_RATE = 44_100  # Hz, at which the bands are laid out
NUM_BANDS = 54
BAND_EDGES_HZ = np.geomspace(30.0, 16_000.0, NUM_BANDS + 1)
FLOOR_DB = -90.0  # levels are held here, relative to a mean square of 1; signals are at −20 LUFS
_BIN_FLOOR_DB = -130.0  # of one bin: held any higher, its distance to the band's level would tell that level
_SILENCE_DB = -60.0  # frames below are left out of all but the power
_MIN_BIN_SHARE = 0.2  # a bin counts as a band's own if at least this share of its power is
NUM_FEATURES = 6 * NUM_BANDS + 1  # that z is linear in


class SpectralEncoder(nn.Module):
    """Audio `[batch, time, 1]` → z `[batch, 512]`, for any time from one sample; the same methods as `Encoder`.

    There is no width: its cost is that of one FFT.
    """

    def setup(self):
        self.out = nn.Dense(LATENT_SIZE)

    def frames(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch frames features"]:
        """What is pooled, every 1024 samples; 0 beyond a signal's length."""
        mask = None if lengths is None else length_mask(frame_count(lengths), frame_count(audio.shape[1]))
        return frame_features(*band_power_and_flatness(audio, lengths), mask)

    def latent(self, mean: Float[Array, "batch features"]) -> Float[Array, "batch 512"]:
        """z from the mean of the frames."""
        return self.out(pooled_features(mean))

    def __call__(
        self, audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None, train: bool = False
    ) -> Float[Array, "batch 512"]:
        """z of a signal; beyond `lengths` (samples) nothing counts."""
        return self.latent(mean_pool(self.frames(audio, lengths, train), lengths, STRIDE))


def frame_count(samples):
    """Frames for a number of samples (int or array)."""
    return -(-samples // HOP)


def band_power_and_flatness(
    audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None
) -> tuple[Float[Array, "batch frames band"], Float[Array, "batch frames band"]]:
    """Each band's power (mean square), and the mean of its bins' levels below the level of the band's power, in tens of
    dB; every 1024 samples."""
    signal = audio[..., 0] if lengths is None else audio[..., 0] * length_mask(lengths, audio.shape[1])[..., 0]
    num_frames = frame_count(signal.shape[1])
    pad_before = (WINDOW - HOP) // 2
    blocks = num_frames - 1 + WINDOW // HOP
    padded = jnp.pad(signal, ((0, 0), (pad_before, blocks * HOP - pad_before - signal.shape[1])))
    padded = padded.reshape(len(signal), blocks, HOP)
    frames = jnp.concatenate([padded[:, i : i + num_frames] for i in range(WINDOW // HOP)], axis=2)
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
    spectrum = jnp.fft.rfft(frames * jnp.asarray(hann, jnp.float32)[None, None], axis=2)
    bins = (spectrum.real**2 + spectrum.imag**2) * (2.0 / (WINDOW * np.sum(hann**2)))
    band_weights = band_filterbank(BAND_EDGES_HZ[:-1], BAND_EDGES_HZ[1:], WINDOW, SAMPLE_RATE)
    power = _apply_matrix(bins, band_weights)
    return power, _apply_matrix(_level_bel(bins, _BIN_FLOOR_DB), _bin_mean_weights(band_weights)) - _level_bel(power)


def frame_features(
    power: Float[Array, "batch frames band"],
    flatness: Float[Array, "batch frames band"],
    mask: Bool[Array, "batch frames 1"] | None = None,
) -> Float[Array, "batch frames features"]:
    """What is pooled of `heard`; frames outside the mask are 0."""
    level = _level_bel(power)
    is_active = jnp.sum(power, axis=2, keepdims=True) > 10.0 ** (_SILENCE_DB / 10.0)
    previous = jnp.concatenate([level[:, :1], level[:, :-1]], axis=1)
    flatness = jnp.where(power > 10.0 ** (FLOOR_DB / 10.0), flatness, 0.0)
    active_features = [
        jnp.ones_like(is_active, jnp.float32),
        level,
        level**2,
        flatness,
        flatness**2,
        jnp.abs(level - previous),
    ]
    frames = jnp.concatenate([power, jnp.where(is_active, jnp.concatenate(active_features, axis=2), 0.0)], axis=2)
    return frames if mask is None else jnp.where(mask, frames, 0.0)


def pooled_features(mean: Float[Array, "batch pooled"]) -> Float[Array, "batch features"]:
    """What z is linear in, from the means of `poolable`: the long-term spectrum about its middle; how far the levels
    lie below it, move, and differ from frame to frame; the bands' noisiness and how it moves; the middle. Tens of dB.
    """
    power, active_fraction, active_sums = (
        mean[:, :NUM_BANDS],
        mean[:, NUM_BANDS : NUM_BANDS + 1],
        mean[:, NUM_BANDS + 1 :],
    )
    level, mean_square_level, flatness, mean_square_flatness, level_change = jnp.split(
        active_sums / jnp.maximum(active_fraction, 1e-3), 5, axis=1
    )
    spectrum = _level_bel(power)
    spectrum_mean = jnp.mean(spectrum, axis=1, keepdims=True)
    level_std, flatness_std = (
        safe_sqrt(jnp.maximum(mean_square - mean_value**2, 0.0), 1e-4)
        for mean_value, mean_square in ((level, mean_square_level), (flatness, mean_square_flatness))
    )
    return jnp.concatenate(
        [spectrum - spectrum_mean, level - spectrum, level_std, level_change, flatness, flatness_std, spectrum_mean],
        axis=1,
    )


def _apply_matrix(x: Array, matrix: np.ndarray) -> Array:
    return jnp.einsum("btf,fn->btn", x, jnp.asarray(matrix, jnp.float32), precision="highest")


def _bin_mean_weights(shares: np.ndarray) -> np.ndarray:
    """The mean over a band's own bins as a matrix; where a band is narrower than a bin, its shares are the weights."""
    weights = np.where((shares >= _MIN_BIN_SHARE).any(axis=0), shares >= _MIN_BIN_SHARE, shares)
    return weights / weights.sum(axis=0)


def _level_bel(power: Array, floor_db: float = FLOOR_DB) -> Array:
    """Tens of dB, held at the floor with gradient 0."""
    return safe_log(power, 10.0 ** (floor_db / 10.0)) / np.log(10.0)
