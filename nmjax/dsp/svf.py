"""Second-order filters as trapezoidal state-variable filters (SVF), designed from physical values.

The low-, band- and high-pass outputs of the analog prototype are available at once, so every second-order filter is a
mix of the input and of the outputs of the two integrators:

    y = m0·x + m1·v1 + m2·v2

g = tan(π·f/fs) sets the frequency and k the damping. The transfer function is exactly that of the bilinear-transformed
biquad of the RBJ cookbook, but the state stays well-conditioned in float32 where that of a direct form does not.

Sources: V. Zavalishin, "The Art of VA Filter Design" (2018), ch. 3 and 4; A. Simper, "Linear Trapezoidal State Variable
Filter" (Cytomic, 2013); R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from nmjax.audio.bs1770 import LOW_CUT_HZ, LOW_CUT_Q, SHELF_BAND_EXPONENT, SHELF_DB, SHELF_HZ, SHELF_Q
from nmjax.dsp.namespace import namespace
from nmjax.dsp.validation import require
from nmjax.runtime.lazy_jax import Array, register_dataclass

GAIN_LIMITS_DB = (-200.0, 200.0)
Q_LIMITS = (1e-3, 1e6)
MAX_FREQ_RATIO = 0.49  # of the sample rate: bands above it fade out and are transparent from 0.5 on
_LN10_20 = math.log(10.0) / 20.0


@typing.no_type_check
@register_dataclass
@dataclasses.dataclass(frozen=True)
class Svf:
    """Coefficients of filters in series, in processing order; each array is `[batch, bands]`."""

    g: Array
    k: Array
    m0: Array
    m1: Array
    m2: Array

    def astype(self, dtype) -> Svf:
        """The same coefficients in another floating-point type."""
        return Svf(*(x.astype(dtype) for x in (self.g, self.k, self.m0, self.m1, self.m2)))


def _prewarp(freq_hz, sample_rate):
    """g = tan(π·f/fs) with f clipped to (0, 0.49 fs], and the factor (1 to 0) on the gain of a band near fs/2.

    Above fs/4 the tangent is computed from the distance to fs/2: near fs/2 it would magnify the rounding error of f/fs
    by 2π·(f/fs)/sin(2π·f/fs), which reaches 49.
    """
    xp = namespace(freq_hz)
    freq_hz = xp.asarray(freq_hz)
    freq_ratio, nyquist_distance = freq_hz / sample_rate, (0.5 * sample_rate - freq_hz) / sample_rate
    gain_factor = xp.clip(nyquist_distance / (0.5 - MAX_FREQ_RATIO), 0.0, 1.0)
    # Both branches are clipped a little beyond the boundary at 0.25: exactly at a bound of `clip` the gradient is half.
    low = xp.tan(np.pi * xp.clip(freq_ratio, 1e-6, 0.26))
    high = 1.0 / xp.tan(np.pi * xp.clip(nyquist_distance, 0.5 - MAX_FREQ_RATIO, 0.26))
    return xp.where(freq_ratio < 0.25, low, high), gain_factor


def _broadcast_svf(g, k, m0, m1, m2) -> Svf:
    xp, shape = namespace(g, k), np.broadcast_shapes(*(np.shape(x) for x in (g, k, m0, m1, m2)))
    return Svf(*(xp.broadcast_to(x, shape) for x in (g, k, m0, m1, m2)))


def peaking(
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """RBJ's peaking filter. With A = 10^(gain_db/40): k = 1/(q·A) and m1 = k·(A² − 1).

    Args:
        freq_hz: center frequency, above 0. A band above 0.49 of the sample rate fades out and is transparent from 0.5.
        gain_db: gain at the center. At 0 the output is bit-identical to the input.
        q: quality factor, above 0.
        sample_rate: Hz.
    """
    g, gain_factor = _prewarp(freq_hz, sample_rate)
    gain_db = gain_db * gain_factor
    xp = namespace(gain_db, q)
    k = xp.exp(-gain_db * (_LN10_20 / 2)) / q
    return _broadcast_svf(g=g, k=k, m0=xp.ones_like(k), m1=k * xp.expm1(gain_db * _LN10_20), m2=xp.zeros_like(k))


def low_shelf(
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """RBJ's low shelf: `gain_db` far below `freq_hz` and half of it in dB at `freq_hz`. Arguments as in `peaking`."""
    g, gain_factor = _prewarp(freq_hz, sample_rate)
    gain_db = gain_db * gain_factor
    xp = namespace(gain_db)
    a = xp.exp(gain_db * (_LN10_20 / 2))
    g, k = g / xp.sqrt(a), 1.0 / q
    return _broadcast_svf(g=g, k=k, m0=xp.ones_like(a), m1=k * (a - 1.0), m2=xp.expm1(gain_db * _LN10_20))


