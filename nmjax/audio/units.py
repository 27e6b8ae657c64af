"""Decibels of single numbers, and numbers for JSON."""

from __future__ import annotations

import math


def amplitude_to_db(amplitude: float) -> float:
    """20·log10; −inf for 0."""
    return 20.0 * math.log10(amplitude) if amplitude > 0.0 else -math.inf


def power_to_db(power: float) -> float:
    """10·log10; −inf for 0."""
    return 10.0 * math.log10(power) if power > 0.0 else -math.inf


def db_to_amplitude(db: float) -> float:
    """10^(db/20)."""
    return 10.0 ** (db / 20.0)


def json_number(value: float | None) -> float | None:
    """A number rounded to hundredths for JSON; None for None, NaN and infinities, which JSON lacks."""
    return None if value is None or not math.isfinite(value) else round(float(value), 2)
