"""`nmjax targets` at work: targets as tables and as a plot, and new ones from music and others."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmjax.cli.targets import TargetsOptions
from nmjax.mastering.reference_features import read_reference_features
from nmjax.mastering.request_readers import WeightedFile
from nmjax.reference import target_file
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.features import TrackFeatures
from nmjax.reference.styles import STYLE_NAMES, style_file
from nmjax.runtime import atomic_files
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_time
from nmjax.runtime.options import suggest
from nmjax.runtime.text import to_printable

_MAX_NAME_LENGTH = 60
_MAX_LISTED = 20  # of more targets, only the saved average is listed
_COLUMNS = """crest: median ratio of peak to RMS over 3 s; range: loudness range; width: side relative to mid;
low (24 to 150 Hz), mid (to 4 kHz) and high (to 16 kHz): power relative to the whole."""
_TONE_BANDS_HZ = {"low": (24.0, 150.0), "mid": (150.0, 4_000.0), "high": (4_000.0, 16_000.0)}


class _Target(NamedTuple):
    """A target, what the table calls it, and its weight in an average."""

    label: str
    features: TrackFeatures
    name: str
    weight: float = 1.0


def show_targets(options: TargetsOptions, console: Console | None = None) -> None:
    """List and compare targets, plot their spectra, and save their average.

    Raises:
        BadInputError: a file is neither a target file nor music; an output exists already or has another extension.
    """
    console = console or Console()
    check_new_file(options.plot, ".png", "--plot", options.force)
    check_new_file(options.save, ".json", "--save", options.force)
    targets = [_read_target(file) for file in options.files or map(WeightedFile, STYLE_NAMES)]
    if options.save:
        average = _average(targets, options)
        target_file.save(options.save, average.features, average.name)
        print_line(console, f"Target: {to_printable(options.save)}")
        targets = [average] if len(targets) > _MAX_LISTED else [*targets, average]
    console.print(_targets_table(targets))
    print_line(console, _COLUMNS)
    if len(targets) > 1:
        console.print(_distances_table(targets))
    if options.plot:
        _plot_spectra(targets, options.plot)
        print_line(console, f"Plot: {to_printable(options.plot)}")


def check_new_file(path: Path | None, suffix: str, flag: str, force: bool) -> None:
    """Refuses an output that exists already or is named like another kind of file.

    Raises:
        BadInputError: it does, or is.
    """
    if path and path.suffix.lower() != suffix:
        raise BadInputError(f"'{path}' must end in {suffix}; that is what {flag} writes.")
    if path and path.exists() and not force:
        raise atomic_files.existing_file_error(path)


def _read_target(file: WeightedFile) -> _Target:
    """A target file, a style or music; a file in the current folder comes before a style of that name."""
    path = Path(file.path)
    if file.path in STYLE_NAMES and not path.exists():
        if file.section:
            raise BadInputError(f"'{file.path}' is a style, which has no sections; leave the times out.")
        return _Target(file.path, *target_file.read(style_file(file.path)), file.weight)
    if not path.exists() and not path.suffix:
        raise BadInputError(f"There is no file and no style '{file.path}'; {suggest(file.path, STYLE_NAMES)}")
    if path.suffix.lower() == ".json" and not file.section:
        return _Target(path.name, *target_file.read(path), file.weight)
    features, name = read_reference_features(file)
    return _Target(path.name, dataclasses.replace(features, frames=None), name, file.weight)


def _average(targets: Sequence[_Target], options: TargetsOptions) -> _Target:
    assert options.save
    features = target_file.average_features([x.features for x in targets], [x.weight for x in targets])
    name = options.name or ", ".join(target.name for target in targets)
    return _Target(options.save.name, features.tilt(options.tilt), name)


def _plot_spectra(targets: Sequence[_Target], path: Path) -> None:
    from nmjax import plots  # matplotlib takes 0.7 s to import

    curves = [_tone_db(target.features) for target in targets]
    labels = [target.label.removesuffix(".json") for target in targets]
    with atomic_files.temporary_sibling(path) as temporary:
        plots.plot_spectra(temporary, CENTERS_HZ, curves, labels, "Targets: long-term levels")
        atomic_files.commit_file(temporary, path)


def _tone_db(features: TrackFeatures) -> np.ndarray:
    """Levels relative to their median; NaN where they are unknown."""
    return np.where(features.known_bands, features.mid_db - np.median(features.mid_db), np.nan)


def _distances_table(targets: Sequence[_Target]) -> Table:
    """RMS difference in tone of each pair, in dB over the bands that both have."""
    table = Table(show_edge=False, pad_edge=False, title="difference in tone, dB RMS", title_justify="left")
    table.add_column("")
    for number in range(1, len(targets)):
        table.add_column(f"{number}", justify="right", no_wrap=True)
    tones_db = [_tone_db(target.features) for target in targets]
    for row, target in enumerate(targets):
        cells = [f"{np.nanstd(tones_db[row] - tones_db[column]):.1f}" for column in range(row)]
        table.add_row(Text(to_printable(f"{row + 1} {target.label}")), *cells)
    return table


def _targets_table(targets: Sequence[_Target]) -> Table:
    table = Table(show_edge=False, pad_edge=False)  # a row fits into a line of 80 columns
    has_names = any(target.label not in target.name for target in targets)  # music and styles have no other name
    for name in ("target", "references") if has_names else ("target",):
        table.add_column(name, overflow="fold")
    units = {"length": "", "crest": "dB", "range": "LU", "width": "dB", **dict.fromkeys(_TONE_BANDS_HZ, "dB")}
    for name, unit in units.items():
        table.add_column(f"{name}\n{unit}", justify="right", no_wrap=True)
    for label, features, name, _ in targets:
        cells = (
            label,
            *((_shorten("" if label in name else name),) if has_names else ()),
            format_time(features.seconds),
            f"{features.crest_db:.1f}",
            "–" if math.isnan(features.loudness_range) else f"{features.loudness_range:.1f}",
            f"{features.width_db:+.1f}" if features.stereo else "mono",
            *(f"{level_db:+.1f}" for level_db in _band_levels_db(features)),
        )
        table.add_row(*(Text(to_printable(cell)) for cell in cells))
    return table


def _shorten(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"


def _band_levels_db(features: TrackFeatures) -> list[float]:
    """Power of the lows, mids and highs relative to the total, in dB."""
    power = 10.0 ** (features.mid_db / 10.0)
    edges = np.searchsorted(CENTERS_HZ, list(_TONE_BANDS_HZ.values()))
    return [float(10.0 * np.log10(power[start:end].sum() / power.sum())) for start, end in edges]
