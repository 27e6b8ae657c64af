"""Distances between short-time spectra, averaged over the signals of the batch."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.numerics import clip_level, safe_sqrt
from nmjax.dsp.stft import a_weights, magnitudes, mid_side
from nmjax.dsp.validation import check_audio, check_sample_rate, require

_EPSILON = 1e-8  # lower bound of denominators


def check_pair(output: Array, target: Array, sample_rate: float) -> None:
    """Require output and target of one shape, mono or stereo, and a valid sample rate."""
    check_audio(output)
    check_sample_rate(sample_rate)
    require(output.shape == target.shape, "target", f"of the output's shape {list(output.shape)}", list(target.shape))
    require(output.shape[2] <= 2, "output and target", "mono or stereo", f"of {output.shape[2]} channels")


def _add_mid_side(audio: Array) -> Array:
    """Mono unchanged; left, right, mid and side for stereo."""
    return audio if audio.shape[-1] == 1 else jnp.concatenate([audio, mid_side(audio)], axis=-1)


def _reference_energy(energy: Float[Array, "batch signal"]) -> Float[Array, "batch signal"]:
    """The normalization of each signal's error: its own energy, but for the side that of mid and side together.

    The side of nearly mono music would otherwise be divided by almost 0.
    """
    if energy.shape[1] != 4:
        return energy
    return energy.at[:, 3].set(energy[:, 2] + energy[:, 3])


def _bandlimited_magnitudes(
    audio: Float[Array, "batch time channel"], fft_size: int, sample_rate: float, max_hz: float
) -> Float[Array, "batch signal frames bins"]:
    """Magnitudes of left, right, mid and side (or mono), up to the last bin that is not above `max_hz`."""
    return magnitudes(_add_mid_side(clip_level(audio)), fft_size)[..., : num_bins_up_to(max_hz, fft_size, sample_rate)]


def num_bins_up_to(max_hz: float, fft_size: int, sample_rate: float) -> int:
    """The number of bins of a spectrum at or below `max_hz`, at least 1 (0 Hz)."""
    return 1 + int(min(max(max_hz, 0.0) * fft_size / sample_rate, fft_size // 2))


def mr_stft_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    sample_rate: float,
    fft_sizes: tuple[int, ...],
    max_hz: float = math.inf,
) -> Float[Array, ""]:
    """Multi-resolution STFT loss: spectral convergence plus L1 of log magnitudes, averaged over sizes and signals.

        ‖|Y| − |T|‖ / ‖|T|‖ + mean |ln|Y| − ln|T||

    Hann windows with 75 % overlap; for stereo on left, right, mid and side. Source: Yamamoto, Song and Kim, "Parallel
    WaveGAN" (2020), eq. 3 to 6.

    Args:
        output: mono or stereo, any length.
        target: of the same shape.
        sample_rate: Hz.
        fft_sizes: samples per frame, each a multiple of 4.
        max_hz: bins above it are ignored. Lossy codecs remove that range, and its near-zero magnitudes would dominate
            the difference of logarithms.

    Raises:
        ValueError: different shapes, more than two channels, no FFT size, a sample rate not above 0.
    """
    check_pair(output, target, sample_rate)
    require(len(fft_sizes) > 0, "fft_sizes", "at least one", fft_sizes)
    total = jnp.zeros((), output.dtype)
    for fft_size in fft_sizes:
        y, t = (_bandlimited_magnitudes(x, fft_size, sample_rate, max_hz) for x in (output, target))
        energy = _reference_energy(jnp.sum(t * t, axis=(2, 3)))
        distance = safe_sqrt(jnp.sum((y - t) ** 2, axis=(2, 3)))
        convergence = distance / jnp.sqrt(jnp.maximum(energy, _EPSILON))
        total += jnp.mean(convergence) + jnp.mean(jnp.abs(jnp.log(y) - jnp.log(t)))
    return total / len(fft_sizes)


def a_weighted_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    sample_rate: float,
    fft_size: int = 2048,
    max_hz: float = math.inf,
) -> Float[Array, ""]:
    """A-weighted spectral difference Σ A(f)·||Y| − |T|| / Σ A(f)·|T|, averaged over the signals.

    A(f) is the weighting of IEC 61672-1. The magnitudes are linear, since a weight inside a difference of logarithms
    cancels. The side is normalized by mid and side together. Arguments and errors as in `mr_stft_loss`.
    """
    check_pair(output, target, sample_rate)
    weights = a_weights(fft_size, sample_rate)[: num_bins_up_to(max_hz, fft_size, sample_rate)]
    weights = jnp.asarray(weights)[None, None, None]
    y, t = (_bandlimited_magnitudes(x, fft_size, sample_rate, max_hz) for x in (output, target))
    difference = jnp.sum(weights * jnp.abs(y - t), axis=(2, 3))
    reference = _reference_energy(jnp.sum(weights * t, axis=(2, 3)))
    return jnp.mean(difference / jnp.maximum(reference, _EPSILON))
