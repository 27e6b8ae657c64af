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
_FREQUENCIES_HZ = ((20, "20"), (50, "50"), (100, "100"), (200, "200"), (500, "500"), (1000, "1k"), (2000, "2k"),
                   (5000, "5k"), (10_000, "10k"), (20_000, "20k"))  # fmt: skip
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400)
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 16, 24, 40  # margins
_LETTER = 7.0  # width of a letter, about


@dataclasses.dataclass(frozen=True)
class Axis:
    """What one direction of a chart shows: from `low` to `high`, with `ticks` as (value, text)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def share(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Where values lie, 0 at the low end to 1 at the high end; what lies beyond is held at the end."""
        values = np.clip(np.asarray(values, np.float64), self.low, self.high)
        if self.logarithmic:
            return np.log(values / self.low) / math.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line over x and y, `[points]`; where y is not finite it is broken. name: in the legend, none if empty.
    dash: SVG's stroke-dasharray. fill: whether the space to y = 0 is filled, lightly. mark: text at its y that is
    furthest from 0."""

    x: Float[np.ndarray, "points"]
    y: Float[np.ndarray, "points"]
    name: str = ""
    colour: str = BLACK
    width: float = 1.8
    dash: str = ""
    fill: bool = False
    mark: str = ""


@dataclasses.dataclass(frozen=True)
class Frame:
    """The place of a chart's drawing area, in SVG's units, and what it shows."""

    x: Axis
    y: Axis
    width: int
    height: int

    def across(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Horizontal places of values."""
        return _LEFT + self.x.share(values) * (self.width - _LEFT - _RIGHT)

    def down(self, values: np.ndarray | float) -> np.ndarray | np.float64:
        """Vertical places of values."""
        return self.height - _BOTTOM - self.y.share(values) * (self.height - _TOP - _BOTTOM)


def frequency_axis() -> Axis:
    """20 Hz to 20 kHz."""
    return Axis("frequency (Hz)", 20.0, 20_000.0, _FREQUENCIES_HZ, logarithmic=True)


def linear_axis(label: str, low: float, high: float) -> Axis:
    """From a round number below `low` to one above `high`, which is above it, with four to eight ticks between."""
    rough = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1.0, 2.0, 3.0, 5.0, 10.0) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    ticks = tuple((i * step, _signless(i * step)) for i in range(first, last + 1))
    return Axis(label, first * step, last * step, ticks)


def time_axis(seconds: float) -> Axis:
    """From 0 to a duration in s, which is above 0, in minutes and seconds."""
    step = next((s for s in _TIME_STEPS_S if seconds / s <= 7.0), _TIME_STEPS_S[-1])
    count = int(seconds / step + 1e-6)
    return Axis("time", 0.0, seconds, tuple((i * step, clock(i * step, step < 1)) for i in range(count + 1)))


def clock(seconds: float, tenths: bool = False) -> str:
    """A time as 1:02:03, 2:03 or, with tenths, 0:00.5."""
    whole = round(seconds * 10) / 10 if tenths else float(round(seconds))
    minutes, rest = divmod(whole, 60.0)
    hours, minutes = divmod(int(minutes), 60)
    end = f"{rest:04.1f}" if tenths else f"{rest:02.0f}"
    return f"{hours}:{minutes:02d}:{end}" if hours else f"{minutes}:{end}"


def chart(
    ident: str, title: str, description: str, x: Axis, y: Axis, curves: Sequence[Curve], width: int, height: int
) -> str:
    """A chart as an `<svg>` element.

    Args:
        ident: a name that no other chart of the page has, of letters, digits and dashes.
        title, description: for those who cannot see it.
        x, y: axes.
        curves: drawn one over the other.
        width, height: of the drawing; it is scaled to the space that it is given.
    """
    frame = Frame(x, y, width, height)
    return "".join([
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-labelledby="{ident}-t {ident}-d" '
        f'xmlns="http://www.w3.org/2000/svg"><title id="{ident}-t">{escape(title)}</title>',
        f'<desc id="{ident}-d">{escape(description)}</desc>',
        *_grid(frame),
        *(_fill(frame, curve) for curve in curves if curve.fill),
        *(_line(frame, curve) for curve in curves),
        *_marks(frame, curves),
        "</svg>",
    ])  # fmt: skip


