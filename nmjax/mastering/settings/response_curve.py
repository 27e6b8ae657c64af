"""Import of a response curve, frequency against gain in dB, as peaking filters that are fitted to it.

A curve is a text file of REW (*Export, Measurement as text*) or a CSV of frequency and gain. Further columns, such as a
phase, are ignored. The level of a curve is ignored too: a measurement has any, and delivery sets the loudness.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nmjax.dsp import Bands
from nmjax.reference import eq_fit
from nmjax.reference.response import bands_response_db
from nmjax.runtime.errors import BadInputError

_GRID_HZ = 1000.0 * 2.0 ** (np.arange(-34, 27) / 6.0)  # of the fit: 1/6 octaves, 19.7 Hz to 20.2 kHz
_COMMENT = ("*", "#", ";", "//")
_SEPARATOR = re.compile(r"\s*[;\t]\s*|\s*,\s*|\s+")
_EXPLICIT_SEPARATOR = re.compile(r"\s*[;\t]\s*")  # beside which a comma is a decimal point
_MAX_HEAD_LINES = 100  # of comments and headers before the numbers
_MIN_POINTS, _MAX_POINTS = 5, 200_000
_MIN_OCTAVES = 2.0
_MAX_HZ, _MAX_LEVEL_DB = 200_000.0, 400.0
_GAIN_PENALTY = 0.02  # in dB² for each dB of a filter's gain: two filters that cancel each other are merged
_FINE_STEPS = 16  # in each band of the fit; a curve of many points is averaged over them


class ResponseCurve(NamedTuple):
    """A curve at increasing frequencies."""

    freq_hz: Float[np.ndarray, " points"]
    level_db: Float[np.ndarray, " points"]


class CurveFit(NamedTuple):
    """Peaking filters, and a sentence that says how well they fit the curve."""

    bands: Bands
    note: str


def is_curve(text: str) -> bool:
    """Whether a file holds a curve: its first line after comments and a header begins with two numbers.

    No header may name a Q, and more than two columns need a header or a comment: they could be bands.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    explained = False
    for line in lines[:_MAX_HEAD_LINES]:
        fields = _fields(line)
        if line.startswith(_COMMENT):
            explained = True
        elif len(fields) >= 2 and all(_number(field) is not None for field in fields[:2]):
            return len(fields) == 2 or explained
        elif ":" in line or "q" in (field.lower() for field in fields):
            return False
        else:
            explained = True
    return False


def parse_curve(text: str) -> ResponseCurve:
    """The curve of a text.

    Raises:
        BadInputError: a line without two numbers, frequencies that do not increase, a level that is no level in dB, or
            too few points or octaves for a fit.
    """
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.strip().startswith(_COMMENT):
            continue
        fields = _fields(line)
        values = [_number(field) for field in fields[:2]]
        if not rows and None in values:
            continue  # a header
        freq_hz, level_db = (*values, None, None)[:2]
        if freq_hz is None or level_db is None:
            raise BadInputError(f"line {number} is {line.strip()[:40]!r}; write a frequency in Hz and a gain in dB.")
        if not 0.0 < freq_hz <= _MAX_HZ or abs(level_db) > _MAX_LEVEL_DB:
            raise BadInputError(f"line {number} has {freq_hz:g} Hz and {level_db:g} dB; give Hz above 0, and dB.")
        if rows and freq_hz <= rows[-1][0]:
            raise BadInputError(f"line {number}: {freq_hz:g} Hz follows {rows[-1][0]:g} Hz; sort the lines.")
        rows.append((freq_hz, level_db))
    if not _MIN_POINTS <= len(rows) <= _MAX_POINTS:
        raise BadInputError(f"the curve has {len(rows)} points; give {_MIN_POINTS} to {_MAX_POINTS:,}.")
    curve = ResponseCurve(*np.array(rows).T)
    if np.log2(curve.freq_hz[-1] / curve.freq_hz[0]) < _MIN_OCTAVES or not _covered(curve).any():
        range_text = f"{curve.freq_hz[0]:g} to {curve.freq_hz[-1]:g} Hz"
        remedy = f"give at least {_MIN_OCTAVES:g} octaves between 20 Hz and 20 kHz"
        raise BadInputError(f"the curve covers {range_text}; {remedy}.")
    return curve


def fit_curve(curve: ResponseCurve) -> CurveFit:
    """As few peaking filters as fit the curve, up to a constant, in the ranges of `eq_fit.fit_bands`.

    Outside the curve's frequencies nothing is asked of the response.
    """
    fine_octaves = np.log2(_GRID_HZ)[:, None] + _band_offsets()
    target_db = np.interp(fine_octaves, np.log2(curve.freq_hz), curve.level_db).mean(axis=1)
    covered = _covered(curve)
    weight = covered / covered.mean()
    target_db = target_db - np.average(target_db, weights=weight)
    flat = Bands(freq_hz=np.full((1, 1), 1e3), gain_db=np.zeros((1, 1)), q=np.ones((1, 1)))
    bands = eq_fit.fit_bands(flat, _GRID_HZ, target_db, weight, _GAIN_PENALTY)
    error_db = target_db - bands_response_db(bands, _GRID_HZ)
    error_db = np.where(covered, error_db - np.average(error_db, weights=weight), 0.0)
    worst = int(np.argmax(np.abs(error_db)))
    rms_db = float(np.sqrt(np.average(error_db**2, weights=weight)))
    count = bands.q.shape[1]
    note = (
        f"{count} band{'s fit' if count > 1 else ' fits'} the curve to {rms_db:.1f} dB RMS, "
        f"at worst {abs(error_db[worst]):.1f} dB at {_GRID_HZ[worst]:,.0f} Hz."
    )
    return CurveFit(bands, note)


def _band_offsets() -> Float[np.ndarray, "1 steps"]:
    """Distances of points inside a band from its center in octaves."""
    width = float(np.log2(_GRID_HZ[1] / _GRID_HZ[0]))
    return ((np.arange(_FINE_STEPS) + 0.5) / _FINE_STEPS - 0.5)[None] * width


def _covered(curve: ResponseCurve) -> Bool[np.ndarray, " bands"]:
    """Mask of the bands of the fit inside the curve's range."""
    return (0.999 * curve.freq_hz[0] <= _GRID_HZ) & (1.001 * curve.freq_hz[-1] >= _GRID_HZ)


def _fields(line: str) -> list[str]:
    """The fields of a line; beside semicolons or tabs a comma is a decimal point."""
    line = line.strip()
    if _EXPLICIT_SEPARATOR.search(line):
        return [field.strip("\"' ").replace(",", ".") for field in _EXPLICIT_SEPARATOR.split(line)]
    return [field.strip("\"' ") for field in _SEPARATOR.split(line)]


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
