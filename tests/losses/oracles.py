"""Spectral losses in float64 with SciPy's STFT, and A-weighting from its poles and zeros."""

import numpy as np
from scipy.signal import freqs_zpk, stft

FLOOR_DB = -100.0  # lower bound of magnitudes, relative to a full-scale sine


def floored_magnitudes(audio, window):
    """Clamped |STFT| `[signal, bins, frames]` of one `[time, channel]`: mono, or L, R, M and S of stereo."""
    signals = np.asarray(audio, np.float64).T
    if len(signals) == 2:
        signals = np.vstack([signals, (signals[0] + signals[1]) / np.sqrt(2), (signals[0] - signals[1]) / np.sqrt(2)])
    _, _, z = stft(signals, nperseg=window, noverlap=window * 3 // 4, boundary="even", padded=False)
    return np.maximum(np.abs(z) * (window / 2), window / 4 * 10 ** (FLOOR_DB / 20))  # SciPy divides by the window's sum


def normalizers(sizes):
    """The divisor of each signal's difference: its own size, but for the side that of mid and side together."""
    return np.append(sizes[:3], sizes[2] + sizes[3]) if len(sizes) == 4 else sizes


def mr_stft(output, target, windows):
    """Spectral convergence plus L1 of the log magnitudes for one pair of `[time, channel]`."""
    terms = []
    for window in windows:
        y, t = floored_magnitudes(output, window), floored_magnitudes(target, window)
        energy = normalizers(np.sum(t**2, axis=(1, 2)))
        convergence = np.sqrt(np.sum((y - t) ** 2, axis=(1, 2)) / energy)
        terms.append(np.mean(convergence) + np.mean(np.abs(np.log(y / t))))
    return np.mean(terms)


def a_weighting_gain(freq_hz):
    """IEC 61672's A as an analogue filter: four zeros at 0, poles at 20.6 (2), 107.7, 737.9 and 12194 Hz (2)."""
    poles = -2 * np.pi * np.array([20.598997, 20.598997, 107.65265, 737.86223, 12194.217, 12194.217])
    _, response = freqs_zpk(np.zeros(4), poles, 1.0, 2 * np.pi * np.append(freq_hz, 1000.0))
    return np.abs(response[:-1] / response[-1])


def a_weighted(output, target, sample_rate, window):
    """Σ A·||Y| − |T|| / Σ A·|T| for one pair of `[time, channel]`."""
    y, t = floored_magnitudes(output, window), floored_magnitudes(target, window)
    gain = a_weighting_gain(np.arange(window // 2 + 1) * sample_rate / window)[:, None]
    return np.mean(np.sum(gain * np.abs(y - t), axis=(1, 2)) / normalizers(np.sum(gain * t, axis=(1, 2))))
