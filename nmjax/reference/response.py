"""The response of filters of any number, compiled once, and the scaling that keeps it within limits."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands
from nmjax.dsp import response_db as dsp_response_db
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.limits import BASS_HZ, SUB_BASS_HZ, ResponseLimits

MAX_BANDS = 10
_FINE_GRID_HZ = 1000.0 * 2.0 ** (np.arange(-320, 212) / 48.0)  # 10 Hz to 21 kHz
_BISECTIONS = 12
_MARGIN_DB = 0.01  # for the fit of the bands to other sample rates, and for rounding


def pad_bands(bands: Bands) -> Bands:
    """Pad with filters of 0 dB to MAX_BANDS, so that one compiled program serves any number."""
    padding = ((0, 0), (0, max(0, MAX_BANDS - bands.q.shape[1])))
    return Bands(
        freq_hz=jnp.pad(bands.freq_hz, padding, constant_values=1e3),
        gain_db=jnp.pad(bands.gain_db, padding, constant_values=0.0),
        q=jnp.pad(bands.q, padding, constant_values=1.0),
    )


def bands_response_db(
    bands: Bands, freq_hz: Float[np.ndarray, " points"], sample_rate: float = SAMPLE_RATE
) -> Float[np.ndarray, " points"]:
    """The response of one track's bands `[1, bands]` in dB."""
    return np.asarray(_response_db(pad_bands(bands), jnp.asarray(freq_hz, jnp.float32), sample_rate), np.float64)[0]


def eq_response_db(eq: EqSettings, sample_rate: float = SAMPLE_RATE) -> Float[np.ndarray, " bands"]:
    """The response of one track's EQ at `CENTERS_HZ` in dB; sample_rate: at which its bands have it."""
    return bands_response_db(eq.bands(), CENTERS_HZ, sample_rate)


_response_db = jax.jit(dsp_response_db, static_argnums=2)


def scale_into_limits(bands: Bands, limits: ResponseLimits, base: Bands | None = None) -> Bands:
    """The bands with all gains scaled by the largest factor, at most 1, that keeps the response within the limits.

    It is checked in steps of 1/48 octave and at the bands' own frequencies.

    Args:
        bands: `[1, bands]`.
        limits: of the response.
        base: further bands whose response counts too, within the limits themselves.
    """
    if not np.isfinite(limits.above_db):
        return bands
    centers_hz = np.asarray(pad_bands(bands).freq_hz, np.float64)[0]
    grid_hz = np.concatenate([_FINE_GRID_HZ, centers_hz, [SUB_BASS_HZ - 1e-3, SUB_BASS_HZ, BASS_HZ - 1e-3]])
    base_db = np.zeros(len(grid_hz)) if base is None else bands_response_db(base, grid_hz)
    limit_db = np.maximum(limits.at(grid_hz) - _MARGIN_DB - base_db, 0.0)

    smallest_db = limits.smallest_at(grid_hz)

    def scale(factor: float) -> Bands:
        return dataclasses.replace(bands, gain_db=bands.gain_db * factor)

    def fits(factor: float) -> bool:
        response_db = bands_response_db(scale(factor), grid_hz)
        return bool(np.all((response_db <= limit_db) & (response_db >= smallest_db)))

    if fits(1.0):
        return bands
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return scale(low)
