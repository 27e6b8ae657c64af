"""Plots as PNG files or images, from plain arrays. The only package that imports matplotlib."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_TICK_LABELS = ("20", "50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k")
_RATIO_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_MAX_LABEL_LENGTH = 40


@dataclasses.dataclass(frozen=True)
class ResponseCurve:
    """A named response. freq_hz, response_db: `[points]`."""

    freq_hz: Float[np.ndarray, " points"]
    response_db: Float[np.ndarray, " points"]
    name: str


class SpectrumPanel(NamedTuple):
    """Levels relative to a target before and after processing. freq_hz, before_db, after_db: `[bands]`."""

    name: str
    freq_hz: np.ndarray
    before_db: np.ndarray
    after_db: np.ndarray


def plot_eq_response(
    path: Path,
    freq_hz: np.ndarray,
    band_db: np.ndarray,
    names: Sequence[str],
    title: str,
    target: ResponseCurve | None = None,
    side: ResponseCurve | None = None,
) -> None:
    """Plot the response of an equalizer and of each of its bands as PNG.

    Args:
        path: the file to write.
        freq_hz: `[points]`.
        band_db: `[bands, points]`, the response of each band; the thick line is their sum.
        names: of the bands, for the legend.
        title: above the plot.
        target: a response to compare with.
        side: response of a further equalizer, of the side alone.
    """
    figure, axes = frequency_axes()
    colors = plt.get_cmap("viridis")(np.linspace(0.0, 0.9, len(band_db)))
    for response, name, color in zip(band_db, names, colors, strict=True):
        axes.plot(freq_hz, response, color=color, linewidth=1, label=name)
        axes.fill_between(freq_hz, response, color=color, alpha=0.15, linewidth=0)
    total = band_db.sum(axis=0)
    axes.plot(freq_hz, total, color="black", linewidth=2, label="all bands")
    if target:
        label = _legend_label(target.name)
        axes.plot(target.freq_hz, target.response_db, color="tab:red", linestyle="--", linewidth=1.5, label=label)
    if side:
        axes.plot(side.freq_hz, side.response_db, color="tab:orange", linewidth=1.5, label=_legend_label(side.name))
    shown = [total, band_db, *([side.response_db] if side else [])]
    y_limit = max(3.0, *(1.15 * float(np.abs(x).max()) for x in shown))
    axes.set_ylim(-y_limit, y_limit)
    axes.set_title(title, parse_math=False)  # the name of a track can contain dollar signs
    axes.legend(fontsize=8, ncols=1 + len(names) // 6, loc="best")
    save_figure(figure, path, dpi=120, format="png")


def plot_spectra(
    path: Path, freq_hz: np.ndarray, levels_db: Sequence[np.ndarray], names: Sequence[str], title: str
) -> None:
    """Plot levels over frequency as PNG.

    Args:
        path: the file to write.
        freq_hz: `[bands]`.
        levels_db: `[bands]` each; NaN where the level is unknown.
        names: one per curve.
        title: above the plot.
    """
    figure, axes = frequency_axes()
    for level_db, name in zip(levels_db, names, strict=True):
        axes.plot(freq_hz, level_db, linewidth=1.5, label=_legend_label(name))
    axes.set(ylabel="level (dB)")
    axes.set_title(title, parse_math=False)
    axes.legend(fontsize=8, loc="best")
    save_figure(figure, path, dpi=120, format="png")


def eq_response_image(
    freq_hz: np.ndarray, response_db: np.ndarray, target_hz: np.ndarray, target_db: np.ndarray, title: str
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the response of an equalizer with its target, as an image.

    Args:
        freq_hz, response_db: `[points]`, the response.
        target_hz, target_db: `[bands]`, the target's levels relative to the input's.
        title: above the plot.
    """
    figure, axes = frequency_axes()
    axes.step(target_hz, target_db, where="mid", color="tab:orange", linewidth=1.5, label="target − input")
    axes.plot(freq_hz, response_db, color="black", linewidth=2, label="equalizer")
    y_limit = max(6.0, 1.15 * float(np.abs(response_db).max()))
    axes.set_ylim(-y_limit, y_limit)
    axes.set_title(title, parse_math=False)
    axes.legend(fontsize=8, loc="best")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return image


