"""Second-order filters as trapezoidal state-variable filters (SVF), designed from physical values.

With the analogue prototype's low-, band- and high-pass parts at hand, every second-order filter is a mix of the input
and the two integrators' outputs: y = m0·x + m1·v1 + m2·v2, where g = tan(π·f/fs) sets the frequency and k the damping.
The transfer function is exactly that of the bilinear-transformed biquad (the RBJ cookbook's), but the state stays
well-conditioned in float32 where a direct form does not.

Sources: V. Zavalishin, "The Art of VA Filter Design" (2018), ch. 3 and 4; A. Simper, "Linear Trapezoidal State Variable
Filter" (Cytomic, 2013); R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nmjax.dsp.validation import require

GAIN_LIMITS_DB, Q_LIMITS = (-200.0, 200.0), (1e-3, 1e6)  # what a filter's settings may be
MAX_FREQ_RATIO = 0.49  # of the sample rate: bands above it fade out, and are gone at 0.5
_LN10_20 = math.log(10.0) / 20.0


@typing.no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Svf:
    """Coefficients of filters in series, each array `[batch, bands]`; in the order in which the signal meets them."""

    g: Array
    k: Array
    m0: Array
    m1: Array
    m2: Array

    def astype(self, dtype) -> Svf:
        """The same coefficients in another floating-point type."""
        return jax.tree.map(lambda x: x.astype(dtype), self)


def _prewarp(freq_hz, sample_rate):
    """g = tan(π·f/fs) with f held to (0, 0.49 fs], and how much of the gain is left at f (1 to 0).

    In the upper half of the range from the distance to half the rate: near it tan magnifies what float32 lost of f/fs
    by the factor 2π·(f/fs)/sin(2π·f/fs), 49 at the end.
    """
    freq_hz = jnp.asarray(freq_hz)
    freq_ratio, nyquist_distance = freq_hz / sample_rate, (0.5 * sample_rate - freq_hz) / sample_rate
    gain_factor = jnp.clip(nyquist_distance / (0.5 - MAX_FREQ_RATIO), 0.0, 1.0)
    # Each side is held a little beyond the seam at 0.25: at a bound of its own clip a value has half its gradient.
    low = jnp.tan(jnp.pi * jnp.clip(freq_ratio, 1e-6, 0.26))
    high = 1.0 / jnp.tan(jnp.pi * jnp.clip(nyquist_distance, 0.5 - MAX_FREQ_RATIO, 0.26))
    return jnp.where(freq_ratio < 0.25, low, high), gain_factor


def _broadcast_svf(g, k, m0, m1, m2) -> Svf:
    shape = jnp.broadcast_shapes(*(jnp.shape(x) for x in (g, k, m0, m1, m2)))
    return Svf(*(jnp.broadcast_to(x, shape) for x in (g, k, m0, m1, m2)))


def peaking(
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """RBJ's peaking bell: with A = 10^(gain_db/40), k = 1/(q·A) and m1 = k·(A² − 1).

    Args:
        freq_hz: centre, above 0; a band above 0.49 of the rate fades out and is gone at half of it.
        gain_db: gain at the centre; at 0 the filter is the identity to the bit.
        q: quality factor, above 0.
        sample_rate: Hz.
    """
    g, gain_factor = _prewarp(freq_hz, sample_rate)
    gain_db = gain_db * gain_factor
    k = jnp.exp(-gain_db * (_LN10_20 / 2)) / q
    return _broadcast_svf(g, k, jnp.ones_like(k), k * jnp.expm1(gain_db * _LN10_20), jnp.zeros_like(k))


def low_shelf(
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """RBJ's low shelf, `gain_db` below `freq_hz` and half of it there. Arguments as in `peaking`."""
    g, gain_factor = _prewarp(freq_hz, sample_rate)
    gain_db = gain_db * gain_factor
    a = jnp.exp(gain_db * (_LN10_20 / 2))
    g, k = g / jnp.sqrt(a), 1.0 / q
    return _broadcast_svf(g, k, jnp.ones_like(a), k * (a - 1.0), jnp.expm1(gain_db * _LN10_20))


def high_shelf(
    freq_hz: Float[Array, "batch bands"],
    gain_db: Float[Array, "batch bands"],
    q: Float[Array, "batch bands"],
    sample_rate: float,
) -> Svf:
    """RBJ's high shelf, `gain_db` above `freq_hz` and half of it there. Arguments as in `peaking`."""
    g, gain_factor = _prewarp(freq_hz, sample_rate)
    gain_db = gain_db * gain_factor
    a = jnp.exp(gain_db * (_LN10_20 / 2))
    g, k = g * jnp.sqrt(a), 1.0 / q
    return _broadcast_svf(g, k, a * a, k * (1.0 - a) * a, -jnp.expm1(gain_db * _LN10_20))


