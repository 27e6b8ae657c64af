"""What the page draws of a track's settings: responses, spectra and static curves."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands, Compressor, Saturator, static_curve_db
from nmjax.dsp.numerics import db_to_amplitude
from nmjax.dsp.saturator import level_compensation
from nmjax.mastering.diagnosis.percentiles import quantile
from nmjax.mastering.diagnosis.tonal_balance import BANDS_HZ
from nmjax.models import Prediction
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.response import single_band_responses_db

GRID_HZ = np.geomspace(20.0, 20_000.0, 256)
_SMOOTHING_OCTAVES = 1.0 / 3.0
_NYQUIST_SHARE = 0.49
_HALF_BAND = 2.0 ** (1.0 / 12.0)  # of `CENTERS_HZ`
_LEVELS_DB = np.linspace(-60.0, 0.0, 61)
_AMPLITUDES = np.linspace(-1.0, 1.0, 81)
_LOW_PERCENT, _HIGH_PERCENT = 10.0, 90.0


def grid_levels_db(
    power: Float[np.ndarray, " bins"], bin_hz: float, grid_hz: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """Power in a third of an octave around each frequency, in dB: pink noise is flat.

    Args:
        power: of the bins of a spectrum.
        bin_hz: their spacing.
        grid_hz: frequencies.
    """
    edges = 2.0 ** (0.5 * _SMOOTHING_OCTAVES)
    cumulative = np.concatenate([[0.0], np.cumsum(power)])
    # Bin k covers (k ± ½) bins, so that the sum up to a frequency is a line through the bins' edges.
    position = np.arange(len(cumulative)) - 0.5
    low, high = (np.interp(grid_hz * factor / bin_hz, position, cumulative) for factor in (1.0 / edges, edges))
    return 10.0 * np.log10(np.maximum(high - low, 1e-15))


def curves_dict(
    prediction: Prediction,
    *,
    eq_sample_rate: int,
    sample_rate: int,
    spectrum_db: list[float],
    side_spectrum_db: list[float] | None = None,
    difference_db: Float[np.ndarray, " target_bands"] | None = None,
) -> dict[str, Any]:
    """Everything that `GET …/curves` returns.

    Args:
        prediction: the rendered settings of one track.
        eq_sample_rate: at which its bands have their intended response.
        sample_rate: of the track.
        spectrum_db: of the track at `GRID_HZ`.
        side_spectrum_db: of half of left − right; None unless the track is stereo.
        difference_db: of a target and the track, as in `Suggestion`.
    """
    grid_hz = GRID_HZ[_NYQUIST_SHARE * sample_rate >= GRID_HZ]
    settings = prediction.settings
    responses = single_band_responses_db(settings.eq.bands(), grid_hz, eq_sample_rate)
    total, before = responses.sum(axis=0), np.asarray(spectrum_db)[: len(grid_hz)]
    side_responses = None
    if settings.eq_side is not None:
        side_responses = single_band_responses_db(settings.eq_side.bands(), grid_hz, eq_sample_rate)
    has_signal = bool(np.max(before, initial=-150.0) > -140.0)
    return {
        "freq_hz": _rounded(grid_hz, 3),
        "bands": [_rounded(response) for response in responses],
        "total": _rounded(total),
        "side_bands": [] if side_responses is None else [_rounded(response) for response in side_responses],
        "side_total": None if side_responses is None else _rounded(side_responses.sum(axis=0)),
        **_side_spectra(side_spectrum_db, total if side_responses is None else total + side_responses.sum(axis=0)),
        "spectrum_before": _rounded(before) if has_signal else None,
        "spectrum_after": _rounded(before + total) if has_signal else None,
        "target": target_spectrum(before, difference_db, grid_hz) if has_signal and difference_db is not None else None,
        "typical": typical_range(before, grid_hz) if has_signal else None,
        "compressor": None if settings.compressor is None else compressor_curve(settings.compressor),
        "saturator": None if settings.saturator is None else saturator_curve(settings.saturator),
    }


def _side_spectra(side_spectrum_db: list[float] | None, response_db: np.ndarray) -> dict[str, list[float] | None]:
    """The side's spectrum before and after the equalizer; None where there is no side."""
    before = np.asarray(side_spectrum_db if side_spectrum_db is not None else [])[: len(response_db)]
    if np.max(before, initial=-150.0) <= -140.0:
        return {"side_spectrum_before": None, "side_spectrum_after": None}
    return {"side_spectrum_before": _rounded(before), "side_spectrum_after": _rounded(before + response_db)}


