"""Pictures of what a network does over a collection, PNG or SVG by their path's ending; they take plain arrays."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

from nmjax.plots import finished, frequency_axes

# Colours of Okabe and Ito (2008), which the colour-blind tell apart; what colour says is said
# by a number, a dash or a hatch too, so that a copy in grey holds it.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
_LONGEST_NAME = 34


def gates(
    path: Path, mean: np.ndarray, deviation: np.ndarray, is_open: np.ndarray, acts: np.ndarray, names: list[str]
) -> None:
    """Bars for each band: the mean gate with its standard deviation, the shares of tracks in which it is open and in
    which it acts; all `[bands]`."""
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    place = np.arange(len(names))
    bars = ((mean, _BLUE, "", "mean gate"), (is_open, "white", "///", "open"), (acts, _ORANGE, "", "open and acts"))
    for number, (height, colour, hatch, name) in enumerate(bars):
        at = place + 0.27 * (number - 1)
        axes.bar(at, height, 0.25, color=colour, edgecolor="black", linewidth=0.7, hatch=hatch, label=name)
    axes.errorbar(place - 0.27, mean, np.stack([np.minimum(deviation, mean), np.minimum(deviation, 1 - mean)]),
                  fmt="none", color="black", capsize=3)  # fmt: skip
    axes.set(ylim=(0, 1.02), ylabel="gate · share of tracks", xlabel="band (median frequency)")
    axes.set_xticks(place, names)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(ncols=3, fontsize=9, loc="outside upper center")
    _finished(figure, path)


def counts(path: Path, values: np.ndarray, most: int, xlabel: str) -> None:
    """A histogram of whole numbers from 0 to `most`: how many tracks have each."""
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    heights = np.bincount(values, minlength=most + 1)
    bars = axes.bar(np.arange(most + 1), heights, color=_BLUE, edgecolor="black", linewidth=0.7)
    axes.bar_label(bars, [str(h) if h else "" for h in heights])
    axes.set(xlabel=xlabel, ylabel="tracks")
    axes.set_xticks(np.arange(most + 1))
    axes.margins(y=0.12)
    _finished(figure, path)


def over_frequency(path: Path, freq_hz: np.ndarray, series: dict[str, np.ndarray], ylabel: str) -> None:
    """Up to four lines over 20 Hz to 20 kHz, each `[points]`, by their names."""
    figure, axes = frequency_axes()
    styles = ((_BLUE, "-"), (_ORANGE, "--"), (_GREEN, ":"), (_PURPLE, "-."))
    for (name, values), (colour, dash) in zip(series.items(), styles, strict=False):
        axes.plot(freq_hz, values, color=colour, linestyle=dash, linewidth=2, label=name)
    axes.set(ylabel=ylabel)
    axes.set_ylim(bottom=min(0.0, *(float(v.min()) for v in series.values())))
    axes.legend(fontsize=9)
    _finished(figure, path)


def heat(
    path: Path, values: np.ndarray, rows: list[str], columns: list[str], label: str, signed: bool,
    marks: np.ndarray | None = None, axes_names: tuple[str, str] = ("", ""), every: int = 1,
) -> None:  # fmt: skip
    """A table in colour, each number in its cell where there is room.

    Args:
        values: `[rows, columns]`; NaN stays white. label: what they are.
        signed: around 0, with colours for both signs; else from 0 to 1.
        marks: cells whose number is set bold and starred.
        axes_names: of the columns' axis and the rows'. every: so many columns share a name.
    """
    written = len(columns) <= 16
    figure, axes = plt.subplots(figsize=(9, 1.4 + 0.3 * max(len(rows), 4)), layout="constrained")
    reach = max(float(np.nanmax(np.abs(values), initial=0.0)), 1e-9) if signed else 1.0
    low = -reach if signed else 0.0
    drawn = axes.imshow(values, cmap="PuOr_r" if signed else "cividis", vmin=low, vmax=reach, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        marked = marks is not None and bool(marks[row, column])
        if np.isfinite(value) and (written or marked):
            share = (value - low) / (reach - low)
            dark = abs(share - 0.5) > 0.33 if signed else share < 0.55
            text = _two_digits(value, signed) if written else ""
            axes.text(column, row, text + "*" * marked, ha="center", va="center", fontsize=8,
                      color="white" if dark else "black", fontweight="bold" if marked else "normal")  # fmt: skip
    axes.set_xticks(np.arange(len(columns))[::every], columns[::every])
    axes.set_yticks(np.arange(len(rows)), [_short(name) for name in rows], parse_math=False)
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    figure.colorbar(drawn, label=label)
    _finished(figure, path)


def fan(path: Path, freq_hz: np.ndarray, quantiles: np.ndarray, mean: np.ndarray) -> None:
    """Quantiles of curves, `[5, points]` (5, 25, 50, 75 and 95 %), and their mean, in dB over 20 Hz to 20 kHz."""
    figure, axes = frequency_axes()
    axes.fill_between(freq_hz, quantiles[0], quantiles[4], color=_BLUE, alpha=0.18, linewidth=0, label="5 to 95 %")
    axes.fill_between(freq_hz, quantiles[1], quantiles[3], color=_BLUE, alpha=0.35, linewidth=0, label="25 to 75 %")
    axes.plot(freq_hz, quantiles[2], color="black", linewidth=2, label="median")
    axes.plot(freq_hz, mean, color=_ORANGE, linestyle="--", linewidth=2, label="mean")
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.legend(fontsize=9, ncols=4)
    _finished(figure, path)


def panels(path: Path, freq_hz: np.ndarray, drawn: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]],
           everywhere: np.ndarray) -> None:  # fmt: skip
    """A small chart for each `(title, middle, low, high)` of curves in dB, with the curve of all as a dashed line."""
    columns = 3
    rows = -(-len(drawn) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(9, 0.4 + 2.0 * rows), sharex=True, sharey=True,
                                layout="constrained", squeeze=False)  # fmt: skip
    for axes in grid.flat[len(drawn) :]:
        axes.set_visible(False)
    for axes, (title, middle, low, high) in zip(grid.flat, drawn, strict=False):
        axes.fill_between(freq_hz, low, high, color=_BLUE, alpha=0.3, linewidth=0)
        axes.plot(freq_hz, middle, color=_BLUE, linewidth=2)
        axes.plot(freq_hz, everywhere, color="black", linestyle="--", linewidth=1)
        axes.axhline(0.0, color="black", linewidth=0.5)
        axes.set_title(_short(title), fontsize=9, parse_math=False)
        axes.set(xscale="log", xlim=(20, 20_000))
        axes.set_xticks([50, 200, 1000, 5000, 20_000], ["50", "200", "1k", "5k", "20k"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.supxlabel("frequency (Hz)", fontsize=10)
    figure.supylabel("gain (dB)", fontsize=10)
    _finished(figure, path)


def spans(path: Path, names: list[str], low: np.ndarray, high: np.ndarray, line: float, said: str, xlabel: str) -> None:
    """For each name a bar to `low` and a whisker on to `high`, beside a line at a value that `said` explains."""
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.3 * len(names)), layout="constrained")
    place = np.arange(len(names))
    axes.barh(place, low, 0.6, color=_BLUE, edgecolor="black", linewidth=0.7)
    axes.errorbar(low, place, xerr=np.stack([np.zeros_like(low), high - low]), fmt="none", color="black", capsize=3)
    axes.axvline(line, color=_ORANGE, linestyle="--", linewidth=2, label=said)
    axes.set_yticks(place, names)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel, xlim=(0, None))
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=9, loc="lower right")
    _finished(figure, path)


def scores(path: Path, targets: list[str], parts: list[str], values: np.ndarray, control: np.ndarray) -> None:
    """Marks for each target's score from each part, `[targets, parts]`, above a grey bar up to the control's."""
    figure, axes = plt.subplots(figsize=(9, 3.8), layout="constrained")
    shapes, colours = "os^Dv", (_BLUE, _ORANGE, _GREEN, _PURPLE, "black")
    for number, name in enumerate(parts):
        at = np.arange(len(targets)) + 0.15 * (number - (len(parts) - 1) / 2)
        axes.vlines(at, -0.1, np.maximum(control[:, number], -0.1), color="0.75", linewidth=7)
        axes.plot(at, np.maximum(values[:, number], -0.1), shapes[number % 5], color=colours[number % 5], label=name)
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.set(ylim=(-0.12, 1.02), ylabel="R² · share named right")
    axes.set_xticks(np.arange(len(targets)), targets)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(ncols=len(parts), fontsize=9, loc="outside upper center")
    _finished(figure, path)


def trade(path: Path, rows: list[dict]) -> None:
    """Errors (with their ends, 1 is doing nothing), a line a network, which says how many of its bands are active.

    rows: with `network`, `bands`, `active`, `error`, `low` and `high`.
    """
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.4 * len(rows)), layout="constrained")
    for y, row in enumerate(rows):
        x = row["error"]
        colour, shape = (_BLUE, "o") if row["bands"] > 5 else (_ORANGE, "s")
        ends = [[max(x - row["low"], 0.0)], [max(row["high"] - x, 0.0)]]
        axes.errorbar(x, y, xerr=ends, fmt=shape, color=colour, capsize=3)
    names = [f"{_short(row['network'])}: {row['active']:.1f} of {row['bands']} bands" for row in rows]
    axes.set_yticks(range(len(rows)), names, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1)
    axes.set(xlabel="error over that of doing nothing")
    axes.grid(alpha=0.3)
    _finished(figure, path)


def _two_digits(value: float, signed: bool) -> str:
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return "0" if float(text) == 0.0 else text.replace("-", "−")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _finished(figure, path: Path) -> None:
    """Written in the format of its ending, PNG or SVG, with nothing in it that differs from one time to the next."""
    kind = path.suffix[1:]
    with matplotlib.rc_context({"svg.hashsalt": "nmjax"}):
        finished(figure, path, dpi=120, format=kind, metadata={"Date": None} if kind == "svg" else None)
