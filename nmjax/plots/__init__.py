"""Pictures. The only importer of matplotlib; takes plain arrays."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

_TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_TICK_LABELS = ("20", "50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k")


def plot_eq_response(
    path: Path,
    freq_hz: np.ndarray,
    band_db: np.ndarray,
    names: list[str],
    title: str,
    target: tuple[np.ndarray, np.ndarray, str] | None = None,
) -> None:
    """A PNG of an equaliser's curve with each band beneath it.

    Args:
        path: where it goes.
        freq_hz: `[points]`.
        band_db: `[bands, points]`, each band's response; the thick line is their sum.
        names: one a band, for the legend.
        title: above the picture.
        wanted: a curve to compare with: frequencies, dB and name.
    """
    figure, axes = frequency_axes()
    colors = plt.get_cmap("viridis")(np.linspace(0.0, 0.9, len(band_db)))
    for curve, name, color in zip(band_db, names, colors, strict=True):
        axes.plot(freq_hz, curve, color=color, linewidth=1, label=name)
        axes.fill_between(freq_hz, curve, color=color, alpha=0.15, linewidth=0)
    total = band_db.sum(axis=0)
    axes.plot(freq_hz, total, color="black", linewidth=2, label="all bands")
    y_limit = max(3.0, 1.15 * float(np.abs(total).max()), 1.15 * float(np.abs(band_db).max()))
    if target:
        axes.plot(target[0], target[1], color="tab:red", linestyle="--", linewidth=1.5, label=_legend_label(target[2]))
    axes.set_ylim(-y_limit, y_limit)
    axes.set_title(title, parse_math=False)  # a track's name may hold dollar signs
    axes.legend(fontsize=8, ncols=1 + len(names) // 6, loc="best")
    save_figure(figure, path, dpi=120, format="png")


def _legend_label(text: str) -> str:
    """A short label in which dollar signs are no formula."""
    return (text if len(text) <= 40 else f"{text[:39]}…").replace("$", r"\$")


def plot_spectra(path: Path, freq_hz: np.ndarray, levels_db: list[np.ndarray], names: list[str], title: str) -> None:
    """A PNG of levels by band.

    Args:
        path: where it goes.
        freq_hz: `[bands]`; levels_db: `[bands]` each, NaN where nothing is known.
        names: one a curve.
        title: above the picture.
    """
    figure, axes = frequency_axes()
    for level, name in zip(levels_db, names, strict=True):
        axes.plot(freq_hz, level, linewidth=1.5, label=_legend_label(name))
    axes.set(ylabel="level (dB)")
    axes.set_title(title, parse_math=False)
    axes.legend(fontsize=8, loc="best")
    save_figure(figure, path, dpi=120, format="png")


def eq_response_image(
    freq_hz: np.ndarray, response_db: np.ndarray, target_hz: np.ndarray, target_db: np.ndarray, title: str
) -> np.ndarray:
    """A picture `[height, width, 3]` (uint8) of a network's curve beside what would have been right.

    Args:
        freq_hz, curve_db: `[points]`, the equaliser's response.
        wanted_hz, wanted_db: `[bands]`, by how much the target's bands lie above the input's.
        title: above the picture.
    """
    figure, axes = frequency_axes()
    axes.step(target_hz, target_db, where="mid", color="tab:orange", linewidth=1.5, label="target − input")
    axes.plot(freq_hz, response_db, color="black", linewidth=2, label="the equaliser")
    y_limit = max(6.0, 1.15 * float(np.abs(response_db).max()))
    axes.set_ylim(-y_limit, y_limit)
    axes.set_title(title, parse_math=False)
    axes.legend(fontsize=8, loc="best")
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return image


def save_figure(figure, path: Path, **savefig_options) -> None:
    """Write a figure. What a name has that no font here can draw becomes a box, and nobody is told of glyphs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(path, **savefig_options)
    plt.close(figure)


def frequency_axes():
    """A figure and its axes: gain in dB over 20 Hz to 20 kHz."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    axes.set(xscale="log", xlim=(20, 20_000), xlabel="frequency (Hz)", ylabel="gain (dB)")
    axes.set_xticks(_TICKS_HZ, _TICK_LABELS)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    return figure, axes


def plot_error_ratios(
    path: Path, error_ratios: np.ndarray | list, systems: list[str], metrics: list[str], title: str
) -> None:
    """A PNG of each system's error over the input's, with intervals; the dashed line is doing nothing.

    Args:
        path: where it goes.
        values: `[systems, metrics, 3]`: ratio and both ends of its interval, above 0 or NaN.
        systems, metrics: their names.
        title: above the picture.
    """
    error_ratios = np.asarray(error_ratios, np.float64)
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.32 * len(systems) * len(metrics)), layout="constrained")
    colors = plt.get_cmap("tab10").colors
    height = 0.8 / len(systems)
    for row, name in enumerate(systems):
        y_positions = np.arange(len(metrics)) + (row - (len(systems) - 1) / 2) * height
        middle, low, high = error_ratios[row].T
        interval = np.maximum(0.0, np.stack([middle - low, high - middle]))
        axes.errorbar(
            middle, y_positions, xerr=interval, fmt="o", color=colors[row % 10], capsize=3, markersize=5, label=name
        )
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set_xscale("log")
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0) if _is_tick_in_range(t, error_ratios)]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_yticks(np.arange(len(metrics)), metrics)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.set_title(title, parse_math=False)
    axes.legend(fontsize=8, loc="best")
    save_figure(figure, path, dpi=120, format="png")


def plot_before_after(path: Path, panels: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]], title: str) -> None:
    """A PNG of what lies above and below a wanted spectrum before and after, a panel each, two beside each other.

    Args:
        path: where it goes.
        panels: `(name, freq_hz, before_db, after_db)`, arrays `[bands]`; 0 dB is what was wanted.
        title: above the picture.
    """
    rows = -(-len(panels) // 2)
    figure, grid = plt.subplots(
        rows, 2, figsize=(11, 0.6 + 2.0 * rows), layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    y_limit = max(3.0, 1.1 * max(float(np.abs(x).max()) for _, _, *spectra_db in panels for x in spectra_db))
    for axes, (name, freq_hz, before_db, after_db) in zip(grid.flat, panels, strict=False):
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.fill_between(freq_hz, before_db, step="mid", color="tab:orange", alpha=0.3, linewidth=0)
        axes.step(freq_hz, before_db, where="mid", color="tab:orange", linewidth=1, label="input − original")
        axes.step(freq_hz, after_db, where="mid", color="tab:blue", linewidth=1.8, label="output − original")
        axes.set(xscale="log", xlim=(20, 20_000), ylim=(-y_limit, y_limit))
        axes.set_xticks(_TICKS_HZ, _TICK_LABELS)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.set_title(name, fontsize=9, parse_math=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    grid[0, 0].legend(fontsize=8, loc="best")
    figure.supylabel("dB")
    figure.suptitle(title, parse_math=False)
    save_figure(figure, path, dpi=110, format="png")


def _is_tick_in_range(tick: float, values: np.ndarray) -> bool:
    return bool(0.7 * np.nanmin(values) <= tick <= 1.4 * np.nanmax(values))
