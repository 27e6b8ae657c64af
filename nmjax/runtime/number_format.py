"""Numbers as text for people, with a true minus sign and a dash for what is not finite."""

from __future__ import annotations

import math

MISSING = "–"


def format_fixed(value: float, unit: str = "", digits: int = 1) -> str:
    """A number with a fixed count of decimals, as in "−14.0 LUFS"; what rounds to zero has no sign."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return _with_unit(text.removeprefix("-") if float(text) == 0.0 else text, unit)


def format_signed(value: float, unit: str = "", digits: int = 1) -> str:
    """A number with its sign, as in "+1.5 dB"; zero has none."""
    if not math.isfinite(value):
        return MISSING
    text = f"{value:+.{digits}f}"
    return _with_unit(text[1:] if float(text) == 0.0 else text, unit)


def format_general(value: float, unit: str = "", digits: int = 6) -> str:
    """A number with at most `digits` significant digits and no trailing zeros, as in "1.06" or "−22.4 dB"."""
    return _with_unit(f"{value:.{digits}g}", unit) if math.isfinite(value) else MISSING


def format_time(seconds: float, tenths: bool = False) -> str:
    """A duration as "1:02:03" or "2:03"; with tenths, "0:00.5"."""
    rounded_s = round(seconds * 10) / 10 if tenths else float(round(seconds))
    minutes, remainder_s = divmod(rounded_s, 60.0)
    hours, minutes = divmod(int(minutes), 60)
    seconds_text = f"{remainder_s:04.1f}" if tenths else f"{remainder_s:02.0f}"
    return f"{hours}:{minutes:02d}:{seconds_text}" if hours else f"{minutes}:{seconds_text}"


def _with_unit(text: str, unit: str) -> str:
    return f"{text.replace('-', '−')} {unit}".strip()
