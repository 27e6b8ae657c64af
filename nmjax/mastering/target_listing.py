"""`nmjax targets`: what target files hold, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmjax.batch.jobs import to_printable
from nmjax.reference import target_file
from nmjax.reference.features import CENTERS_HZ, TrackFeatures
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_time

_MAX_NAME_LENGTH = 60
_TONE_BANDS_HZ = {"low": (24.0, 150.0), "mid": (150.0, 4_000.0), "high": (4_000.0, 16_000.0)}


def show_targets(
    files: Sequence[Path], plot_path: Path | None = None, force: bool = False, console: Console | None = None
) -> None:
    """List target files, and draw their spectra one over the other if that is wanted.

    Raises:
        BadInputError: a file that is no target; a picture that exists already or has another ending.
    """
    console = console or Console()
    if plot_path and plot_path.suffix.lower() != ".png":
        raise BadInputError(f"'{plot_path}' must end in .png; that is what --plot writes.")
    if plot_path and plot_path.exists() and not force:
        raise BadInputError(f"'{plot_path}' exists already; add --force to overwrite it, or name another file.")
    targets = [(file, *target_file.read(file)) for file in files]
    console.print(_targets_table(targets))
    if plot_path:
        from nmjax import plots  # matplotlib takes 0.7 s to import

        curves = [
            np.where(features.known_bands, features.mid_db - np.median(features.mid_db), np.nan)
            for _, features, _ in targets
        ]
        with atomic_files.temporary_sibling(plot_path) as temporary:
            plots.plot_spectra(
                temporary, CENTERS_HZ, curves, [file.stem for file in files], "References: long-term levels"
            )
            atomic_files.commit_file(temporary, plot_path)
        console.print(f"Picture: {to_printable(plot_path)}", highlight=False, markup=False, soft_wrap=True)


def _targets_table(targets: Sequence[tuple[Path, TrackFeatures, str]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)  # a row is a line of 80 columns
    for name in ("target", "made of"):
        table.add_column(name, overflow="fold")
    for name, unit in (
        ("length", ""),
        ("crest", "dB"),
        ("range", "LU"),
        ("width", "dB"),
        *((x, "dB") for x in _TONE_BANDS_HZ),
    ):
        table.add_column(f"{name}\n{unit}", justify="right", no_wrap=True)
    for file, features, name in targets:
        range_text = "–" if math.isnan(features.loudness_range) else f"{features.loudness_range:.1f}"
        width_text = f"{features.width_db:+.1f}" if features.stereo else "mono"
        band_levels = [f"{x:+.1f}" for x in _band_levels_db(features)]
        name = name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"  # of many references
        cells = (
            file.name,
            name,
            format_time(features.seconds),
            f"{features.crest_db:.1f}",
            range_text,
            width_text,
            *band_levels,
        )
        table.add_row(*(Text(to_printable(text)) for text in cells))
    return table


def _band_levels_db(features: TrackFeatures) -> list[float]:
    """The power of the lows, mids and highs beside all of it."""
    power = 10.0 ** (features.mid_db / 10.0)
    edges = np.searchsorted(CENTERS_HZ, list(_TONE_BANDS_HZ.values()))
    return [float(10.0 * np.log10(power[start:end].sum() / power.sum())) for start, end in edges]