def plot_error_ratios(
    path: Path, error_ratios: np.ndarray | Sequence, systems: Sequence[str], metrics: Sequence[str], title: str
) -> None:
    """Plot the error of each system relative to the input's, with confidence intervals, as PNG.

    The dashed line at 1 is the unprocessed input.

    Args:
        path: the file to write.
        error_ratios: `[systems, metrics, 3]`: ratio and both ends of its interval, above 0 or NaN.
        systems, metrics: their names.
        title: above the plot.
    """
    error_ratios = np.asarray(error_ratios, np.float64)
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.32 * len(systems) * len(metrics)), layout="constrained")
    colors = plt.get_cmap("tab10")(np.arange(10))
    height = 0.8 / len(systems)
    for row, name in enumerate(systems):
        y_positions = np.arange(len(metrics)) + (row - (len(systems) - 1) / 2) * height
        ratio, low, high = error_ratios[row].T
        interval = np.maximum(0.0, np.stack([ratio - low, high - ratio]))
        axes.errorbar(
            ratio, y_positions, xerr=interval, fmt="o", color=colors[row % 10], capsize=3, markersize=5, label=name
        )
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    low, high = 0.7 * np.nanmin(error_ratios), 1.4 * np.nanmax(error_ratios)
    ticks = [tick for tick in _RATIO_TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(np.arange(len(metrics)), metrics)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.set_title(title, parse_math=False)
    axes.legend(fontsize=8, loc="best")
    save_figure(figure, path, dpi=120, format="png")


def plot_before_after(path: Path, panels: Sequence[SpectrumPanel], title: str) -> None:
    """Plot levels relative to a target before and after processing as PNG, in two columns of panels.

    Args:
        path: the file to write.
        panels: 0 dB is the target.
        title: above the plot.
    """
    rows = -(-len(panels) // 2)
    figure, grid = plt.subplots(
        rows, 2, figsize=(11, 0.6 + 2.0 * rows), layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    y_limit = max(3.0, 1.1 * max(float(np.abs(x).max()) for panel in panels for x in (panel.before_db, panel.after_db)))
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_before_after(axes, panel, y_limit)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    grid[0, 0].legend(fontsize=8, loc="best")
    figure.supylabel("dB")
    figure.suptitle(title, parse_math=False)
    save_figure(figure, path, dpi=110, format="png")


def frequency_axes() -> tuple[Figure, Axes]:
    """A figure with axes of gain in dB over 20 Hz to 20 kHz."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    axes.set(xlabel="frequency (Hz)", ylabel="gain (dB)")
    set_frequency_scale(axes)
    return figure, axes


def set_frequency_scale(axes: Axes) -> None:
    """Set a logarithmic x axis from 20 Hz to 20 kHz, with a grid."""
    axes.set(xscale="log", xlim=(20, 20_000))
    axes.set_xticks(_TICKS_HZ, _TICK_LABELS)
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def save_figure(figure: Figure, path: Path, **savefig_options: Any) -> None:
    """Write a figure and close it. Characters without a glyph are drawn as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(path, **savefig_options)
    plt.close(figure)


def _draw_before_after(axes: Axes, panel: SpectrumPanel, y_limit: float) -> None:
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.fill_between(panel.freq_hz, panel.before_db, step="mid", color="tab:orange", alpha=0.3, linewidth=0)
    axes.step(panel.freq_hz, panel.before_db, where="mid", color="tab:orange", linewidth=1, label="input − original")
    axes.step(panel.freq_hz, panel.after_db, where="mid", color="tab:blue", linewidth=1.8, label="output − original")
    set_frequency_scale(axes)
    axes.set_ylim(-y_limit, y_limit)
    axes.set_title(panel.name, fontsize=9, parse_math=False)


def _legend_label(text: str) -> str:
    """A text of limited length, with dollar signs escaped so that matplotlib does not parse formulas."""
    shortened = text if len(text) <= _MAX_LABEL_LENGTH else f"{text[: _MAX_LABEL_LENGTH - 1]}…"
    return shortened.replace("$", r"\$")
