"""K-weighting filters of ITU-R BS.1770 in NumPy; `nmjax.dsp.svf.k_weighting_svf` has the same curve in JAX."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from nmjax.audio.bs1770 import LOW_CUT_HZ, LOW_CUT_Q, SHELF_BAND_EXPONENT, SHELF_DB, SHELF_HZ, SHELF_Q


def k_weighting_sos(sample_rate: float) -> Float[np.ndarray, "2 6"]:
    """Second-order sections (high shelf, high-pass) as of `scipy.signal.sosfilt`: b0, b1, b2, 1, a1, a2.

    The analog filters by the bilinear transform, each exact at its own frequency. The high-pass keeps BS.1770's
    numerator 1, −2, 1 at every rate.

    Args:
        sample_rate: Hz, above 3,364 (twice the shelf's frequency).
    """
    gain = 10.0 ** (SHELF_DB / 20.0)
    shelf = _bilinear(
        (gain, gain**SHELF_BAND_EXPONENT / SHELF_Q, 1.0), (1.0, 1.0 / SHELF_Q, 1.0), SHELF_HZ, sample_rate
    )
    low_cut = _bilinear((1.0, 0.0, 0.0), (1.0, 1.0 / LOW_CUT_Q, 1.0), LOW_CUT_HZ, sample_rate)
    low_cut[:3] = (1.0, -2.0, 1.0)
    return np.stack([shelf, low_cut])


def k_weighting_power(freq_hz: Float[np.ndarray, " n"], sample_rate: float) -> Float[np.ndarray, " n"]:
    """The squared gain of both filters at frequencies from 0 Hz to half the sample rate."""
    z = np.exp(-2j * np.pi * np.asarray(freq_hz) / sample_rate)
    response = np.ones_like(z)
    for section in k_weighting_sos(sample_rate):
        response *= np.polyval(section[2::-1], z) / np.polyval(section[:2:-1], z)
    return np.square(np.abs(response))


def _bilinear(
    numerator: tuple[float, float, float], denominator: tuple[float, float, float], center_hz: float, sample_rate: float
) -> Float[np.ndarray, " 6"]:
    """A section from polynomials of s/center, highest power first, with s = (1 − z⁻¹)/(1 + z⁻¹)/k, exact at center."""
    k = math.tan(math.pi * center_hz / sample_rate)
    powers = np.array([[1.0, -2.0, 1.0], [k, 0.0, -k], [k * k, 2.0 * k * k, k * k]])
    b, a = np.asarray(numerator) @ powers, np.asarray(denominator) @ powers
    return np.concatenate([b, a]) / a[0]
