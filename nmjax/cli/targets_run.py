"""`nmjax targets` at work: target files as a table and as a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmjax.cli.targets import TargetsOptions
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.features import TrackFeatures
from nmjax.runtime import atomic_files
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_time
from nmjax.runtime.text import to_printable

_MAX_NAME_LENGTH = 60
_TONE_BANDS_HZ = {"low": (24.0, 150.0), "mid": (150.0, 4_000.0), "high": (4_000.0, 16_000.0)}


class _Target(NamedTuple):
    file: Path
    features: TrackFeatures
    name: str


def show_targets(options: TargetsOptions, console: Console | None = None) -> None:
    """List target files, and plot their spectra.

    Raises:
        BadInputError: a file is not a target file; the plot exists already or has another extension.
    """
    console = console or Console()
    plot = options.plot
    if plot and plot.suffix.lower() != ".png":
        raise BadInputError(f"'{plot}' must end in .png; that is what --plot writes.")
    if plot and plot.exists() and not options.force:
        raise BadInputError(f"'{plot}' exists already; add --force to overwrite it, or name another file.")
    targets = [_Target(file, *target_file.read(file)) for file in options.files]
    console.print(_targets_table(targets))
    if plot:
        _plot_spectra(targets, plot)
        print_line(console, f"Plot: {to_printable(plot)}")


def _plot_spectra(targets: Sequence[_Target], path: Path) -> None:
    from nmjax import plots  # matplotlib takes 0.7 s to import

    curves = [
        np.where(features.known_bands, features.mid_db - np.median(features.mid_db), np.nan)
        for _, features, _ in targets
    ]
    labels = [target.file.stem for target in targets]
    with atomic_files.temporary_sibling(path) as temporary:
        plots.plot_spectra(temporary, CENTERS_HZ, curves, labels, "References: long-term levels")
        atomic_files.commit_file(temporary, path)


def _targets_table(targets: Sequence[_Target]) -> Table:
    table = Table(show_edge=False, pad_edge=False)  # a row fits into a line of 80 columns
    for name in ("target", "references"):
        table.add_column(name, overflow="fold")
    units = {"length": "", "crest": "dB", "range": "LU", "width": "dB", **dict.fromkeys(_TONE_BANDS_HZ, "dB")}
    for name, unit in units.items():
        table.add_column(f"{name}\n{unit}", justify="right", no_wrap=True)
    for file, features, name in targets:
        cells = (
            file.name,
            name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…",
            format_time(features.seconds),
            f"{features.crest_db:.1f}",
            "–" if math.isnan(features.loudness_range) else f"{features.loudness_range:.1f}",
            f"{features.width_db:+.1f}" if features.stereo else "mono",
            *(f"{level_db:+.1f}" for level_db in _band_levels_db(features)),
        )
        table.add_row(*(Text(to_printable(cell)) for cell in cells))
    return table


def _band_levels_db(features: TrackFeatures) -> list[float]:
    """Power of the lows, mids and highs relative to the total, in dB."""
    power = 10.0 ** (features.mid_db / 10.0)
    edges = np.searchsorted(CENTERS_HZ, list(_TONE_BANDS_HZ.values()))
    return [float(10.0 * np.log10(power[start:end].sum() / power.sum())) for start, end in edges]
