"""Plots of a network's settings over a collection, as PNG or SVG by the extension of their path, from plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmjax.plots import frequency_axes, save_figure

# The color-blind-safe palette of Okabe and Ito (2008). Line styles, hatches and numbers repeat what the colors say, for
# prints in grayscale.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
_MAX_NAME_LENGTH = 34
_MAX_COLUMNS_WITH_VALUES = 16  # a heatmap with more columns has no room for numbers
_MIN_PROBE_SCORE = -0.1  # lower scores are drawn here
_PANEL_COLUMNS = 3


class ResponsePanel(NamedTuple):
    """A curve in dB with the band around it; center, low, high: `[points]`."""

    title: str
    center: np.ndarray
    low: np.ndarray
    high: np.ndarray


class AblationResult(NamedTuple):
    """A network's error relative to the unprocessed input's with its confidence interval, and its active bands."""

    network: str
    num_bands: int
    active_bands: float
    relative_error: float
    ci_low: float
    ci_high: float


def plot_gates(
    path: Path,
    gate_mean: np.ndarray,
    gate_std: np.ndarray,
    open_share: np.ndarray,
    active_share: np.ndarray,
    names: Sequence[str],
) -> None:
    """Plot bars for each band.

    Args:
        path: the file to write.
        gate_mean, gate_std: `[bands]`, mean and standard deviation of the gate.
        open_share, active_share: `[bands]`, shares of tracks in which the band is open, and in which it acts.
        names: of the bands.
    """
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    positions = np.arange(len(names))
    bars = (
        (gate_mean, _BLUE, "", "mean gate"),
        (open_share, "white", "///", "open"),
        (active_share, _ORANGE, "", "open and active"),
    )
    for number, (height, color, hatch, name) in enumerate(bars):
        x_positions = positions + 0.27 * (number - 1)
        axes.bar(x_positions, height, 0.25, color=color, edgecolor="black", linewidth=0.7, hatch=hatch, label=name)
    whiskers = np.stack([np.minimum(gate_std, gate_mean), np.minimum(gate_std, 1 - gate_mean)])
    axes.errorbar(positions - 0.27, gate_mean, whiskers, fmt="none", color="black", capsize=3)
    axes.set(ylim=(0, 1.02), ylabel="gate · share of tracks", xlabel="band (median frequency)")
    axes.set_xticks(positions, names)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(ncols=3, fontsize=9, loc="outside upper center")
    _save_reproducible_figure(figure, path)


def plot_histogram(path: Path, values: np.ndarray, max_count: int, xlabel: str) -> None:
    """Plot how many tracks have each integer value from 0 to `max_count`; values: `[tracks]`."""
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    heights = np.bincount(values, minlength=max_count + 1)
    bars = axes.bar(np.arange(max_count + 1), heights, color=_BLUE, edgecolor="black", linewidth=0.7)
    axes.bar_label(bars, [str(height) if height else "" for height in heights])
    axes.set(xlabel=xlabel, ylabel="tracks")
    axes.set_xticks(np.arange(max_count + 1))
    axes.margins(y=0.12)
    _save_reproducible_figure(figure, path)


def plot_over_frequency(path: Path, freq_hz: np.ndarray, series: Mapping[str, np.ndarray], ylabel: str) -> None:
    """Plot up to four named lines over 20 Hz to 20 kHz; freq_hz and each line: `[points]`."""
    figure, axes = frequency_axes()
    styles = ((_BLUE, "-"), (_ORANGE, "--"), (_GREEN, ":"), (_PURPLE, "-."))
    for (name, values), (color, dash) in zip(series.items(), styles, strict=False):
        axes.plot(freq_hz, values, color=color, linestyle=dash, linewidth=2, label=name)
    axes.set(ylabel=ylabel)
    axes.set_ylim(bottom=min(0.0, *(float(values.min()) for values in series.values())))
    axes.legend(fontsize=9)
    _save_reproducible_figure(figure, path)


def plot_heatmap(
    path: Path,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    label: str,
    signed: bool,
    significant: np.ndarray | None = None,
    axis_labels: tuple[str, str] = ("", ""),
    label_stride: int = 1,
) -> None:
    """Plot a table in color, with numbers in the cells where there is room.

    Args:
        path: the file to write.
        values: `[rows, columns]`; NaN is left white.
        rows, columns: their names.
        label: what the values are.
        signed: whether the colors are centered at 0 and distinguish signs; otherwise they range from 0 to 1.
        significant: `[rows, columns]` booleans; the cells to print in bold with a star.
        axis_labels: of the x and the y axis.
        label_stride: every how many columns are labeled.
    """
    figure, axes = plt.subplots(figsize=(9, 1.4 + 0.3 * max(len(rows), 4)), layout="constrained")
    vmax = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-9) if signed else 1.0
    vmin = -vmax if signed else 0.0
    image = axes.imshow(values, cmap="PuOr_r" if signed else "cividis", vmin=vmin, vmax=vmax, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        is_marked = significant is not None and bool(significant[row, column])
        show_value = len(columns) <= _MAX_COLUMNS_WITH_VALUES
        if np.isfinite(value) and (show_value or is_marked):
            normalized = (value - vmin) / (vmax - vmin)
            is_dark = abs(normalized - 0.5) > 0.33 if signed else normalized < 0.55
            axes.text(
                column,
                row,
                (_format_two_decimals(value, signed) if show_value else "") + ("*" if is_marked else ""),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if is_dark else "black",
                fontweight="bold" if is_marked else "normal",
            )
    axes.set_xticks(np.arange(len(columns))[::label_stride], columns[::label_stride])
    axes.set_yticks(np.arange(len(rows)), [_truncate_name(name) for name in rows], parse_math=False)
    axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1])
    figure.colorbar(image, label=label)
    _save_reproducible_figure(figure, path)


def plot_quantile_bands(path: Path, freq_hz: np.ndarray, quantiles: np.ndarray, mean: np.ndarray) -> None:
    """Plot quantiles and the mean of responses in dB over 20 Hz to 20 kHz.

    Args:
        path: the file to write.
        freq_hz, mean: `[points]`.
        quantiles: `[5, points]`, 5, 25, 50, 75 and 95 %.
    """
    figure, axes = frequency_axes()
    axes.fill_between(freq_hz, quantiles[0], quantiles[4], color=_BLUE, alpha=0.18, linewidth=0, label="5 to 95 %")
    axes.fill_between(freq_hz, quantiles[1], quantiles[3], color=_BLUE, alpha=0.35, linewidth=0, label="25 to 75 %")
    axes.plot(freq_hz, quantiles[2], color="black", linewidth=2, label="median")
    axes.plot(freq_hz, mean, color=_ORANGE, linestyle="--", linewidth=2, label="mean")
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.legend(fontsize=9, ncols=4)
    _save_reproducible_figure(figure, path)


def plot_response_panels(
    path: Path, freq_hz: np.ndarray, groups: Sequence[ResponsePanel], overall_mean: np.ndarray
) -> None:
    """Plot a small panel for each group; freq_hz and `overall_mean`, the dashed line of every panel: `[points]`."""
    rows = -(-len(groups) // _PANEL_COLUMNS)
    figure, grid = plt.subplots(
        rows,
        _PANEL_COLUMNS,
        figsize=(9, 0.4 + 2.0 * rows),
        sharex=True,
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for axes, group in zip(grid.flat, groups, strict=False):
        _draw_response_panel(axes, freq_hz, group, overall_mean)
    figure.supxlabel("frequency (Hz)", fontsize=10)
    figure.supylabel("gain (dB)", fontsize=10)
    _save_reproducible_figure(figure, path)


def plot_percentile_bars(
    path: Path,
    names: Sequence[str],
    low: np.ndarray,
    high: np.ndarray,
    reference_value: float,
    reference_label: str,
    xlabel: str,
) -> None:
    """Plot a bar to `low` and a whisker to `high` for each name, with a vertical line at a reference value."""
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.3 * len(names)), layout="constrained")
    positions = np.arange(len(names))
    axes.barh(positions, low, 0.6, color=_BLUE, edgecolor="black", linewidth=0.7)
    axes.errorbar(low, positions, xerr=np.stack([np.zeros_like(low), high - low]), fmt="none", color="black", capsize=3)
    axes.axvline(reference_value, color=_ORANGE, linestyle="--", linewidth=2, label=reference_label)
    axes.set_yticks(positions, names)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel, xlim=(0, None))
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=9, loc="lower right")
    _save_reproducible_figure(figure, path)


def plot_probe_scores(
    path: Path,
    targets: Sequence[str],
    z_slices: Sequence[str],
    probe_scores: np.ndarray,
    shuffled_scores: np.ndarray,
) -> None:
    """Plot the scores of linear probes, with a gray bar up to the score of probes for shuffled targets.

    Args:
        path: the file to write.
        targets: what the probes predict.
        z_slices: the parts of z that they use.
        probe_scores, shuffled_scores: `[targets, z_slices]`.
    """
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    markers, colors = "os^Dv", (_BLUE, _ORANGE, _GREEN, _PURPLE, "black")
    scores, shuffled = np.maximum(probe_scores, _MIN_PROBE_SCORE), np.maximum(shuffled_scores, _MIN_PROBE_SCORE)
    for number, name in enumerate(z_slices):
        x_positions = np.arange(len(targets)) + 0.15 * (number - (len(z_slices) - 1) / 2)
        axes.vlines(x_positions, _MIN_PROBE_SCORE, shuffled[:, number], color="0.75", linewidth=7)
        axes.plot(x_positions, scores[:, number], markers[number % 5], color=colors[number % 5], label=name)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set(ylim=(-0.12, 1.02), ylabel="R² · share of correct groups")
    axes.set_xticks(np.arange(len(targets)), targets)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(ncols=len(z_slices), fontsize=9, loc="outside upper center")
    _save_reproducible_figure(figure, path)


def plot_ablation(path: Path, results: Sequence[AblationResult]) -> None:
    """Plot the error of each network with its confidence interval; the dashed line at 1 is the unprocessed input."""
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.4 * len(results)), layout="constrained")
    for y, result in enumerate(results):
        error = result.relative_error
        color, marker = (_BLUE, "o") if result.num_bands > 5 else (_ORANGE, "s")
        interval = [[max(error - result.ci_low, 0.0)], [max(result.ci_high - error, 0.0)]]
        axes.errorbar(error, y, xerr=interval, fmt=marker, color=color, capsize=3)
    names = [f"{_truncate_name(x.network)}: {x.active_bands:.1f} of {x.num_bands} bands" for x in results]
    axes.set_yticks(range(len(results)), names, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set(xlabel="error relative to the unprocessed input's")
    axes.grid(alpha=0.3)
    _save_reproducible_figure(figure, path)


def _draw_response_panel(axes: Axes, freq_hz: np.ndarray, panel: ResponsePanel, overall_mean: np.ndarray) -> None:
    axes.fill_between(freq_hz, panel.low, panel.high, color=_BLUE, alpha=0.3, linewidth=0)
    axes.plot(freq_hz, panel.center, color=_BLUE, linewidth=2)
    axes.plot(freq_hz, overall_mean, color="black", linestyle="--", linewidth=1)
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set_title(_truncate_name(panel.title), fontsize=9, parse_math=False)
    axes.set(xscale="log", xlim=(20, 20_000))
    axes.set_xticks([50, 200, 1000, 5000, 20_000], ["50", "200", "1k", "5k", "20k"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def _format_two_decimals(value: float, signed: bool) -> str:
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return "0" if float(text) == 0.0 else text.replace("-", "−")


def _truncate_name(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 1] + "…"


def _save_reproducible_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG or SVG, by the extension of the path, without dates and random identifiers."""
    file_format = path.suffix[1:]
    metadata = {"Date": None} if file_format == "svg" else None
    with matplotlib.rc_context({"svg.hashsalt": "nmjax"}):
        save_figure(figure, path, dpi=120, format=file_format, metadata=metadata)
