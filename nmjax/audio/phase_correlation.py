"""Correlation with phase transform, whose peak no equalizer moves."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def phase_correlation(
    x: Float[np.ndarray, " x"], y: Float[np.ndarray, " y"], size: int, floor: float = 0.0
) -> Float[np.ndarray, " lags"]:
    """The circular correlation of the whitened spectra (Knapp and Carter 1976); 1 at the lag of a pure delay of y.

    Args:
        x, y: Signals.
        size: Length of the FFT, at least that of either signal. Negative lags are at the end.
        floor: Bins in which either signal has at most this share of its largest magnitude do not count.
    """
    spectra = [np.fft.rfft(signal, size) for signal in (x, y)]
    cross = np.conj(spectra[0]) * spectra[1]
    has_energy = np.ones(len(cross), bool)
    for spectrum in spectra:
        magnitude = np.abs(spectrum)
        has_energy &= magnitude > floor * magnitude.max()
    whitened = np.where(has_energy, cross / np.where(has_energy, np.abs(cross), 1.0), 0.0)
    return np.fft.irfft(whitened, size)