def target_spectrum(
    spectrum_db: Float[np.ndarray, " points"],
    difference_db: Float[np.ndarray, " target_bands"],
    grid_hz: Float[np.ndarray, " points"],
) -> list[float | None] | None:
    """The spectrum that the track would have with the whole tone of its target.

    Its level is that at which half of the bands are above the track; None in bands where the target is unknown.
    """
    known = np.isfinite(difference_db)
    if not known.any():
        return None
    relative_db = difference_db - np.median(difference_db[known])
    moved_db = spectrum_db + np.interp(np.log(grid_hz), np.log(CENTERS_HZ[known]), relative_db[known])
    is_known = np.interp(np.log(grid_hz), np.log(CENTERS_HZ), known.astype(float)) > 0.5
    is_known &= (grid_hz >= CENTERS_HZ[0] / _HALF_BAND) & (grid_hz <= CENTERS_HZ[-1] * _HALF_BAND)
    return [round(float(x), 2) if drawn else None for x, drawn in zip(moved_db, is_known, strict=True)]


def _columns(bands: Bands) -> tuple[Any, Any, Any]:
    return bands.freq_hz, bands.gain_db, bands.q


def typical_range(
    spectrum_db: Float[np.ndarray, " points"], grid_hz: Float[np.ndarray, " points"]
) -> dict[str, list[float]]:
    """The range of most training songs in five broad bands, drawn around the track's own spectrum.

    The table has the balance of broad bands only. In each band the track's curve is moved to the 10th, 50th and 90th
    percentile of that band's level; between the bands' centers the offset is interpolated.
    """
    levels = {name: _band_level_db(spectrum_db, grid_hz, band) for name, band in BANDS_HZ.items()}
    mean_db = float(np.mean(list(levels.values())))
    centers = [np.sqrt(low * high) for low, high in BANDS_HZ.values()]
    ranges = {}
    for label, percent in (("low", _LOW_PERCENT), ("median", 50.0), ("high", _HIGH_PERCENT)):
        offsets = [_quantile(name, percent) - (levels[name] - mean_db) for name in BANDS_HZ]
        smooth = np.interp(np.log(grid_hz), np.log(centers), offsets)
        ranges[label] = _rounded(spectrum_db + smooth)
    return ranges


@functools.cache
def _quantile(name: str, percent: float) -> float:
    return quantile(f"balance_{name}_db", percent)


def _band_level_db(spectrum_db: np.ndarray, grid_hz: np.ndarray, band_hz: tuple[float, float]) -> float:
    """Level of a broad band from third-octave levels on a logarithmic grid, which overlap."""
    inside = (grid_hz >= band_hz[0]) & (grid_hz <= band_hz[1])
    if not inside.any():
        return -150.0
    power = 10.0 ** (spectrum_db[inside] / 10.0)
    points_per_third = _SMOOTHING_OCTAVES / np.log2(grid_hz[1] / grid_hz[0])
    return float(10.0 * np.log10(power.sum() / points_per_third))


def compressor_curve(compressor: Compressor) -> dict[str, list[float]]:
    """Output over input level in the steady state, in dB at the model's level."""
    output_db = static_curve_db(jnp.asarray(_LEVELS_DB, jnp.float32)[None], compressor)
    return {"input_db": _rounded(_LEVELS_DB), "output_db": _rounded(np.asarray(output_db, np.float64)[0])}


def saturator_curve(saturator: Saturator) -> dict[str, list[float]]:
    """Output over input amplitude at the model's level, without the removal of DC."""
    gain, mix = float(db_to_amplitude(saturator.drive_db)[0]), float(saturator.mix[0])
    t = np.tanh(gain * _AMPLITUDES)
    wet = float(level_compensation(saturator)[0]) * (t + 0.5 * float(saturator.asymmetry[0]) * t * t)
    return {"input": _rounded(_AMPLITUDES, 4), "output": _rounded(_AMPLITUDES + mix * (wet - _AMPLITUDES), 4)}


def _rounded(values: np.ndarray, digits: int = 2) -> list[float]:
    return [round(float(x), digits) for x in values]