def legend(curves: Sequence[Curve]) -> str:
    """The named curves as a list with a piece of each line."""
    items = (
        f'<li><svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path d="M1 6H33" {_stroke(curve)}/></svg>'
        f"{escape(curve.name)}</li>"
        for curve in curves
        if curve.name
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _signless(value: float) -> str:
    """With a true minus sign, and 0 without any."""
    return f"{value:g}".replace("-", "−") if abs(value) > 1e-9 else "0"


def _grid(frame: Frame) -> list[str]:
    left, right = _LEFT, frame.width - _RIGHT
    top, bottom = _TOP, frame.height - _BOTTOM
    parts = []
    for place, middle, text in _apart(frame):
        parts.append(f'<path class="grid" d="M{place:.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{middle:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    for value, text in frame.y.ticks:
        place = float(frame.down(value))
        kind = "zero" if value == 0.0 else "grid"
        parts.append(f'<path class="{kind}" d="M{left} {place:.1f}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{place + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (left + right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{bottom + 34}" text-anchor="middle">{escape(frame.x.label)}</text>')
    parts.append(f'<text x="0" y="13">{escape(frame.y.label)}</text>')
    return parts


def _apart(frame: Frame) -> list[tuple[float, float, str]]:
    """The ticks along the x axis that leave room for each other's text, from the left: place, middle of the text,
    text."""
    kept, end = [], -math.inf
    for value, text in frame.x.ticks:
        half = _LETTER * len(text) / 2
        place = float(frame.across(value))
        middle = min(place, frame.width - half)
        if middle - half >= end:
            kept.append((place, middle, text))
            end = middle + half + _LETTER
    return kept


def _runs(frame: Frame, curve: Curve) -> list[np.ndarray]:
    """Each stretch of finite points as `[points, 2]` places."""
    finite = np.isfinite(curve.y)
    places = np.stack([frame.across(curve.x), frame.down(np.where(finite, curve.y, 0.0))], axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], finite.astype(int), [0]])))
    return [places[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _path(places: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)


def _line(frame: Frame, curve: Curve) -> str:
    runs = _runs(frame, curve)
    if len(curve.x) == 1 and runs:  # a single point is a short stroke
        runs = [runs[0] + np.array([[-4.0, 0.0], [4.0, 0.0]])]
    return f'<path d="{"".join(map(_path, runs))}" {_stroke(curve)}/>' if runs else ""


def _fill(frame: Frame, curve: Curve) -> str:
    zero = float(frame.down(0.0))
    shapes = (f"M{run[0, 0]:.1f} {zero:.1f}L{_path(run)[1:]}V{zero:.1f}Z" for run in _runs(frame, curve))
    return f'<path d="{"".join(shapes)}" fill="{curve.colour}" fill-opacity="0.15"/>'


def _stroke(curve: Curve) -> str:
    dash = f' stroke-dasharray="{curve.dash}"' if curve.dash else ""
    return f'fill="none" stroke="{curve.colour}" stroke-width="{curve.width:g}" stroke-linejoin="round"{dash}'


def _marks(frame: Frame, curves: Sequence[Curve]) -> list[str]:
    """The texts at the curves' extremes, moved away from those that are there already."""
    taken: list[tuple[float, float, float]] = []
    parts = []
    for curve in curves:
        if not curve.mark or not np.isfinite(curve.y).any():
            continue
        peak = int(np.nanargmax(np.abs(np.where(np.isfinite(curve.y), curve.y, np.nan))))
        half = _LETTER * len(curve.mark) / 2 + 2
        up = curve.y[peak] >= 0.0
        across = float(np.clip(frame.across(curve.x[peak]), _LEFT + half, frame.width - _RIGHT - half))
        down = float(frame.down(curve.y[peak])) + (-6.0 if up else 15.0)
        while any(abs(across - a) < half + h and abs(down - d) < 13.0 for a, d, h in taken):
            down += -13.0 if up else 13.0
        down = min(max(down, _TOP + 12.0), frame.height - _BOTTOM - 4.0)
        taken.append((across, down, half))
        place = f'x="{across:.1f}" y="{down:.1f}" text-anchor="middle" fill="{curve.colour}"'
        parts.append(f'<text class="mark" {place}>{escape(curve.mark)}</text>')
    return parts
