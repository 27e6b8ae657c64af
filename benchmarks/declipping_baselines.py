"""Declippers to compare with, in NumPy and SciPy: A-SPADE and cubic splines. They share no code with nmjax.

Both take a signal `[frames]`, and the level at which it is clipped, and return the signal with its unclipped samples
unchanged and its clipped ones at or beyond the level.
"""

import numpy as np
import scipy.fft
from scipy.interpolate import CubicSpline

FRAME, HOP = 2048, 512  # longer frames gained more at 5 dB input SDR and less at 10 and 15, see docs/explanation/dsp.md
TOLERANCE = 0.1  # on the residual of a frame, at which A-SPADE ends; 0.02 gained nothing
MAX_ITERATIONS = 2000


def interpolate_cubic(signal, level):
    """The cubic spline through the unclipped samples."""
    is_clipped = np.abs(signal) >= level
    index = np.arange(len(signal))
    spline = CubicSpline(index[~is_clipped], signal[~is_clipped])(index)
    return project(spline, signal, level)


def project(estimate, signal, level):
    """The nearest signal that agrees with the clipped one."""
    high, low = signal >= level, signal <= -level
    return np.where(high, np.maximum(estimate, signal), np.where(low, np.minimum(estimate, signal), signal))


def a_spade(signal, level):
    """A-SPADE: S. Kitić, N. Bertin, R. Gribonval, "Sparsity and cosparsity for audio declipping", LVA/ICA 2015.

    Frames with 75 % overlap and a root-Hann window are restored one by one with a DFT of twice their length; each
    iteration allows one more pair of coefficients.
    """
    padded = np.pad(np.asarray(signal, np.float64), FRAME)
    padded = np.pad(padded, (0, -len(padded) % HOP))
    window = np.sqrt((0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(FRAME) + 0.5) / FRAME)) * 2.0 * HOP / FRAME)
    starts = np.arange(0, len(padded) - FRAME + 1, HOP)
    index = starts[:, None] + np.arange(FRAME)
    high, low = padded[index] >= level, padded[index] <= -level
    frames = padded[index] * window
    has_clipped = (high | low).any(axis=1)
    frames[has_clipped] = _restore_frames(frames[has_clipped], high[has_clipped], low[has_clipped])
    result = np.zeros(len(padded))
    for start, frame in zip(starts, frames * window, strict=True):
        result[start : start + FRAME] += frame
    return project(result[FRAME : FRAME + len(signal)], signal, level)


def _transform(frames):
    return scipy.fft.rfft(frames, 2 * FRAME, norm="ortho")


def _restore_frames(frames, high, low):
    """ADMM on all frames at once; those that have converged leave."""
    restored, active = frames.copy(), np.arange(len(frames))
    estimate, spectrum = frames.copy(), _transform(frames)
    dual = np.zeros_like(spectrum)
    for count in range(1, MAX_ITERATIONS + 1):
        shifted = spectrum + dual
        magnitude = np.abs(shifted)
        rank = max(0, magnitude.shape[1] - count)
        smallest = np.partition(magnitude, rank, axis=1)[:, rank, None]
        sparse = np.where(magnitude >= smallest, shifted, 0.0)
        estimate = np.asarray(scipy.fft.irfft(sparse - dual, 2 * FRAME, norm="ortho"))[:, :FRAME]
        estimate = np.where(high, np.maximum(estimate, frames), np.where(low, np.minimum(estimate, frames), frames))
        spectrum = _transform(estimate)
        residual = spectrum - sparse
        restored[active] = estimate
        going_on = np.sqrt(2.0 * np.sum(np.abs(residual) ** 2, axis=1)) > TOLERANCE
        if not going_on.any():
            break
        active, frames, high, low = active[going_on], frames[going_on], high[going_on], low[going_on]
        spectrum, dual = spectrum[going_on], (dual + residual)[going_on]
    return restored
