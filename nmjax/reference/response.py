"""The response of filters in NumPy, and the scaling that keeps it within limits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands, response_db
from nmjax.models import SAMPLE_RATE
from nmjax.models.parameters import EqSettings, to_numpy
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.limits import BASS_HZ, SUB_BASS_HZ, ResponseLimits, largest_factor

MAX_BANDS = 10
_FINE_GRID_HZ = 1000.0 * 2.0 ** (np.arange(-320, 212) / 48.0)  # 10 Hz to 21 kHz
_MARGIN_DB = 0.5  # the loudness from levels of bands differs from a meter's by up to 0.4 dB,
_MARGIN_SHARE = 0.07  # and where it changes a lot by up to 6 % of that: other moments pass the meter's gate then
_PAIR_EXCESS_DB = 0.3


def bands_response_db(
    bands: Bands, freq_hz: Float[np.ndarray, " points"], sample_rate: float = SAMPLE_RATE
) -> Float[np.ndarray, " points"]:
    """The response of one track's bands `[1, bands]` in dB."""
    return response_db(to_numpy(bands, np.float64), np.asarray(freq_hz, np.float64), sample_rate)[0]


def single_band_responses_db(
    bands: Bands, freq_hz: Float[np.ndarray, " points"], sample_rate: float = SAMPLE_RATE
) -> Float[np.ndarray, "bands points"]:
    """The response of each of one track's peaking filters `[1, bands]` in dB."""
    freq, gain_db, q = (np.asarray(x, np.float64)[0, :, None] for x in (bands.freq_hz, bands.gain_db, bands.q))
    return response_db(Bands(freq, gain_db, q), np.asarray(freq_hz, np.float64), sample_rate)


def open_settings(bands: Bands) -> EqSettings:
    """The settings of an equalizer whose bands are all open."""
    gate: Any = np.ones_like(bands.q)
    return EqSettings(bands.freq_hz, bands.gain_db, bands.q, gate)


def eq_response_db(eq: EqSettings, sample_rate: float = SAMPLE_RATE) -> Float[np.ndarray, " bands"]:
    """The response of one track's EQ at `CENTERS_HZ` in dB; sample_rate: at which its bands have it."""
    return bands_response_db(eq.bands(), CENTERS_HZ, sample_rate)


def scale_into_limits(bands: Bands, limits: ResponseLimits) -> Bands:
    """The bands with all gains scaled by the largest factor, at most 1, that keeps the response within the limits.

    It is checked in steps of 1/48 octave and at the bands' own frequencies.

    Args:
        bands: `[1, bands]`.
        limits: of the response.
    """
    if not np.isfinite(limits.above_db):
        return bands
    grid_hz = _grid_hz(bands)

    def fits(factor: float) -> bool:
        scaled = _scale_gains(bands, factor)
        curve_db = bands_response_db(scaled, grid_hz)
        level_db = limits.loudness_change_db(bands_response_db(scaled, CENTERS_HZ))
        return _is_within(curve_db, level_db, grid_hz, limits) and _filters_fit(curve_db, grid_hz, limits)

    return _scale_gains(bands, largest_factor(fits))


def scale_pair_into_limits(
    bands: Bands, side_bands: Bands, limits: ResponseLimits, side_limits: ResponseLimits
) -> tuple[Bands, Bands]:
    """The bands of both channels and those of the side, scaled until mid and side are within the limits.

    The bands of the side are scaled first, to a small excess: they change the loudness of the whole, so that bands at a
    limit need to be scaled a little with them.

    Args:
        bands: `[1, bands]`, of both channels, within the limits.
        side_bands: `[1, bands]`, in addition on the side.
        limits: of the response of mid, and of that of the side.
        side_limits: of the side's filters themselves.
    """
    grid_hz = np.concatenate([_grid_hz(bands), _grid_hz(side_bands)])

    def fits(factor: float, side_factor: float, excess_db: float) -> bool:
        scaled, scaled_side = _scale_gains(bands, factor), _scale_gains(side_bands, side_factor)
        mid_db, side_db = (bands_response_db(x, grid_hz) for x in (scaled, scaled_side))
        level_db = limits.loudness_change_db(*(bands_response_db(x, CENTERS_HZ) for x in (scaled, scaled_side)))
        are_within = (_is_within(x, level_db, grid_hz, limits, excess_db) for x in (mid_db, mid_db + side_db))
        return all(are_within) and _filters_fit(side_db, grid_hz, side_limits)

    side_factor = largest_factor(lambda factor: fits(1.0, factor, _PAIR_EXCESS_DB))
    factor = largest_factor(lambda factor: fits(factor, factor * side_factor, 0.0))
    return _scale_gains(bands, factor), _scale_gains(side_bands, factor * side_factor)


def _grid_hz(bands: Bands) -> Float[np.ndarray, " points"]:
    centers_hz = np.asarray(bands.freq_hz, np.float64)[0]
    return np.concatenate([_FINE_GRID_HZ, centers_hz, [SUB_BASS_HZ - 1e-3, SUB_BASS_HZ, BASS_HZ - 1e-3]])


def _scale_gains(bands: Bands, factor: float) -> Bands:
    return bands if factor == 1.0 else dataclasses.replace(bands, gain_db=bands.gain_db * factor)


def _is_within(
    response_db: Float[np.ndarray, " points"],
    level_db: float,
    freq_hz: Float[np.ndarray, " points"],
    limits: ResponseLimits,
    excess_db: float = 0.0,
) -> bool:
    """Whether a response less its change of the loudness is within the limits, up to an excess."""
    gain_db, slack_db = response_db - level_db, excess_db - max(_MARGIN_DB, _MARGIN_SHARE * abs(level_db))
    return bool(np.all((gain_db <= limits.at(freq_hz) + slack_db) & (gain_db >= -limits.cut_db - slack_db)))


def _filters_fit(
    response_db: Float[np.ndarray, " points"], freq_hz: Float[np.ndarray, " points"], limits: ResponseLimits
) -> bool:
    """Whether a response is within the limits of the filters themselves."""
    fits = (response_db <= limits.filters_at(freq_hz)) & (response_db >= limits.smallest_at(freq_hz))
    return bool(np.all(fits))
