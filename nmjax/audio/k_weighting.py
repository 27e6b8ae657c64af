"""K-weighting filters of ITU-R BS.1770 in NumPy; `nmjax.dsp.svf.k_weighting_svf` has the same curve in JAX."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

# Analog parameters from B. De Man, "Evaluation of Implementations of the EBU R128 Loudness Measurement" (AES 145, 2018)
_SHELF_HZ, _SHELF_Q, _SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
_SHELF_BAND_EXPONENT = 0.4996667741545416  # of the shelf's gain, in the middle of its slope
_LOW_CUT_HZ, _LOW_CUT_Q = 38.13547087602444, 0.5003270373238773


def k_weighting_sos(sample_rate: float) -> Float[np.ndarray, "2 6"]:
    """Second-order sections (high shelf, high-pass) as of `scipy.signal.sosfilt`: b0, b1, b2, 1, a1, a2.

    The analog filters by the bilinear transform, each exact at its own frequency. The high-pass keeps BS.1770's
    numerator 1, −2, 1 at every rate.

    Args:
        sample_rate: Hz, above 3,364 (twice the shelf's frequency).
    """
    gain = 10.0 ** (_SHELF_DB / 20.0)
    shelf = _bilinear(
        (gain, gain**_SHELF_BAND_EXPONENT / _SHELF_Q, 1.0), (1.0, 1.0 / _SHELF_Q, 1.0), _SHELF_HZ, sample_rate
    )
    low_cut = _bilinear((1.0, 0.0, 0.0), (1.0, 1.0 / _LOW_CUT_Q, 1.0), _LOW_CUT_HZ, sample_rate)
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
