"""Line charts as SVG, a few kilobytes of text each, which browsers draw and print without any library.

The colors are those of M. Okabe and K. Ito ("Color Universal Design", 2008), which color-blind readers can tell apart.
Lines also differ in their dashes, so that a chart can be read without color.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from nmjax.runtime.number_format import format_general, format_time

BLACK, BLUE, ORANGE, GREEN = "#111", "#0072b2", "#d55e00", "#009e73"
PURPLE, SKY, RED = "#aa4499", "#56b4e9", "#cc3311"
_FREQUENCY_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_TOP, _MARGIN_BOTTOM = 42, 16, 24, 40
_CHAR_WIDTH = 7.0  # the average width of a character
_LABEL_HEIGHT = 13.0  # the distance between two lines of text


@dataclasses.dataclass(frozen=True)
class Tick:
    """A labeled value of an axis."""

    value: float
    text: str


@dataclasses.dataclass(frozen=True)
class Axis:
    """The range of one axis, `low` to `high`, with its ticks."""

    label: str
    low: float
    high: float
    ticks: tuple[Tick, ...]
    log_scale: bool = False

    def normalize(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Map values to 0 (low end) to 1 (high end); values beyond the range are clipped to it."""
        values = np.clip(np.asarray(values, np.float64), self.low, self.high)
        if self.log_scale:
            return np.log(values / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class LineStyle:
    """How a curve is drawn. dash: SVG's stroke-dasharray, "" for a solid line."""

    color: str = BLACK
    width: float = 1.8
    dash: str = ""

    def attributes(self) -> str:
        """The attributes of an SVG path."""
        dash = f' stroke-dasharray="{self.dash}"' if self.dash else ""
        return f'fill="none" stroke="{self.color}" stroke-width="{self.width:g}" stroke-linejoin="round"{dash}'


@dataclasses.dataclass(frozen=True)
class PlotCurve:
    """A line through the points (x, y), broken where y is not finite.

    name: the text of the legend; a curve without one has no legend entry.
    fill: whether the area between the curve and y = 0 is tinted.
    peak_label: a text at the point with the largest absolute y.
    """

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    name: str = ""
    style: LineStyle = LineStyle()
    fill: bool = False
    peak_label: str = ""


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves over two axes, later ones drawn over earlier ones. title, description: for screen readers."""

    title: str
    description: str
    x: Axis
    y: Axis
    curves: Sequence[PlotCurve]


def frequency_axis() -> Axis:
    """A logarithmic axis from 20 Hz to 20 kHz."""
    ticks = tuple(Tick(hz, f"{hz // 1000}k" if hz >= 1000 else f"{hz}") for hz in _FREQUENCY_TICKS_HZ)
    return Axis("frequency (Hz)", low=20.0, high=20_000.0, ticks=ticks, log_scale=True)


def linear_axis(label: str, low: float, high: float) -> Axis:
    """A linear axis around `low` < `high` that ends at round numbers, with four to nine ticks."""
    raw_step = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(raw_step))
    step = power * next(multiple for multiple in (1.0, 2.0, 3.0, 5.0, 10.0) if multiple * power >= raw_step * 0.999)
    first_tick, last_tick = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    values = [i * step for i in range(first_tick, last_tick + 1)]
    ticks = tuple(Tick(value, format_general(value) if abs(value) > 1e-9 else "0") for value in values)
    return Axis(label, low=values[0], high=values[-1], ticks=ticks)


def time_axis(duration_s: float) -> Axis:
    """An axis from 0 to a duration above 0, labeled in minutes and seconds."""
    step = next((candidate for candidate in _TIME_STEPS_S if duration_s / candidate <= 7.0), _TIME_STEPS_S[-1])
    num_steps = int(duration_s / step + 1e-6)
    ticks = tuple(Tick(i * step, format_time(i * step, tenths=step < 1)) for i in range(num_steps + 1))
    return Axis("time", low=0.0, high=duration_s, ticks=ticks)


def render_chart(chart: Chart, element_id: str, width: int, height: int) -> Markup:
    """Draw a chart as an `<svg>` element.

    Args:
        chart: what to draw.
        element_id: unique in the page; letters, digits and dashes.
        width, height: size in SVG units; a page scales the drawing to the width that it has.
    """
    area = _PlotArea(chart.x, chart.y, width, height)
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{element_id}-title {element_id}-desc" xmlns="http://www.w3.org/2000/svg">',
        f'<title id="{element_id}-title">{escape(chart.title)}</title>',
        f'<desc id="{element_id}-desc">{escape(chart.description)}</desc>',
        *_draw_grid(area),
        *(_draw_fill(area, curve) for curve in chart.curves if curve.fill),
        *(_draw_line(area, curve) for curve in chart.curves),
        *_draw_peak_labels(area, chart.curves),
        "</svg>",
    ]
    return Markup("".join(parts))


def render_swatch(style: LineStyle) -> Markup:
    """Draw a short piece of a line for the legend."""
    return Markup(
        f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" {style.attributes()}/></svg>'
    )


@dataclasses.dataclass(frozen=True)
class _PlotArea:
    """Maps values to SVG coordinates inside the margins of a drawing."""

    x: Axis
    y: Axis
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.width - _MARGIN_RIGHT

    @property
    def bottom(self) -> int:
        return self.height - _MARGIN_BOTTOM

    def to_x(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        return _MARGIN_LEFT + self.x.normalize(values) * (self.right - _MARGIN_LEFT)

    def to_y(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        return self.bottom - self.y.normalize(values) * (self.bottom - _MARGIN_TOP)


def _draw_grid(area: _PlotArea) -> list[str]:
    """Grid lines with the labels of the ticks and of both axes."""
    parts = []
    next_free_x = -math.inf
    for tick in area.x.ticks:  # from the left, without those whose text would touch the text before
        x, half_width = float(area.to_x(tick.value)), _CHAR_WIDTH * len(tick.text) / 2
        text_x = min(x, area.width - half_width)
        if text_x - half_width >= next_free_x:
            next_free_x = text_x + half_width + _CHAR_WIDTH
            parts.append(f'<path class="grid" d="M{x:.1f} {_MARGIN_TOP}V{area.bottom}"/>')
            parts.append(f'<text x="{text_x:.1f}" y="{area.bottom + 16}" text-anchor="middle">{tick.text}</text>')
    for tick in area.y.ticks:
        y, css_class = float(area.to_y(tick.value)), "zero" if tick.value == 0.0 else "grid"
        parts.append(f'<path class="{css_class}" d="M{_MARGIN_LEFT} {y:.1f}H{area.right}"/>')
        parts.append(f'<text x="{_MARGIN_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick.text}</text>')
    x_label, middle = escape(area.x.label), (_MARGIN_LEFT + area.right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{area.bottom + 34}" text-anchor="middle">{x_label}</text>')
    parts.append(f'<text x="0" y="13">{escape(area.y.label)}</text>')
    return parts


def _finite_runs(area: _PlotArea, curve: PlotCurve) -> list[np.ndarray]:
    """The SVG coordinates `[points, 2]` of each run of finite points."""
    finite = np.isfinite(curve.y)
    points = np.stack([area.to_x(curve.x), area.to_y(np.where(finite, curve.y, 0.0))], axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], finite.astype(int), [0]])))
    return [points[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _path_data(points: np.ndarray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _draw_line(area: _PlotArea, curve: PlotCurve) -> str:
    runs = _finite_runs(area, curve)
    if len(curve.x) == 1 and runs:  # a single point would be invisible
        runs = [runs[0] + np.array([[-4.0, 0.0], [4.0, 0.0]])]
    return f'<path d="{"".join(map(_path_data, runs))}" {curve.style.attributes()}/>' if runs else ""


def _draw_fill(area: _PlotArea, curve: PlotCurve) -> str:
    zero_y = float(area.to_y(0.0))
    shapes = (f"M{run[0, 0]:.1f} {zero_y:.1f}L{_path_data(run)[1:]}V{zero_y:.1f}Z" for run in _finite_runs(area, curve))
    return f'<path d="{"".join(shapes)}" fill="{curve.style.color}" fill-opacity="0.15"/>'


def _draw_peak_labels(area: _PlotArea, curves: Sequence[PlotCurve]) -> list[str]:
    """The peak labels of the curves, each moved away from zero until it overlaps none before it."""
    occupied: list[tuple[float, float, float]] = []  # x, y and half the width of each label
    parts = []
    for curve in curves:
        if not curve.peak_label or not np.isfinite(curve.y).any():
            continue
        peak = int(np.nanargmax(np.abs(np.where(np.isfinite(curve.y), curve.y, np.nan))))
        half_width = _CHAR_WIDTH * len(curve.peak_label) / 2 + 2
        is_boost = curve.y[peak] >= 0.0
        x = float(np.clip(area.to_x(curve.x[peak]), _MARGIN_LEFT + half_width, area.right - half_width))
        y = float(area.to_y(curve.y[peak])) + (-6.0 if is_boost else 15.0)
        while any(
            abs(x - other_x) < half_width + other_half_width and abs(y - other_y) < _LABEL_HEIGHT
            for other_x, other_y, other_half_width in occupied
        ):
            y += -_LABEL_HEIGHT if is_boost else _LABEL_HEIGHT
        y = min(max(y, _MARGIN_TOP + 12.0), area.bottom - 4.0)
        occupied.append((x, y, half_width))
        attributes = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{curve.style.color}"'
        parts.append(f'<text class="peak-label" {attributes}>{escape(curve.peak_label)}</text>')
    return parts
