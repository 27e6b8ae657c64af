"""Features of the spectral encoder: long-term levels in sixth octaves, without the waveform, in JAX or in NumPy.

A frame covers 4096 samples every 1024. For each band it holds the power, the level, the spectral flatness
(mean(log P) − log(mean P) over the band's bins: near 0 for a flat spectrum, far below for a few partials), and the
change of the level since the previous frame. Frames hold these values and their squares, so that the mean over any
chunks of a track is the mean over the track. Levels are in bels (1 bel = 10 dB).

From the means follow the long-term spectrum, which an equalizer changes, and features that it does not change: the
standard deviations of level and flatness over time, the mean level below the level of the mean power, and the mean
flatness. The latter describe the kind of music and thereby predict its spectrum (docs/results/results.md). z is linear
in all features: with a few hundred songs, a nonlinear network in between overfits.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Bool, Float, Int

from nmjax.dsp.fft import rfft
from nmjax.dsp.filterbanks import band_filterbank
from nmjax.dsp.namespace import namespace
from nmjax.dsp.numerics import safe_log, safe_sqrt
from nmjax.models.masks import length_mask
from nmjax.models.signal_format import SAMPLE_RATE
from nmjax.runtime.lazy_jax import Array, jnp

WINDOW, HOP = 4096, 1024
STRIDE = HOP  # samples per frame; chunks of a stream start at multiples of it
MARGIN = 3 * HOP  # samples on each side that a frame and the previous one depend on (2560), rounded up to whole frames
NUM_BANDS = 54
BAND_EDGES_HZ = np.geomspace(30.0, 16_000.0, NUM_BANDS + 1)
BAND_CENTERS_HZ = np.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1])
FLOOR_DB = -90.0  # lowest level, relative to a mean square of 1; signals are at −20 LUFS
_BIN_FLOOR_DB = -130.0  # lowest level of one bin: with a higher floor, the flatness would depend on the band's level
_SILENCE_DB = -60.0  # frames below count for the power only
_MIN_BIN_SHARE = 0.2  # a bin belongs to a band if at least this share of its power does
_HANN = (0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)).astype(np.float32)
NUM_FEATURES = 6 * NUM_BANDS + 1
NUM_FRAME_FEATURES = 6 * NUM_BANDS + 1  # of a frame before pooling: powers, a count, and five values per band


def frame_count(samples):
    """Frames of a signal of `samples` samples (int or array)."""
    return -(-samples // HOP)


def band_power_and_flatness(
    audio: Float[Array, "batch time 1"], lengths: Int[Array, " batch"] | None = None
) -> tuple[Float[Array, "batch frames band"], Float[Array, "batch frames band"]]:
    """Power (mean square) and spectral flatness (bels, ≤ 0) of each band, every 1024 samples.

    Args:
        audio: Signals at the model's rate and level.
        lengths: Valid samples of each signal; None if all are.
    """
    mask = length_mask(lengths, audio.shape[1])
    signal = audio[..., 0] if mask is None else audio[..., 0] * mask[..., 0]
    num_frames = frame_count(signal.shape[1])
    pad_before = (WINDOW - HOP) // 2
    blocks = num_frames - 1 + WINDOW // HOP
    xp = namespace(signal)
    padded = xp.pad(signal, ((0, 0), (pad_before, blocks * HOP - pad_before - signal.shape[1])))
    if xp is np:
        frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP]
    else:
        hops = padded.reshape(len(signal), blocks, HOP)
        frames = xp.concatenate([hops[:, i : i + num_frames] for i in range(WINDOW // HOP)], axis=2)
    spectrum = rfft(frames * _HANN[None, None])
    band_weights, bin_mean_weights = _band_matrices()
    if xp is np:  # no band needs the bins above; in JAX they stay, as in training
        used = _used_bins()
        spectrum, band_weights, bin_mean_weights = spectrum[..., :used], band_weights[:used], bin_mean_weights[:used]
    bins = (spectrum.real**2 + spectrum.imag**2) * np.float32(2.0 / (WINDOW * np.sum(_HANN**2)))
    power = _product(bins, band_weights)
    return power, _product(_level_bel(bins, _BIN_FLOOR_DB), bin_mean_weights) - _level_bel(power)


def frame_features(
    power: Float[Array, "batch frames band"],
    flatness: Float[Array, "batch frames band"],
    mask: Bool[Array, "batch frames 1"] | None = None,
) -> Float[Array, "batch frames features"]:
    """The frames to pool: powers, and for frames above −60 dB a count of 1, levels, flatness, squares, level changes.

    Args:
        power, flatness: From `band_power_and_flatness`.
        mask: False for frames to set to 0; None for none.
    """
    xp, level = namespace(power), _level_bel(power)
    is_active = xp.sum(power, axis=2, keepdims=True) > 10.0 ** (_SILENCE_DB / 10.0)
    previous = xp.concatenate([level[:, :1], level[:, :-1]], axis=1)
    flatness = xp.where(power > 10.0 ** (FLOOR_DB / 10.0), flatness, 0.0)
    active_features = [
        xp.ones_like(is_active, np.float32),
        level,
        level**2,
        flatness,
        flatness**2,
        xp.abs(level - previous),
    ]
    active = xp.where(is_active, xp.concatenate(active_features, axis=2), np.float32(0.0))
    frames = xp.concatenate([power, active], axis=2)
    return frames if mask is None else xp.where(mask, frames, 0.0)


def pooled_features(mean: Float[Array, "batch pooled"]) -> Float[Array, "batch features"]:
    """The features that z is linear in, in bels, from the mean over the frames of `frame_features`.

    They are, in this order: the long-term spectrum minus its mean over the bands; the mean level minus that spectrum;
    the level's standard deviation and its mean absolute change from frame to frame; the flatness and its standard
    deviation; the spectrum's mean (one value).
    """
    xp = namespace(mean)
    power, active_fraction, active_sums = xp.split(mean, (NUM_BANDS, NUM_BANDS + 1), axis=1)
    level, mean_square_level, flatness, mean_square_flatness, level_change = xp.split(
        active_sums / xp.maximum(active_fraction, 1e-3), 5, axis=1
    )
    spectrum = _level_bel(power)
    spectrum_mean = xp.mean(spectrum, axis=1, keepdims=True)
    level_std, flatness_std = (
        safe_sqrt(xp.maximum(mean_square - mean_value**2, 0.0), 1e-4)
        for mean_value, mean_square in ((level, mean_square_level), (flatness, mean_square_flatness))
    )
    return xp.concatenate(
        [spectrum - spectrum_mean, level - spectrum, level_std, level_change, flatness, flatness_std, spectrum_mean],
        axis=1,
    )


def latent_change(
    kernel: Float[Array, "features latent"], change_db: Float[Array, "batch band"]
) -> Float[Array, "batch latent"]:
    """The change of z when an equalizer changes the long-term spectrum, in dB at `BAND_CENTERS_HZ`.

    kernel: of the encoder's dense layer.
    """
    xp = namespace(kernel, change_db)
    mean_db = xp.mean(change_db, axis=1, keepdims=True)
    unchanged = xp.zeros((len(change_db), NUM_FEATURES - NUM_BANDS - 1), change_db.dtype)
    change = xp.concatenate([change_db - mean_db, unchanged, mean_db], axis=1)
    return _product(0.1 * change, kernel)


def _product(x: Array, matrix: Array) -> Array:
    """The matrix product in full float32 precision."""
    return jnp.matmul(x, matrix, precision="highest") if namespace(x, matrix) is jnp else np.matmul(x, matrix)


@functools.cache
def _band_matrices() -> tuple[Float[np.ndarray, "bins band"], Float[np.ndarray, "bins band"]]:
    """Matrices of the sum and of the mean over each band's bins, float32."""
    shares = band_filterbank(BAND_EDGES_HZ[:-1], BAND_EDGES_HZ[1:], WINDOW, SAMPLE_RATE)
    return shares.astype(np.float32), _bin_mean_weights(shares).astype(np.float32)


@functools.cache
def _used_bins() -> int:
    """Number of bins from 0 Hz on that a band needs."""
    return int(np.flatnonzero(_band_matrices()[0].any(axis=1))[-1]) + 1


def _bin_mean_weights(shares: np.ndarray) -> np.ndarray:
    """Matrix of the mean over each band's bins; for a band narrower than a bin, the shares are the weights."""
    weights = np.where((shares >= _MIN_BIN_SHARE).any(axis=0), shares >= _MIN_BIN_SHARE, shares)
    return weights / weights.sum(axis=0)


def _level_bel(power: Array, floor_db: float = FLOOR_DB) -> Array:
    """Level of a power in bels, clipped at the floor with gradient 0."""
    return safe_log(power, 10.0 ** (floor_db / 10.0)) * np.float32(1.0 / np.log(10.0))
