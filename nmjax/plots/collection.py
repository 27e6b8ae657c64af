"""Pictures of what a network does over a collection, PNG or SVG by their path's ending; they take plain arrays."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

from nmjax.plots import frequency_axes, save_figure

# Colours of Okabe and Ito (2008), which the colour-blind tell apart; what colour says is said
# by a number, a dash or a hatch too, so that a copy in grey holds it.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
_MAX_NAME_LENGTH = 34


def plot_gates(
    path: Path,
    gate_mean: np.ndarray,
    gate_std: np.ndarray,
    open_share: np.ndarray,
    active_share: np.ndarray,
    names: list[str],
) -> None:
    """Bars for each band: the mean gate with its standard deviation, the shares of tracks in which it is open and in
    which it acts; all `[bands]`."""
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    positions = np.arange(len(names))
    bars = (
        (gate_mean, _BLUE, "", "mean gate"),
        (open_share, "white", "///", "open"),
        (active_share, _ORANGE, "", "open and acts"),
    )
    for number, (height, color, hatch, name) in enumerate(bars):
        x_positions = positions + 0.27 * (number - 1)
        axes.bar(x_positions, height, 0.25, color=color, edgecolor="black", linewidth=0.7, hatch=hatch, label=name)
    axes.errorbar(positions - 0.27, gate_mean, np.stack([np.minimum(gate_std, gate_mean), np.minimum(gate_std, 1 - gate_mean)]),
                  fmt="none", color="black", capsize=3)  # fmt: skip
    axes.set(ylim=(0, 1.02), ylabel="gate · share of tracks", xlabel="band (median frequency)")
    axes.set_xticks(positions, names)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(ncols=3, fontsize=9, loc="outside upper center")
    _save_reproducible_figure(figure, path)


def plot_histogram(path: Path, values: np.ndarray, max_count: int, xlabel: str) -> None:
    """A histogram of whole numbers from 0 to `most`: how many tracks have each."""
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    heights = np.bincount(values, minlength=max_count + 1)
    bars = axes.bar(np.arange(max_count + 1), heights, color=_BLUE, edgecolor="black", linewidth=0.7)
    axes.bar_label(bars, [str(h) if h else "" for h in heights])
    axes.set(xlabel=xlabel, ylabel="tracks")
    axes.set_xticks(np.arange(max_count + 1))
    axes.margins(y=0.12)
    _save_reproducible_figure(figure, path)


def plot_over_frequency(path: Path, freq_hz: np.ndarray, series: dict[str, np.ndarray], ylabel: str) -> None:
    """Up to four lines over 20 Hz to 20 kHz, each `[points]`, by their names."""
    figure, axes = frequency_axes()
    styles = ((_BLUE, "-"), (_ORANGE, "--"), (_GREEN, ":"), (_PURPLE, "-."))
    for (name, values), (color, dash) in zip(series.items(), styles, strict=False):
        axes.plot(freq_hz, values, color=color, linestyle=dash, linewidth=2, label=name)
    axes.set(ylabel=ylabel)
    axes.set_ylim(bottom=min(0.0, *(float(v.min()) for v in series.values())))
    axes.legend(fontsize=9)
    _save_reproducible_figure(figure, path)


def plot_heatmap(
    path: Path, values: np.ndarray, rows: list[str], columns: list[str], label: str, signed: bool,
    significant: np.ndarray | None = None, axis_labels: tuple[str, str] = ("", ""), label_stride: int = 1,
) -> None:  # fmt: skip
    """A table in colour, each number in its cell where there is room.

    Args:
        values: `[rows, columns]`; NaN stays white. label: what they are.
        signed: around 0, with colours for both signs; else from 0 to 1.
        marks: cells whose number is set bold and starred.
        axes_names: of the columns' axis and the rows'. every: so many columns share a name.
    """
    show_values = len(columns) <= 16
    figure, axes = plt.subplots(figsize=(9, 1.4 + 0.3 * max(len(rows), 4)), layout="constrained")
    vmax = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-9) if signed else 1.0
    vmin = -vmax if signed else 0.0
    image = axes.imshow(values, cmap="PuOr_r" if signed else "cividis", vmin=vmin, vmax=vmax, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        is_marked = significant is not None and bool(significant[row, column])
        if np.isfinite(value) and (show_values or is_marked):
            normalized = (value - vmin) / (vmax - vmin)
            dark = abs(normalized - 0.5) > 0.33 if signed else normalized < 0.55
            text = _format_two_decimals(value, signed) if show_values else ""
            axes.text(column, row, text + "*" * is_marked, ha="center", va="center", fontsize=8,
                      color="white" if dark else "black", fontweight="bold" if is_marked else "normal")  # fmt: skip
    axes.set_xticks(np.arange(len(columns))[::label_stride], columns[::label_stride])
    axes.set_yticks(np.arange(len(rows)), [_truncate_name(name) for name in rows], parse_math=False)
    axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1])
    figure.colorbar(image, label=label)
    _save_reproducible_figure(figure, path)


def plot_quantile_bands(path: Path, freq_hz: np.ndarray, quantiles: np.ndarray, mean: np.ndarray) -> None:
    """Quantiles of curves, `[5, points]` (5, 25, 50, 75 and 95 %), and their mean, in dB over 20 Hz to 20 kHz."""
    figure, axes = frequency_axes()
    axes.fill_between(freq_hz, quantiles[0], quantiles[4], color=_BLUE, alpha=0.18, linewidth=0, label="5 to 95 %")
    axes.fill_between(freq_hz, quantiles[1], quantiles[3], color=_BLUE, alpha=0.35, linewidth=0, label="25 to 75 %")
    axes.plot(freq_hz, quantiles[2], color="black", linewidth=2, label="median")
    axes.plot(freq_hz, mean, color=_ORANGE, linestyle="--", linewidth=2, label="mean")
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.legend(fontsize=9, ncols=4)
    _save_reproducible_figure(figure, path)


def plot_response_panels(path: Path, freq_hz: np.ndarray, groups: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
           overall_mean: np.ndarray) -> None:  # fmt: skip
    """A small chart for each `(title, middle, low, high)` of curves in dB, with the curve of all as a dashed line."""
    columns = 3
    rows = -(-len(groups) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(9, 0.4 + 2.0 * rows), sharex=True, sharey=True,
                                layout="constrained", squeeze=False)  # fmt: skip
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    for axes, (title, middle, low, high) in zip(grid.flat, groups, strict=False):
        axes.fill_between(freq_hz, low, high, color=_BLUE, alpha=0.3, linewidth=0)
        axes.plot(freq_hz, middle, color=_BLUE, linewidth=2)
        axes.plot(freq_hz, overall_mean, color="black", linestyle="--", linewidth=1)
        axes.axhline(0.0, color="black", linewidth=0.5)
        axes.set_title(_truncate_name(title), fontsize=9, parse_math=False)
        axes.set(xscale="log", xlim=(20, 20_000))
        axes.set_xticks([50, 200, 1000, 5000, 20_000], ["50", "200", "1k", "5k", "20k"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.supxlabel("frequency (Hz)", fontsize=10)
    figure.supylabel("gain (dB)", fontsize=10)
    _save_reproducible_figure(figure, path)


def plot_percentile_bars(
    path: Path,
    names: list[str],
    low: np.ndarray,
    high: np.ndarray,
    reference_value: float,
    reference_label: str,
    xlabel: str,
) -> None:
    """For each name a bar to `low` and a whisker on to `high`, beside a line at a value that `said` explains."""
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
    path: Path, targets: list[str], z_slices: list[str], probe_scores: np.ndarray, shuffled_scores: np.ndarray
) -> None:
    """Marks for each target's score from each part, `[targets, parts]`, above a grey bar up to the control's."""
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    markers, colors = "os^Dv", (_BLUE, _ORANGE, _GREEN, _PURPLE, "black")
    for number, name in enumerate(z_slices):
        x_positions = np.arange(len(targets)) + 0.15 * (number - (len(z_slices) - 1) / 2)
        axes.vlines(x_positions, -0.1, np.maximum(shuffled_scores[:, number], -0.1), color="0.75", linewidth=7)
        axes.plot(
            x_positions,
            np.maximum(probe_scores[:, number], -0.1),
            markers[number % 5],
            color=colors[number % 5],
            label=name,
        )
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set(ylim=(-0.12, 1.02), ylabel="R² · share named right")
    axes.set_xticks(np.arange(len(targets)), targets)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(ncols=len(z_slices), fontsize=9, loc="outside upper center")
    _save_reproducible_figure(figure, path)


def plot_ablation(path: Path, rows: list[dict]) -> None:
    """Errors (with their ends, 1 is doing nothing), a line a network, which says how many of its bands are active.

    rows: with `network`, `bands`, `active`, `error`, `low` and `high`.
    """
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.4 * len(rows)), layout="constrained")
    for y, row in enumerate(rows):
        x = row["error"]
        color, marker = (_BLUE, "o") if row["bands"] > 5 else (_ORANGE, "s")
        interval = [[max(x - row["low"], 0.0)], [max(row["high"] - x, 0.0)]]
        axes.errorbar(x, y, xerr=interval, fmt=marker, color=color, capsize=3)
    names = [f"{_truncate_name(row['network'])}: {row['active']:.1f} of {row['bands']} bands" for row in rows]
    axes.set_yticks(range(len(rows)), names, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set(xlabel="error over that of doing nothing")
    axes.grid(alpha=0.3)
    _save_reproducible_figure(figure, path)


def _format_two_decimals(value: float, signed: bool) -> str:
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return "0" if float(text) == 0.0 else text.replace("-", "−")


def _truncate_name(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 1] + "…"


def _save_reproducible_figure(figure, path: Path) -> None:
    """Written in the format of its ending, PNG or SVG, with nothing in it that differs from one time to the next."""
    file_format = path.suffix[1:]
    with matplotlib.rc_context({"svg.hashsalt": "nmjax"}):
        save_figure(
            figure, path, dpi=120, format=file_format, metadata={"Date": None} if file_format == "svg" else None
        )
