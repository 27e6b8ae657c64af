"""Narrow resonances: a room mode, a ringing body or a filter that colors all that sounds, at one fixed frequency.

A resonance raises a band above its neighborhood nearly all the time. Held and repeated notes do the same, but are not
alone, and come and go by themselves: a resonance has to exceed every other band within an octave, and to follow the
level of its neighborhood. It has the shape of a peaking filter, which is fitted to the levels around it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.spectrum import MIN_WINDOWS, RESONANCE_HZ, LongTermSpectrum
from nmjax.runtime.number_format import format_fixed

# Chosen on 283 training sections of 60 s by 80 authors: none of them has such a band (1.1 % at 5 dB).
_MIN_EXCESS_DB = 7.0  # over all others within an octave
_MIN_CORRELATION = 0.4  # of the level with that of the neighborhood
_MAX_SHARPNESS_DB = 11.0  # of the fitted gain over the steady prominence: sharper peaks are notes, or fitted wrongly
_WARNING_GAIN_DB = 12.0
_FIT_OCTAVES = 1.0 / 6.0  # on either side
_FIT_PERCENTS = (10.0, 25.0, 50.0)  # of the levels over time, averaged
_FIRST_QS = (15.0, 30.0, 60.0)  # from which a fit begins
_MAX_OFFSET = 0.006  # of the frequency from the center of the band
_MIN_GAIN_DB, _MAX_GAIN_DB, _MIN_Q, _MAX_Q = 3.0, 40.0, 5.0, 150.0  # of a fit
_TOLERANCE_DB = 2.0  # larger deviations from the fit are notes, and count little


class Resonance(NamedTuple):
    """The peaking filter (Audio EQ Cookbook) that a resonance is; the gain is positive."""

    freq_hz: float
    gain_db: float
    q: float


def fit_resonances(spectrum: LongTermSpectrum) -> list[Resonance]:
    """The resonances of a track, the strongest first: at most one an octave."""
    narrow, (low_hz, high_hz) = spectrum.narrow, RESONANCE_HZ
    if spectrum.num_windows < MIN_WINDOWS:
        return []
    is_candidate = (narrow.excess_db >= _MIN_EXCESS_DB) & (narrow.correlation >= _MIN_CORRELATION)
    is_candidate &= (narrow.freq_hz >= low_hz) & (narrow.freq_hz <= high_hz)
    found = []
    while is_candidate.any():
        band = int(np.argmax(np.where(is_candidate, narrow.excess_db, -np.inf)))
        resonance = _fit(spectrum, float(narrow.freq_hz[band]))
        if resonance.gain_db <= narrow.steady_prominence_db[band] + _MAX_SHARPNESS_DB:
            found.append(resonance)
        is_candidate &= np.abs(np.log2(narrow.freq_hz / narrow.freq_hz[band])) > _FIT_OCTAVES  # without its slopes
    return found


def find_resonances(spectrum: LongTermSpectrum) -> list[Finding]:
    """The strongest resonance, and how many more there are."""
    found = fit_resonances(spectrum)
    if not found:
        return []
    strongest = found[0]
    others = {1: "", 2: " There is 1 more."}.get(len(found), f" There are {len(found) - 1} more.")
    excess = format_fixed(strongest.gain_db, "dB", digits=0)
    return [
        Finding(
            name="resonance",
            value=strongest.freq_hz,
            unit="Hz",
            severity=Severity.WARNING if strongest.gain_db >= _WARNING_GAIN_DB else Severity.INFO,
            sentence=f"Everything near {strongest.freq_hz:,.0f} Hz is about {excess} louder than what surrounds it, as"
            f" if something resonated.{others}",
            remedy="Listen there: if no note or drone is meant to be that loud, cut this frequency with a narrow EQ.",
        )
    ]


def _fit(spectrum: LongTermSpectrum, band_hz: float) -> Resonance:
    """A peaking filter on a straight line in dB over log frequency, by least squares that notes hardly change."""
    from scipy.optimize import least_squares  # a third of a second, where there is a candidate

    bins = spectrum.bins(band_hz * 2.0**-_FIT_OCTAVES, band_hz * 2.0**_FIT_OCTAVES)
    level_db = np.mean([spectrum.percentile_db(percent)[bins] for percent in _FIT_PERCENTS], axis=0)
    sample_rate = 2.0 * spectrum.freq_hz[-1]
    warped = np.tan(np.pi * spectrum.freq_hz[bins] / sample_rate)
    octaves = np.log2(spectrum.freq_hz[bins] / band_hz)
    base_db = float(np.median(level_db))

    def deviation_db(parameters: Float[np.ndarray, "5"]) -> Float[np.ndarray, " bins"]:
        offset, gain_db, log_q, base_db, slope_db = parameters
        center = np.tan(np.pi * band_hz * (1.0 + _MAX_OFFSET * offset) / sample_rate)
        response_db = _response_db(warped / center, gain_db, np.exp(log_q))
        return response_db + base_db + slope_db * octaves - level_db

    near = np.abs(octaves) <= 2.0 * _MAX_OFFSET
    first_gain_db = float(np.clip(np.median(level_db[near]) - base_db, 1.1 * _MIN_GAIN_DB, 0.9 * _MAX_GAIN_DB))
    limits = (
        [-1.0, _MIN_GAIN_DB, np.log(_MIN_Q), -np.inf, -np.inf],
        [1.0, _MAX_GAIN_DB, np.log(_MAX_Q), np.inf, np.inf],
    )
    fits = [
        least_squares(
            deviation_db,
            [0.0, first_gain_db, np.log(q), base_db, 0.0],
            bounds=limits,
            loss="cauchy",
            f_scale=_TOLERANCE_DB,
        )
        for q in _FIRST_QS
    ]
    offset, gain_db, log_q, *_ = min(fits, key=lambda fit: fit.cost).x
    return Resonance(band_hz * (1.0 + _MAX_OFFSET * float(offset)), float(gain_db), float(np.exp(log_q)))


def _response_db(ratio: Float[np.ndarray, " bins"], gain_db: float, q: float) -> Float[np.ndarray, " bins"]:
    """Response of a peaking filter; ratio: of tan(π · frequency / sample rate) to that of the center."""
    amplitude, detuning = 10.0 ** (gain_db / 40.0), np.square(1.0 - np.square(ratio))
    boosted = detuning + np.square(ratio * amplitude / q)
    return np.asarray(10.0 * np.log10(boosted / (detuning + np.square(ratio / (amplitude * q)))))
