"""`nmjax targets`: what target files hold, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference.many.jobs import shown
from nmjax.inference.report.svg import clock
from nmjax.reference import target
from nmjax.reference.profile import CENTRES_HZ, Profile

_LONGEST_NAME = 60
_PARTS_HZ = {"low": (24.0, 150.0), "mid": (150.0, 4_000.0), "high": (4_000.0, 16_000.0)}


def show(
    files: Sequence[Path], picture: Path | None = None, force: bool = False, console: Console | None = None
) -> None:
    """List target files, and draw their spectra one over the other if that is wanted.

    Raises:
        BadInputError: a file that is no target; a picture that exists already or has another ending.
    """
    console = console or Console()
    if picture and picture.suffix.lower() != ".png":
        raise BadInputError(f"'{picture}' must end in .png; that is what --plot writes.")
    if picture and picture.exists() and not force:
        raise BadInputError(f"'{picture}' exists already; add --force to overwrite it, or name another file.")
    found = [(file, *target.read(file)) for file in files]
    console.print(_table(found))
    if picture:
        from nmjax import plots  # matplotlib takes 0.7 s to import

        curves = [np.where(x.known, x.mid_db - np.median(x.mid_db), np.nan) for _, x, _ in found]
        with io.temporary_beside(picture) as temporary:
            plots.spectra(temporary, CENTRES_HZ, curves, [file.stem for file in files], "References: long-term levels")
            io.publish(temporary, picture)
        console.print(f"Picture: {shown(picture)}", highlight=False, markup=False, soft_wrap=True)


def _table(found: Sequence[tuple[Path, Profile, str]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)  # a row is a line of 80 columns
    for name in ("target", "made of"):
        table.add_column(name, overflow="fold")
    for name, unit in (
        ("length", ""),
        ("crest", "dB"),
        ("range", "LU"),
        ("width", "dB"),
        *((x, "dB") for x in _PARTS_HZ),
    ):
        table.add_column(f"{name}\n{unit}", justify="right", no_wrap=True)
    for file, profile, name in found:
        lra = "–" if math.isnan(profile.loudness_range) else f"{profile.loudness_range:.1f}"
        width = f"{profile.width_db:+.1f}" if profile.stereo else "mono"
        tones = [f"{x:+.1f}" for x in _tones_db(profile)]
        name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"  # of many references
        texts = (file.name, name, clock(profile.seconds), f"{profile.crest_db:.1f}", lra, width, *tones)
        table.add_row(*(Text(shown(text)) for text in texts))
    return table


def _tones_db(profile: Profile) -> list[float]:
    """The power of the lows, mids and highs beside all of it."""
    power = 10.0 ** (profile.mid_db / 10.0)
    edges = np.searchsorted(CENTRES_HZ, list(_PARTS_HZ.values()))
    return [float(10.0 * np.log10(power[start:end].sum() / power.sum())) for start, end in edges]