def high_shelf(
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """RBJ's high shelf: `gain_db` far above `freq_hz` and half of it in dB at `freq_hz`. Arguments as in `peaking`."""
    g, gain_factor = _prewarp(freq_hz, sample_rate)
    gain_db = gain_db * gain_factor
    xp = namespace(gain_db)
    a = xp.exp(gain_db * (_LN10_20 / 2))
    g, k = g * xp.sqrt(a), 1.0 / q
    return _broadcast_svf(g=g, k=k, m0=a * a, m1=k * (1.0 - a) * a, m2=-xp.expm1(gain_db * _LN10_20))


def low_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's low-pass, 12 dB/octave.

    Args:
        freq_hz: corner frequency, above 0; clipped to 0.49 of the sample rate.
        q: quality factor, above 0: the gain at `freq_hz` as a factor (√½ gives a Butterworth filter).
        sample_rate: Hz.
    """
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g=g, k=k, m0=0.0 * one, m1=0.0 * one, m2=one)


def high_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's high-pass, 12 dB/octave. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g=g, k=k, m0=one, m1=-k, m2=-one)


def band_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's band-pass: 0 dB at `freq_hz`, 6 dB/octave on both sides. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g=g, k=k, m0=0.0 * one, m1=k, m2=0.0 * one)


def notch(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's notch: gain 0 at `freq_hz`. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g=g, k=k, m0=one, m1=-k, m2=0.0 * one)


def all_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's all-pass: constant magnitude, a phase shift of 180° at `freq_hz`. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g=g, k=k, m0=one, m1=-2.0 * k, m2=0.0 * one)


def _prewarp_without_gain(freq_hz, q, sample_rate):
    """g, k and an array of ones, for the designs without a gain."""
    g, _ = _prewarp(freq_hz, sample_rate)
    k = 1.0 / q
    return g, k, namespace(k).ones_like(k)


def _ignore_gain(design: Callable[..., Svf]) -> Callable[..., Svf]:
    return lambda freq_hz, gain_db, q, sample_rate: design(freq_hz, q, sample_rate)


FILTER_DESIGNS: dict[str, Callable[..., Svf]] = {
    "peaking": peaking,
    "low_shelf": low_shelf,
    "high_shelf": high_shelf,
    "low_pass": _ignore_gain(low_pass),
    "high_pass": _ignore_gain(high_pass),
    "band_pass": _ignore_gain(band_pass),
    "notch": _ignore_gain(notch),
    "all_pass": _ignore_gain(all_pass),
}


def design_filters(
    kind: str | tuple[str, ...],
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """Filters of one kind, or of one kind per band, in the order of the bands.

    Gains are clipped to `GAIN_LIMITS_DB` and Qs to `Q_LIMITS`, because traced values cannot be rejected.

    Args:
        kind: a key of `FILTER_DESIGNS`, or a tuple with one key per band.
        freq_hz: center or corner frequency, above 0.
        gain_db: gain of peaking and shelving filters; the other kinds ignore it.
        q: quality factor, above 0.
        sample_rate: Hz.
    """
    xp = namespace(freq_hz, gain_db, q)
    gain_db, q = xp.clip(gain_db, *GAIN_LIMITS_DB), xp.clip(q, *Q_LIMITS)
    if isinstance(kind, str):
        return FILTER_DESIGNS[kind](freq_hz=freq_hz, gain_db=gain_db, q=q, sample_rate=sample_rate)
    groups = []
    for name, group in itertools.groupby(range(len(kind)), key=lambda i: kind[i]):  # one design per run of equal kinds
        indices = list(group)
        run = slice(indices[0], indices[-1] + 1)
        design = FILTER_DESIGNS[name]
        groups.append(
            design(freq_hz=freq_hz[..., run], gain_db=gain_db[..., run], q=q[..., run], sample_rate=sample_rate)
        )
    columns = zip(*((x.g, x.k, x.m0, x.m1, x.m2) for x in groups), strict=True)
    return Svf(*(xp.concatenate(column, axis=-1) for column in columns))


def k_weighting_svf(sample_rate: float) -> Svf:
    """The two K-weighting filters of ITU-R BS.1770 at any sample rate, `[1, 2]`: the shelf, then the RLB high-pass.

    The standard tabulates coefficients for 48 kHz only. The analog parameters used here are from B. De Man, "Evaluation
    of implementations of the EBU R128 loudness measurement" (AES 145, 2018). The numerator of the standard's high-pass
    is 1 − 2z⁻¹ + z⁻² without normalization, hence the factor `unnormalized`.

    Raises:
        ValueError: half the sample rate is below the shelf's frequency of 1,682 Hz.
    """
    require(
        sample_rate > 3364.0, "sample_rate", "above 3364 Hz for K-weighting, whose shelf is at 1682 Hz", sample_rate
    )
    shelf_gain = 10.0 ** (SHELF_DB / 20.0)
    g_shelf, k_shelf = math.tan(math.pi * SHELF_HZ / sample_rate), 1.0 / SHELF_Q
    g_high_pass, k_high_pass = math.tan(math.pi * LOW_CUT_HZ / sample_rate), 1.0 / LOW_CUT_Q
    unnormalized = 1.0 + g_high_pass * (g_high_pass + k_high_pass)
    return Svf(
        g=np.asarray([[g_shelf, g_high_pass]]),
        k=np.asarray([[k_shelf, k_high_pass]]),
        m0=np.asarray([[shelf_gain, unnormalized]]),
        m1=np.asarray([[k_shelf * (shelf_gain**SHELF_BAND_EXPONENT - shelf_gain), -k_high_pass * unnormalized]]),
        m2=np.asarray([[1.0 - shelf_gain, -unnormalized]]),
    )


def frequency_response(svf: Svf, freq_hz: Float[Array, " points"], sample_rate: float) -> Array:
    """Complex frequency response of each filter, `[batch, bands, points]`, from the coefficients used for rendering.

    With the prototype's variable s = j·t, t = tan(π·f/fs)/g:

        H = m0 + (m1·s + m2)/(s² + k·s + 1)

    It is evaluated over one denominator, so that the zero of a pass filter or notch cancels in the coefficients, and
    numerator and denominator are scaled by 1/(1 + t²), so that t² does not overflow in float32.
    """
    xp = namespace(freq_hz, svf.g)
    t = xp.tan(np.pi * xp.minimum(freq_hz / sample_rate, 0.49999))[None, None] / svf.g[..., None]
    k, m0, m1, m2 = (x[..., None] for x in (svf.k, svf.m0, svf.m1, svf.m2))
    low = 1.0 / (1.0 + t * t)
    high, band = t * t * low, t * low
    numerator = (m0 + m2) * low - m0 * high + 1j * (m0 * k + m1) * band
    return numerator / (low - high + 1j * k * band)
