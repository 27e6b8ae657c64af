"""Broad tonal balance against the training songs."""

from __future__ import annotations

from collections.abc import Mapping

from nmjax.audio.units import power_to_db
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.percentiles import percentile_of, quantile
from nmjax.mastering.diagnosis.spectrum import MIN_WINDOWS, LongTermSpectrum
from nmjax.runtime.number_format import format_signed

BANDS_HZ = {
    "bass": (30.0, 120.0),
    "low_mids": (120.0, 500.0),
    "mids": (500.0, 2_000.0),
    "presence": (2_000.0, 6_000.0),
    "air": (6_000.0, 15_000.0),
}
_NAMES = {"bass": "bass", "low_mids": "low mids", "mids": "midrange", "presence": "upper mids", "air": "highs"}
_EXTREME_PERCENT = 0.5
_MARGIN_DB = 6.0  # beyond the extreme songs: 1.7 % of the songs of an author exceed it against those of the others


def balance_db(spectrum: LongTermSpectrum) -> dict[str, float]:
    """Power of each of `BANDS_HZ` in dB, relative to the mean of the bands' levels."""
    levels = {name: power_to_db(spectrum.band_power(*band) + 1e-15) for name, band in BANDS_HZ.items()}
    mean_db = sum(levels.values()) / len(levels)
    return {name: level_db - mean_db for name, level_db in levels.items()}


def describe_balance(measures: Mapping[str, float]) -> str:
    """The level of each band relative to the median of the training songs; empty for silence.

    Args:
        measures: `balance_NAME_db` for each name in `BANDS_HZ`.
    """
    keys = {name: f"balance_{name}_db" for name in BANDS_HZ}
    if not all(key in measures for key in keys.values()):
        return ""
    levels = (
        f"{_NAMES[name]} {format_signed(measures[key] - quantile(key, 50.0), digits=0)}" for name, key in keys.items()
    )
    return f"{', '.join(levels)} dB"


def find_tonal_balance(spectrum: LongTermSpectrum) -> list[Finding]:
    """The band that deviates most from the training songs, if any is outside their range."""
    if spectrum.num_windows < MIN_WINDOWS or spectrum.freq_hz[-1] < BANDS_HZ["air"][1]:
        return []
    excess, levels_db = {}, balance_db(spectrum)
    for name, level_db in levels_db.items():
        low, high = (quantile(f"balance_{name}_db", p) for p in (_EXTREME_PERCENT, 100.0 - _EXTREME_PERCENT))
        excess[name] = max(0.0, level_db - high - _MARGIN_DB) - max(0.0, low - _MARGIN_DB - level_db)
    name = max(excess, key=lambda key: abs(excess[key]))
    if excess[name] == 0.0:
        return []
    level_db = levels_db[name]
    median_db = quantile(f"balance_{name}_db", 50.0)
    direction, opposite = ("more", "Lower") if excess[name] > 0.0 else ("less", "Raise")
    return [
        Finding(
            name="tonal_balance",
            value=level_db - median_db,
            unit="dB",
            severity=Severity.WARNING,
            sentence=f"The track has {abs(level_db - median_db):.0f} dB {direction} {_NAMES[name]} than the median song"
            f" ({_range_text(BANDS_HZ[name])}).",
            remedy=f"{opposite} the {_NAMES[name]} with a broad EQ, or give a reference in this style.",
            percentile=percentile_of(f"balance_{name}_db", level_db),
        )
    ]


def _range_text(band_hz: tuple[float, float]) -> str:
    return f"{band_hz[0]:,.0f} to {band_hz[1]:,.0f} Hz"
