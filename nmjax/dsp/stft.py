"""Short-time Fourier spectra, A-weighting and mid/side."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.dsp.fft import rfft
from nmjax.dsp.numerics import safe_sqrt
from nmjax.dsp.validation import check_audio, require
from nmjax.runtime.lazy_jax import Array, jnp

_RELATIVE_FLOOR = 1e-5  # −100 dB relative to the magnitude of a full-scale sine, fft_size/4


def magnitude_floor(fft_size: int) -> float:
    """The lower bound of `magnitudes`: 100 dB below the magnitude of a full-scale sine."""
    return _RELATIVE_FLOOR * fft_size / 4


def frame(signal: Float[Array, "*lead time"], frame_length: int, hop: int) -> Float[Array, "*lead frames frame"]:
    """Overlapping frames, the first centered on sample 0, with reflection at both ends (torch.stft with center=True).

    By reshaping into hops and concatenation, since the gradient of a gather is a scatter-add, slow on a CPU.

    Args:
        signal: any length above 0.
        frame_length: samples per frame, a multiple of `hop`.
        hop: samples between frames.

    Returns:
        1 + time // hop frames.

    Raises:
        ValueError: a frame length that is no multiple of the hop.
    """
    require(hop >= 1, "hop", "at least 1 sample", hop)
    is_multiple = frame_length > 0 and frame_length % hop == 0
    require(is_multiple, "frame_length", f"a whole multiple of hop ({hop})", frame_length)
    num_samples, half_frame = signal.shape[-1], frame_length // 2
    num_frames, overlap = 1 + num_samples // hop, frame_length // hop
    no_padding = [(0, 0)] * (signal.ndim - 1)
    if num_samples > half_frame:
        padded = jnp.pad(signal, [*no_padding, (half_frame, half_frame)], mode="reflect")
    else:  # several reflections, for which jnp.pad would emit an operation each
        padded = jnp.take(signal, np.pad(np.arange(num_samples), half_frame, mode="reflect"), axis=-1)
    padded_length = (num_frames - 1) * hop + frame_length
    padded = jnp.pad(padded[..., :padded_length], [*no_padding, (0, max(0, padded_length - padded.shape[-1]))])
    hops = padded.reshape(*signal.shape[:-1], num_frames + overlap - 1, hop)
    return jnp.concatenate([hops[..., i : i + num_frames, :] for i in range(overlap)], axis=-1)


def _stft(audio: Float[Array, "batch time channel"], fft_size: int, hop: int) -> Array:
    """Complex spectra with a periodic Hann window, `[batch, channel, frames, bins]`."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(fft_size) / fft_size)
    frames = frame(jnp.moveaxis(audio, 2, 1), fft_size, hop) * jnp.asarray(hann, audio.dtype)[None, None, None]
    return rfft(frames)


def magnitudes(
    audio: Float[Array, "batch time channel"], fft_size: int, hop: int | None = None
) -> Float[Array, "batch channel frames bins"]:
    """|STFT| with a periodic Hann window, clamped to at least `magnitude_floor` with gradient 0 below it.

    Args:
        audio: any length above 0.
        fft_size: samples per frame, even; the spectrum has fft_size//2 + 1 bins.
        hop: samples between frames; a quarter of `fft_size` if not given.
    """
    spectrum = _stft(audio, fft_size, hop or fft_size // 4)
    return safe_sqrt(jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2, magnitude_floor(fft_size) ** 2)


def power_spectra(audio: Float[Array, "batch time channel"], fft_size: int) -> Float[Array, "batch channel bins"]:
    """The power of each bin from 0 Hz to half the sample rate, averaged over frames with 75 % overlap (Welch).

    The bins sum to the mean square of the signal, up to the weighting of its ends, so a full-scale sine sums to 0.5.

    Args:
        audio: any length above 0.
        fft_size: samples per frame, a multiple of 4.

    Raises:
        ValueError: audio of another rank or type, an `fft_size` that is no multiple of 4.
    """
    check_audio(audio)
    require(fft_size >= 4 and fft_size % 4 == 0, "fft_size", "a multiple of 4 samples", fft_size)
    spectrum = _stft(audio, fft_size, fft_size // 4)
    power = jnp.mean(jnp.real(spectrum) ** 2 + jnp.imag(spectrum) ** 2, axis=2)
    bin_weights = np.full(fft_size // 2 + 1, 2.0)  # positive and negative frequencies
    bin_weights[[0, -1]] = 1.0  # 0 Hz and half the sample rate occur once
    hann_power = 0.375 * fft_size  # Σ hann²
    return power * jnp.asarray(bin_weights / (hann_power * fft_size), power.dtype)[None, None]


def a_weighting_db(freq_hz: np.ndarray) -> np.ndarray:
    """A-weighting of IEC 61672-1 (annex E) in dB: 0 dB at 1 kHz, −inf at 0 Hz. In NumPy, since it is a constant."""
    f1, f2, f3, f4 = 20.598997, 107.65265, 737.86223, 12194.217
    freq_squared = np.square(np.asarray(freq_hz, np.float64))
    magnitude = (
        f4**2
        * freq_squared**2
        / ((freq_squared + f1**2) * np.sqrt((freq_squared + f2**2) * (freq_squared + f3**2)) * (freq_squared + f4**2))
    )
    with np.errstate(divide="ignore"):
        return 20.0 * np.log10(magnitude) + 2.00


def a_weights(fft_size: int, sample_rate: float) -> np.ndarray:
    """A-weighting as linear factors on the bins of a spectrum, `[bins]`, float32."""
    freq_hz = np.arange(fft_size // 2 + 1) * (sample_rate / fft_size)
    return (10.0 ** (a_weighting_db(freq_hz) / 20.0)).astype(np.float32)


def mid_side(audio: Float[Array, "batch time 2"]) -> Float[Array, "batch time 2"]:
    """(L + R)/√2 and (L − R)/√2: orthonormal, so it keeps the energy and is its own inverse."""
    left, right = audio[..., 0], audio[..., 1]
    return jnp.stack([left + right, left - right], axis=-1) * math.sqrt(0.5)
