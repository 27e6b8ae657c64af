"""Line charts as SVG, by hand: a few kilobytes of text that any browser draws and any printer prints.

Colours are those of M. Okabe and K. Ito ("Color Universal Design", 2008), which the colour-blind can tell apart; lines
also differ in their dashes, so that they can be told apart without any colour.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

BLACK, BLUE, ORANGE, GREEN, PURPLE, SKY, RED = (
    "#111", "#0072b2", "#d55e00", "#009e73", "#aa4499", "#56b4e9", "#cc3311",
)  # fmt: skip
_FREQUENCY_TICKS = ((20, "20"), (50, "50"), (100, "100"), (200, "200"), (500, "500"), (1000, "1k"), (2000, "2k"),
                   (5000, "5k"), (10_000, "10k"), (20_000, "20k"))  # fmt: skip
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_TOP, _MARGIN_BOTTOM = 42, 16, 24, 40  # margins
_CHAR_WIDTH = 7.0  # width of a letter, about


@dataclasses.dataclass(frozen=True)
class Axis:
    """What one direction of a chart shows: from `low` to `high`, with `ticks` as (value, text)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log_scale: bool = False

    def normalize(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Where values lie, 0 at the low end to 1 at the high end; what lies beyond is held at the end."""
        values = np.clip(np.asarray(values, np.float64), self.low, self.high)
        if self.log_scale:
            return np.log(values / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class PlotCurve:
    """A line over x and y, `[points]`; where y is not finite it is broken. name: in the legend, none if empty.
    dash: SVG's stroke-dasharray. fill: whether the space to y = 0 is filled, lightly. mark: text at its y that is
    furthest from 0."""

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    name: str = ""
    color: str = BLACK
    line_width: float = 1.8
    dash: str = ""
    fill: bool = False
    peak_label: str = ""


@dataclasses.dataclass(frozen=True)
class PlotArea:
    """The place of a chart's drawing area, in SVG's units, and what it shows."""

    x: Axis
    y: Axis
    width: int
    height: int

    def to_x(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Horizontal places of values."""
        return _MARGIN_LEFT + self.x.normalize(values) * (self.width - _MARGIN_LEFT - _MARGIN_RIGHT)

    def to_y(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Vertical places of values."""
        return self.height - _MARGIN_BOTTOM - self.y.normalize(values) * (self.height - _MARGIN_TOP - _MARGIN_BOTTOM)


def frequency_axis() -> Axis:
    """20 Hz to 20 kHz."""
    return Axis("frequency (Hz)", 20.0, 20_000.0, _FREQUENCY_TICKS, log_scale=True)


def linear_axis(label: str, low: float, high: float) -> Axis:
    """From a round number below `low` to one above `high`, which is above it, with four to eight ticks between."""
    raw_step = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(raw_step))
    step = power * next(multiple for multiple in (1.0, 2.0, 3.0, 5.0, 10.0) if multiple * power >= raw_step * 0.999)
    first_tick, last_tick = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    ticks = tuple((i * step, _format_tick(i * step)) for i in range(first_tick, last_tick + 1))
    return Axis(label, first_tick * step, last_tick * step, ticks)


def time_axis(seconds: float) -> Axis:
    """From 0 to a duration in s, which is above 0, in minutes and seconds."""
    step = next((candidate for candidate in _TIME_STEPS_S if seconds / candidate <= 7.0), _TIME_STEPS_S[-1])
    count = int(seconds / step + 1e-6)
    return Axis("time", 0.0, seconds, tuple((i * step, format_time(i * step, step < 1)) for i in range(count + 1)))


def format_time(seconds: float, tenths: bool = False) -> str:
    """A time as 1:02:03, 2:03 or, with tenths, 0:00.5."""
    rounded_s = round(seconds * 10) / 10 if tenths else float(round(seconds))
    minutes, remainder_s = divmod(rounded_s, 60.0)
    hours, minutes = divmod(int(minutes), 60)
    seconds_text = f"{remainder_s:04.1f}" if tenths else f"{remainder_s:02.0f}"
    return f"{hours}:{minutes:02d}:{seconds_text}" if hours else f"{minutes}:{seconds_text}"


def render_chart(
    element_id: str,
    title: str,
    description: str,
    x: Axis,
    y: Axis,
    curves: Sequence[PlotCurve],
    width: int,
    height: int,
) -> str:
    """A chart as an `<svg>` element.

    Args:
        ident: a name that no other chart of the page has, of letters, digits and dashes.
        title, description: for those who cannot see it.
        x, y: axes.
        curves: drawn one over the other.
        width, height: of the drawing; it is scaled to the space that it is given.
    """
    area = PlotArea(x, y, width, height)
    return "".join([
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{element_id}-t {element_id}-d" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="{element_id}-t">{escape(title)}</title>',
        f'<desc id="{element_id}-d">{escape(description)}</desc>',
        *_draw_grid(area),
        *(_draw_fill(area, curve) for curve in curves if curve.fill),
        *(_draw_line(area, curve) for curve in curves),
        *_draw_peak_labels(area, curves),
        "</svg>",
    ])  # fmt: skip


def render_legend(curves: Sequence[PlotCurve]) -> str:
    """The named curves as a list with a piece of each line."""
    items = (
        f'<li><svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" {_stroke_attributes(curve)}/></svg>'
        f"{escape(curve.name)}</li>"
        for curve in curves
        if curve.name
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _format_tick(value: float) -> str:
    """With a true minus sign, and 0 without any."""
    return f"{value:g}".replace("-", "−") if abs(value) > 1e-9 else "0"


def _draw_grid(area: PlotArea) -> list[str]:
    left, right = _MARGIN_LEFT, area.width - _MARGIN_RIGHT
    top, bottom = _MARGIN_TOP, area.height - _MARGIN_BOTTOM
    parts = []
    for position, text_center, text in _select_x_ticks(area):
        parts.append(f'<path class="grid" d="M{position:.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{text_center:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    for value, text in area.y.ticks:
        position = float(area.to_y(value))
        css_class = "zero" if value == 0.0 else "grid"
        parts.append(f'<path class="{css_class}" d="M{left} {position:.1f}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{position + 4:.1f}" text-anchor="end">{text}</text>')
    text_center = (left + right) / 2
    parts.append(f'<text x="{text_center:.0f}" y="{bottom + 34}" text-anchor="middle">{escape(area.x.label)}</text>')
    parts.append(f'<text x="0" y="13">{escape(area.y.label)}</text>')
    return parts


def _select_x_ticks(area: PlotArea) -> list[tuple[float, float, str]]:
    """The ticks along the x axis that leave room for each other's text, from the left: place, middle of the text,
    text."""
    ticks, end = [], -math.inf
    for value, text in area.x.ticks:
        half_width = _CHAR_WIDTH * len(text) / 2
        position = float(area.to_x(value))
        text_center = min(position, area.width - half_width)
        if text_center - half_width >= end:
            ticks.append((position, text_center, text))
            end = text_center + half_width + _CHAR_WIDTH
    return ticks


def _finite_runs(area: PlotArea, curve: PlotCurve) -> list[np.ndarray]:
    """Each stretch of finite points as `[points, 2]` places."""
    finite = np.isfinite(curve.y)
    points = np.stack([area.to_x(curve.x), area.to_y(np.where(finite, curve.y, 0.0))], axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], finite.astype(int), [0]])))
    return [points[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _path_data(points: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)


def _draw_line(area: PlotArea, curve: PlotCurve) -> str:
    runs = _finite_runs(area, curve)
    if len(curve.x) == 1 and runs:  # a single point is a short stroke
        runs = [runs[0] + np.array([[-4.0, 0.0], [4.0, 0.0]])]
    return f'<path d="{"".join(map(_path_data, runs))}" {_stroke_attributes(curve)}/>' if runs else ""


def _draw_fill(area: PlotArea, curve: PlotCurve) -> str:
    zero_y = float(area.to_y(0.0))
    shapes = (f"M{run[0, 0]:.1f} {zero_y:.1f}L{_path_data(run)[1:]}V{zero_y:.1f}Z" for run in _finite_runs(area, curve))
    return f'<path d="{"".join(shapes)}" fill="{curve.color}" fill-opacity="0.15"/>'


def _stroke_attributes(curve: PlotCurve) -> str:
    dash = f' stroke-dasharray="{curve.dash}"' if curve.dash else ""
    return f'fill="none" stroke="{curve.color}" stroke-width="{curve.line_width:g}" stroke-linejoin="round"{dash}'


def _draw_peak_labels(area: PlotArea, curves: Sequence[PlotCurve]) -> list[str]:
    """The texts at the curves' extremes, moved away from those that are there already."""
    occupied: list[tuple[float, float, float]] = []
    parts = []
    for curve in curves:
        if not curve.peak_label or not np.isfinite(curve.y).any():
            continue
        peak = int(np.nanargmax(np.abs(np.where(np.isfinite(curve.y), curve.y, np.nan))))
        half_width = _CHAR_WIDTH * len(curve.peak_label) / 2 + 2
        is_boost = curve.y[peak] >= 0.0
        x = float(np.clip(area.to_x(curve.x[peak]), _MARGIN_LEFT + half_width, area.width - _MARGIN_RIGHT - half_width))
        y = float(area.to_y(curve.y[peak])) + (-6.0 if is_boost else 15.0)
        while any(
            abs(x - other_x) < half_width + other_half_width and abs(y - other_y) < 13.0
            for other_x, other_y, other_half_width in occupied
        ):
            y += -13.0 if is_boost else 13.0
        y = min(max(y, _MARGIN_TOP + 12.0), area.height - _MARGIN_BOTTOM - 4.0)
        occupied.append((x, y, half_width))
        attributes = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{curve.color}"'
        parts.append(f'<text class="mark" {attributes}>{escape(curve.peak_label)}</text>')
    return parts
