"""Distances between short-time spectra; each term is the mean of the single signals' results."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.numerics import clip_level, safe_sqrt
from nmjax.dsp.stft import a_weights, magnitudes, mid_side
from nmjax.dsp.validation import check_audio, check_sample_rate, require

_EPSILON = 1e-8


def check_pair(output: Array, target: Array, sample_rate: float) -> None:
    """Two signals of one shape, mono or stereo, and a rate; a ValueError names what is not so."""
    check_audio(output)
    check_sample_rate(sample_rate)
    require(output.shape == target.shape, "target", f"of the output's shape {list(output.shape)}", list(target.shape))
    require(output.shape[2] <= 2, "output and target", "mono or stereo", f"of {output.shape[2]} channels")


def _add_mid_side(audio: Array) -> Array:
    """The signals that count: mono as it is; of stereo left, right, mid and side."""
    return audio if audio.shape[-1] == 1 else jnp.concatenate([audio, mid_side(audio)], axis=-1)


def _reference_energy(energy: Float[Array, "batch signal"]) -> Float[Array, "batch signal"]:
    """What a spectral convergence is normalised by: a signal's own energy, but the side's by mid and side together,
    so that nearly mono music does not explode it."""
    if energy.shape[1] != 4:
        return energy
    return energy.at[:, 3].set(energy[:, 2] + energy[:, 3])


def _bandlimited_magnitudes(
    audio: Float[Array, "batch time channel"], fft_size: int, sample_rate: float, max_hz: float
) -> Float[Array, "batch signal frames bins"]:
    """Magnitudes of the signals that count, up to and with the last bin that is not above `highest_hz`."""
    return magnitudes(_add_mid_side(clip_level(audio)), fft_size)[..., : num_bins_up_to(max_hz, fft_size, sample_rate)]


def num_bins_up_to(max_hz: float, fft_size: int, sample_rate: float) -> int:
    """How many bins of a spectrum, 0 Hz included, lie at or below a frequency; at least 1."""
    return 1 + int(min(max(max_hz, 0.0) * fft_size / sample_rate, fft_size // 2))


def mr_stft_loss(
    output: Float[Array, "batch time channel"],
    target: Float[Array, "batch time channel"],
    sample_rate: float,
    fft_sizes: tuple[int, ...],
    max_hz: float = math.inf,
) -> Float[Array, ""]:
    """Multi-resolution STFT loss: spectral convergence plus L1 of the log magnitudes, averaged over windows and
    signals.

    ‖|Y| − |T|‖ / ‖|T|‖ + mean |ln|Y| − ln|T||, Hann windows, hop a quarter of the window. Yamamoto, Song and Kim,
    "Parallel WaveGAN" (2020), eq. 3 to 6. Stereo counts as left, right, mid and side.

    Args:
        output, target: the same shape, mono or stereo, any length.
        sample_rate: Hz.
        windows: samples, each even and a multiple of 4.
        highest_hz: bins above are left out. Lossy music holds nothing there, and the logarithm of nothing would
            outweigh all that is heard.

    Raises:
        ValueError: shapes that differ, more than two channels, no window, a rate that is not above 0.
    """
    check_pair(output, target, sample_rate)
    require(len(fft_sizes) > 0, "windows", "at least one", fft_sizes)
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
    """Σ A(f)·||Y| − |T|| / Σ A(f)·|T| on linear magnitudes, A the curve of IEC 61672-1; the mean over the signals.

    On linear magnitudes, since a weight inside a difference of logarithms cancels. The side is normalised by mid and
    side together.
    """
    check_pair(output, target, sample_rate)
    weights = a_weights(fft_size, sample_rate)[: num_bins_up_to(max_hz, fft_size, sample_rate)]
    weights = jnp.asarray(weights)[None, None, None]
    y, t = (_bandlimited_magnitudes(x, fft_size, sample_rate, max_hz) for x in (output, target))
    difference = jnp.sum(weights * jnp.abs(y - t), axis=(2, 3))
    reference = _reference_energy(jnp.sum(weights * t, axis=(2, 3)))
    return jnp.mean(difference / jnp.maximum(reference, _EPSILON))
