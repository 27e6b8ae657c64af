"""Declipping of short segments by social sparsity: few time-frequency regions hold the signal's energy.

K. Siedenburg, M. Kowalski, M. Dörfler, "Audio declipping with social sparsity", ICASSP 2014. There, coefficients are
shrunk by the energy of their neighborhood and the result approaches the clipped samples' constraint by a penalty. Here
the constraint is exact: with D a Parseval frame (D D* = 1), S_λ the shrinkage and P the projection onto the signals
that agree with the clipped one,

    x ← P(D S_λ(D* v)),   v ← x + m (x − x_before),   λ falling from λ₀ to λ₁.

The step is that of a proximal gradient method with momentum m.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from nmjax.runtime.lazy_jax import Array, jax, jnp, lazy_jit

NEIGHBORHOOD = 5  # frames whose mean energy decides about a coefficient
FINAL_THRESHOLD = 1e-3  # λ₁: −60 dB relative to the clip level
_MIN_ENERGY = 1e-20


def analyze_frames(segments: Float[Array, "segment time"], window_length: int) -> Float[Array, "segment frames window"]:
    """Windowed frames with 50 % overlap, the first and the last inside the segment.

    The window is a sine, sin(π (n + ½) / window_length), whose square and its shift by half a window add up to 1.

    Args:
        segments: a whole number of half windows, at least two.
        window_length: even.
    """
    hops = segments.reshape(segments.shape[0], -1, window_length // 2)
    frames = jnp.concatenate([hops[:, :-1], hops[:, 1:]], axis=2)
    return frames * _sine_window(window_length, segments.dtype)


def synthesize_frames(frames: Float[Array, "segment frames window"]) -> Float[Array, "segment time"]:
    """The adjoint of `analyze_frames`: windowed frames, overlapped and added.

    It is the inverse too, except in the first and the last half window of a segment, which fade in and out.
    """
    window_length = frames.shape[2]
    first, second = jnp.split(frames * _sine_window(window_length, frames.dtype), 2, axis=2)
    hops = jnp.pad(first, [(0, 0), (0, 1), (0, 0)]) + jnp.pad(second, [(0, 0), (1, 0), (0, 0)])
    return hops.reshape(frames.shape[0], -1)


def _sine_window(window_length: int, dtype: jnp.dtype) -> Float[Array, "1 1 window"]:
    phase = np.pi * (np.arange(window_length) + 0.5) / window_length
    return jnp.asarray(np.sin(phase), dtype)[None, None]


def persistent_wiener_gain(
    power: Float[Array, "segment frames bins"], threshold: Float[Array, " segment"]
) -> Float[Array, "segment frames bins"]:
    """The persistent empirical Wiener shrinkage max(0, 1 − λ² / E), E the mean power of five neighboring frames.

    Args:
        power: |coefficients|²; the first and the last frame are repeated beyond the ends.
        threshold: λ, in the coefficients' unit.
    """
    reach, num_frames = NEIGHBORHOOD // 2, power.shape[1]
    padded = jnp.pad(power, [(0, 0), (reach, reach), (0, 0)], mode="edge")
    energy = sum(padded[:, shift : shift + num_frames] for shift in range(NEIGHBORHOOD)) / NEIGHBORHOOD
    return jnp.maximum(1.0 - threshold[:, None, None] ** 2 / jnp.maximum(energy, _MIN_ENERGY), 0.0)


def _shrink(
    signals: Float[Array, "segment time"], threshold: Float[Array, " segment"], window_length: int
) -> Float[Array, "segment time"]:
    """D S_λ(D* signals)."""
    spectra = jnp.fft.rfft(analyze_frames(signals, window_length))
    power = jnp.real(spectra) ** 2 + jnp.imag(spectra) ** 2
    return synthesize_frames(jnp.fft.irfft(spectra * persistent_wiener_gain(power, threshold), window_length))


@lazy_jit(static_argnames="window_length")
def restore_segments(
    segments: Float[Array, "segment time"],
    is_clipped: Bool[Array, "segment time"],
    level: Float[Array, " segment"],
    momentum: Float[Array, ""],
    first_threshold: Float[Array, ""],
    iterations: int | Array,
    window_length: int,
) -> Float[Array, "segment time"]:
    """The segments with their clipped samples restored; the others are unchanged.

    Args:
        segments: a whole number of half windows, at least five.
        is_clipped: samples that may grow in magnitude, with their sign.
        level: clip level, above 0; thresholds are relative to it.
        momentum: m, from 0 to below 1. The larger it is, the more iterations are needed.
        first_threshold: λ₀, relative to the level.
        iterations: at least 2; not part of the compiled program.
        window_length: of a frame, in samples; even.
    """
    scale = level * np.float32(window_length**0.5)
    decay = jnp.log(FINAL_THRESHOLD / first_threshold)

    def project(estimate: Array) -> Array:
        grown = jnp.where(segments > 0, jnp.maximum(estimate, segments), jnp.minimum(estimate, segments))
        return jnp.where(is_clipped, grown, segments)

    def iterate(i: Array, signals: tuple[Array, Array]) -> tuple[Array, Array]:
        before, extrapolated = signals
        threshold = scale * first_threshold * jnp.exp(decay * i / (iterations - 1.0))
        result = project(_shrink(extrapolated, threshold, window_length))
        return result, result + momentum * (result - before)

    return jax.lax.fori_loop(0, iterations, iterate, (segments, segments))[0]
