"""Line charts as data. The web component `<nm-chart>` draws them, nmjax/html/components/chart.js."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.runtime.number_format import format_general, format_time

_FREQUENCY_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_DIGITS = 5  # significant ones of a value: 0.01 Hz, 0.001 dB


@dataclasses.dataclass(frozen=True)
class Tick:
    """A labeled value of an axis."""

    value: float
    text: str


@dataclasses.dataclass(frozen=True)
class Axis:
    """The range of one axis, `low` to `high`, with its ticks.

    Attributes:
        label: beside the axis.
        low, high: its ends; what is beyond them is drawn at them.
        ticks: labeled values.
        kind: "linear", "frequency" (logarithmic) or "time" (in seconds).
        unit: of values that are shown as text.
    """

    label: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    kind: str = "linear"
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class PlotCurve:
    """A line through the points (x, y), broken where y is not finite.

    x rises. name: the text of the legend; a curve without one has no legend entry.
    style: color and dashes, the class "line-STYLE" of the style sheet.
    fill: whether the area between the curve and y = 0 is tinted.
    """

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    name: str = ""
    style: str = "master"
    fill: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The curve for JSON."""
        return {
            "name": self.name,
            "style": self.style,
            "fill": self.fill,
            "x": json_numbers(self.x),
            "y": json_numbers(self.y),
        }


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves over two axes, later ones drawn over earlier ones. title, description: for screen readers."""

    title: str
    description: str
    x: Axis
    y: Axis
    curves: Sequence[PlotCurve]

    def to_dict(self) -> dict[str, Any]:
        """The chart for JSON, as the property of `<nm-chart>`."""
        return {
            "title": self.title,
            "description": self.description,
            "x": dataclasses.asdict(self.x),
            "y": dataclasses.asdict(self.y),
            "curves": [curve.to_dict() for curve in self.curves],
        }


def json_numbers(values: np.ndarray) -> list[float | None]:
    """Values for JSON with five significant digits; None where a value is not finite."""
    return [float(f"{x:.{_DIGITS}g}") if math.isfinite(x) else None for x in np.asarray(values, np.float64).tolist()]


def frequency_axis() -> Axis:
    """A logarithmic axis from 20 Hz to 20 kHz."""
    ticks = tuple(Tick(hz, f"{hz // 1000}k" if hz >= 1000 else f"{hz}") for hz in _FREQUENCY_TICKS_HZ)
    return Axis("frequency (Hz)", low=20.0, high=20_000.0, ticks=ticks, kind="frequency", unit="Hz")


def linear_axis(label: str, low: float, high: float, unit: str = "dB") -> Axis:
    """A linear axis around `low` < `high` that ends at round numbers, with four to nine ticks."""
    raw_step = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(raw_step))
    step = power * next(multiple for multiple in (1.0, 2.0, 3.0, 5.0, 10.0) if multiple * power >= raw_step * 0.999)
    first_tick, last_tick = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    values = [i * step for i in range(first_tick, last_tick + 1)]
    ticks = tuple(Tick(value, format_general(value) if abs(value) > 1e-9 else "0") for value in values)
    return Axis(label, low=values[0], high=values[-1], ticks=ticks, unit=unit)


def time_axis(duration_s: float) -> Axis:
    """An axis from 0 to a duration above 0, labeled in minutes and seconds."""
    step = next((candidate for candidate in _TIME_STEPS_S if duration_s / candidate <= 7.0), _TIME_STEPS_S[-1])
    num_steps = int(duration_s / step + 1e-6)
    ticks = tuple(Tick(i * step, format_time(i * step, tenths=step < 1)) for i in range(num_steps + 1))
    return Axis("time", low=0.0, high=duration_s, ticks=ticks, kind="time", unit="s")