def low_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's low-pass, 12 dB an octave, `q` its gain at `freq_hz` as a factor (√½: Butterworth).

    Args:
        freq_hz: corner, above 0; held at 0.49 of the rate.
        q: quality factor, above 0.
        sample_rate: Hz.
    """
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g, k, 0.0 * one, 0.0 * one, one)


def high_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's high-pass, 12 dB an octave. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g, k, one, -k, -one)


def band_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's band-pass with a gain of 0 dB at `freq_hz`, 6 dB an octave on both sides. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g, k, 0.0 * one, k, 0.0 * one)


def notch(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's notch: nothing passes at `freq_hz`. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g, k, one, -k, 0.0 * one)


def all_pass(freq_hz: Float[Array, "batch bands"], q: Float[Array, "batch bands"], sample_rate: float) -> Svf:
    """RBJ's all-pass: the phase turns by 180° at `freq_hz`, the magnitude stays. Arguments as in `low_pass`."""
    g, k, one = _prewarp_without_gain(freq_hz, q, sample_rate)
    return _broadcast_svf(g, k, one, -2.0 * k, 0.0 * one)


def _prewarp_without_gain(freq_hz, q, sample_rate):
    """g, k and ones for a filter without a gain."""
    g, _ = _prewarp(freq_hz, sample_rate)
    k = 1.0 / q
    return g, k, jnp.ones_like(k)


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
    """Filters of one kind, or of a kind a band, in the order of the bands; `gain_db` counts for bells and shelves.

    Gains are held within `GAIN_DB` and Qs within `Q`, as inside a trace nothing can be refused.
    """
    gain_db, q = jnp.clip(gain_db, *GAIN_LIMITS_DB), jnp.clip(q, *Q_LIMITS)
    if isinstance(kind, str):
        return FILTER_DESIGNS[kind](freq_hz, gain_db, q, sample_rate)
    parts = []
    for name, group in itertools.groupby(range(len(kind)), key=lambda i: kind[i]):
        indices = list(group)
        band_slice = slice(indices[0], indices[-1] + 1)
        parts.append(
            FILTER_DESIGNS[name](freq_hz[..., band_slice], gain_db[..., band_slice], q[..., band_slice], sample_rate)
        )
    return jax.tree.map(lambda *x: jnp.concatenate(x, axis=-1), *parts)


def k_weighting_svf(sample_rate: float) -> Svf:
    """The two filters of ITU-R BS.1770 at any rate, as `[1, 2]`: the head's shelf, then the RLB high-pass.

    The standard tabulates coefficients at 48 kHz only; the analogue values behind them are those that B. De Man found
    ("Evaluation of implementations of the EBU R128 loudness measurement", AES 145, 2018). The standard's high-pass
    numerator is 1 − 2z⁻¹ + z⁻² without normalisation, hence the factor on its mix.

    Raises:
        ValueError: a rate of which half lies below the shelf's 1,682 Hz.
    """
    require(
        sample_rate > 3364.0, "sample_rate", "above 3364 Hz for K-weighting, whose shelf is at 1682 Hz", sample_rate
    )
    shelf_gain, band_exponent = 10.0 ** (3.999843853973347 / 20.0), 0.4996667741545416
    g_shelf, k_shelf = math.tan(math.pi * 1681.974450955533 / sample_rate), 1.0 / 0.7071752369554196
    g_high_pass, k_high_pass = math.tan(math.pi * 38.13547087602444 / sample_rate), 1.0 / 0.5003270373238773
    unnormalized = 1.0 + g_high_pass * (g_high_pass + k_high_pass)
    rows = [
        (g_shelf, g_high_pass),
        (k_shelf, k_high_pass),
        (shelf_gain, unnormalized),
        (k_shelf * (shelf_gain**band_exponent - shelf_gain), -k_high_pass * unnormalized),
        (1.0 - shelf_gain, -unnormalized),
    ]
    return Svf(*(jnp.asarray([row]) for row in rows))


def frequency_response(svf: Svf, freq_hz: Float[Array, " points"], sample_rate: float) -> Array:
    """Complex response of each filter, `[batch, bands, points]`, from the same coefficients that render.

    With s = j·t, t = tan(π·f/fs)/g, the prototype's variable: H = m0 + (m1·s + m2)/(s² + k·s + 1). Over one
    denominator, so that what a pass filter or a notch cancels is cancelled in the coefficients, and both scaled by
    1/(1 + t²), so that no square leaves float32's range.
    """
    t = jnp.tan(jnp.pi * jnp.minimum(freq_hz / sample_rate, 0.49999))[None, None] / svf.g[..., None]
    k, m0, m1, m2 = (x[..., None] for x in (svf.k, svf.m0, svf.m1, svf.m2))
    low = 1.0 / (1.0 + t * t)
    high, band = t * t * low, t * low
    numerator = (m0 + m2) * low - m0 * high + 1j * (m0 * k + m1) * band
    return numerator / (low - high + 1j * k * band)
