"""Where an increasing function crosses zero, by the Illinois method (a bracketing secant); SciPy's `brentq` does the
same, but takes a third of a second to import."""

from __future__ import annotations

from collections.abc import Callable

_MAX_STEPS = 60


def find_crossing(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """An x between `low` and `high` where a continuous function is at most `tolerance` from zero.

    M. Dowell and P. Jarratt, "A modified regula falsi method for computing the root of an equation" (BIT 11, 1971):
    where the same end of the bracket stays twice in a row, its value is halved, so that both ends move.

    Args:
        function: at most zero at `low`, at least zero at `high`.
        low, high: the bracket.
        tolerance: above 0, in the function's unit.
    """
    low_value, high_value, moved = function(low), function(high), ""
    if abs(low_value) <= tolerance:
        return low
    x = high
    for _ in range(_MAX_STEPS):
        x = high - high_value * (high - low) / (high_value - low_value)
        value = function(x)
        if abs(value) <= tolerance:
            break
        if value < 0.0:
            low, low_value = x, value
            high_value *= 0.5 if moved == "low" else 1.0
            moved = "low"
        else:
            high, high_value = x, value
            low_value *= 0.5 if moved == "high" else 1.0
            moved = "high"
    return x
