"""The equalizer in formats of other programs, by suffix; import of Equalizer APO's and REW's text and of CSV.

An export holds the bands as rendered at one sample rate (`convert_bands_to_rate`), with the gates multiplied in: a
program that uses the peaking filter of R. Bristow-Johnson's Audio EQ Cookbook has the same response at that rate,
which every file with comments names. docs/how-to/export.md says how each program defines the bandwidth.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmjax.audio import reader
from nmjax.dsp import Bands
from nmjax.mastering.request_readers import SIDE_PREFIX
from nmjax.mastering.settings.camilladsp import to_camilladsp
from nmjax.mastering.settings.easyeffects import to_easyeffects
from nmjax.mastering.settings.export_text import comment_lines, peaking_filters
from nmjax.mastering.settings.filter_lines import to_ffmpeg, to_sox
from nmjax.mastering.settings.reaeq import to_reaeq
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

_MAX_IMPORTED_BANDS = 256
_LIMITS = {"freq_hz": (1.0, 96_000.0), "gain_db": (-200.0, 200.0), "q": (1e-3, 1e6)}  # of an import
_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
_FILTER_LINE = re.compile(r"\s*Filter[\s\d]*:(.*)", re.IGNORECASE)
_PEAKING_FILTER = re.compile(rf"\s*Fc\s+{_NUMBER}\s*Hz\s+Gain\s+{_NUMBER}\s*dB\s+Q\s+{_NUMBER}\s*", re.IGNORECASE)
_RATE = re.compile(r"^#[ \t]*(?:for the )?sample rate:? (\d{4,6}) Hz", re.MULTILINE)
# Commands of Equalizer APO that change the sound and must not be ignored.
_UNSUPPORTED_COMMAND = re.compile(
    r"\s*(Include|Channel|GraphicEQ|Convolution|Copy|Delay|Device|Stage|If|Eval)\s*:", re.IGNORECASE
)


def export_eq(bands: Bands, sample_rate: int, path: Path, title: str, side_bands: Bands | None = None) -> None:
    """Writes peaking filters in the format of the file's suffix, atomically.

    Args:
        bands: `[1, bands]`, as rendered at `sample_rate`, with the gates multiplied in.
        sample_rate: in Hz.
        path: its suffix is one of `WRITERS`.
        title: one line of text at the top of the file.
        side_bands: of the side's equalizer, for the formats of `SIDE_SUFFIXES`; the others leave it out.

    Raises:
        BadInputError: another suffix, a band that the format cannot hold, or a file that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise BadInputError(f"'{path}' has no known suffix; choose one of: {', '.join(WRITERS)}.")
    side = {"side_bands": side_bands} if side_bands is not None and suffix in SIDE_SUFFIXES else {}
    atomic_files.write_text(path, WRITERS[suffix](bands, sample_rate, title, **side))


def missing_side_note(path: Path, side_bands: Bands | None) -> str:
    """A message where the format of an export cannot hold the side's bands; otherwise empty."""
    if side_bands is None or path.suffix.lower() in SIDE_SUFFIXES:
        return ""
    others = ", ".join(SIDE_SUFFIXES)
    return f"'{path.name}' lacks the bands of the side, which its format cannot hold; export as one of: {others}."


def to_apo(bands: Bands, sample_rate: int, title: str, side_bands: Bands | None = None) -> str:
    """Equalizer APO's configuration text, which REW reads as "generic". Arguments as in `export_eq`.

    Bands of the side filter half of left − right, from which both channels are made again.
    """
    lines = [*comment_lines(sample_rate, title), "Preamp: 0 dB", *_apo_filters(bands)]
    if side_bands is not None:
        lines += ["# the side alone: half of left - right", "Copy: MID=0.5*L+0.5*R SIDE=0.5*L+-0.5*R", "Channel: SIDE"]
        lines += [*_apo_filters(side_bands), "Copy: L=MID+SIDE R=MID+-1.0*SIDE", "Channel: all"]
    return "\n".join(lines) + "\n"


def _apo_filters(bands: Bands) -> list[str]:
    rows = enumerate(_format_bands(bands), 1)
    return [f"Filter {number}: ON PK Fc {freq} Hz Gain {gain} dB Q {q}" for number, (freq, gain, q) in rows]


def to_csv(bands: Bands, sample_rate: int, title: str, side_bands: Bands | None = None) -> str:
    """A table with one band per row, after two lines of comment. Arguments as in `export_eq`."""
    lines = [*comment_lines(sample_rate, title), "band,type,freq_hz,gain_db,q"]
    for prefix, rows in (("", _format_bands(bands)), (SIDE_PREFIX, _format_bands(side_bands) if side_bands else [])):
        lines += [f"{prefix}{number},peaking,{','.join(row)}" for number, row in enumerate(rows, 1)]
    return "\n".join(lines) + "\n"


def parse_apo(text: str) -> Bands:
    """The peaking filters of an Equalizer APO or REW text, `[1, bands]`.

    Filters that are OFF or of type None are ignored, and so is the preamp, because delivery sets the level.

    Raises:
        BadInputError: another kind of filter, a command that changes the sound otherwise, or no filter.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if command := _UNSUPPORTED_COMMAND.match(line):
            raise BadInputError(
                f"line {number} has the command '{command[1]}', which cannot be imported; keep only filters."
            )
        if line_match := _FILTER_LINE.match(line):
            words = line_match[1].split(maxsplit=2)
            if words[:1] != ["OFF"] and words[1:2] != ["None"]:
                rows.append(_parse_filter(words, number))
    return _to_bands(rows)


def parse_csv(text: str) -> Bands:
    """The peaking filters of a table with the columns freq_hz, gain_db, q and, optionally, band and type, `[1, bands]`.

    Raises:
        BadInputError: a column is missing or unknown, a value is not a number, another type of filter, or no band.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        columns, *table = csv.reader(lines)
    except (ValueError, csv.Error):  # no line at all, a field without an end
        columns, table = [], []
    columns = [name.strip() for name in columns]
    if not set(_LIMITS) <= set(columns) <= {"band", "type", *_LIMITS}:
        raise BadInputError("the first row must be 'band,type,freq_hz,gain_db,q', with commas between.")
    rows = []
    for number, values in enumerate(table, 1):
        if len(values) != len(columns):
            raise BadInputError(f"row {number} has {len(values)} values; give {len(columns)}, with decimal points.")
        row = dict(zip(columns, values, strict=True))
        if row.get("band", "").startswith(SIDE_PREFIX):
            raise BadInputError(f"row {number} is a band of the side; render the JSON settings file instead.")
        if (kind := row.get("type", "peaking").strip().lower()) not in ("peaking", "pk"):
            raise BadInputError(f"row {number} is of type {kind[:40]!r}; only 'peaking' can be imported.")
        rows.append([_parse_value(row[field], field, f"row {number}") for field in _LIMITS])
    return _to_bands(rows)


def parse_sample_rate(text: str) -> int | None:
    """The sample rate in Hz that a comment of the file names, or None."""
    rates = _RATE.findall(text)
    rate = int(rates[-1]) if rates else 0  # the title in the first line may contain anything
    return rate if reader.MIN_SAMPLE_RATE <= rate <= reader.MAX_SAMPLE_RATE else None


WRITERS: dict[str, Callable[..., str]] = {  # bands, rate, title and, for SIDE_SUFFIXES, side_bands
    ".txt": to_apo,  # Equalizer APO, REW, PipeWire
    ".csv": to_csv,
    ".rpl": to_reaeq,  # REAPER
    ".yml": to_camilladsp,
    ".json": to_easyeffects,
    ".sox": to_sox,
    ".ffmpeg": to_ffmpeg,
}
SIDE_SUFFIXES = (".txt", ".csv", ".yml", ".ffmpeg")
READERS: dict[str, Callable[[str], Bands]] = {".txt": parse_apo, ".csv": parse_csv}


def _format_bands(bands: Bands) -> list[tuple[str, str, str]]:
    """Frequency, gain and Q of each band, in digits that keep the response of 64 bands within 0.01 dB."""
    return [(f"{freq:.4f}", f"{gain:.4f}", f"{q:.6f}") for freq, gain, q in peaking_filters(bands)]


def _parse_filter(fields: list[str], number: int) -> list[float]:
    """The values of a filter's line, from the fields after its colon: ON, the type, the parameters."""
    hint = "write 'Filter 1: ON PK Fc 1000 Hz Gain -1.5 dB Q 1.0'."
    if len(fields) < 3 or fields[0] != "ON":
        raise BadInputError(f"line {number} is not a complete filter; {hint}")
    if fields[1] not in ("PK", "PEQ"):
        raise BadInputError(f"line {number} has a filter of type {fields[1][:40]!r}; only PK can be imported.")
    if not (values := _PEAKING_FILTER.fullmatch(fields[2])):
        raise BadInputError(f"line {number} has no readable Fc, Gain and Q; {hint}")
    return [_parse_value(text, field, f"line {number}") for text, field in zip(values.groups(), _LIMITS, strict=True)]


def _parse_value(text: str, field: str, label: str) -> float:
    low, high = _LIMITS[field]
    try:
        value = float(text)
    except ValueError:
        raise BadInputError(f"{label}: {field} is {text[:40]!r}; write a number such as 1.5.") from None
    if not low <= value <= high:  # NaN is not
        raise BadInputError(f"{label}: {field} is {value:g}; choose {low:g} to {high:g}.")
    return value


def _to_bands(rows: list[list[float]]) -> Bands:
    if not 1 <= len(rows) <= _MAX_IMPORTED_BANDS:
        raise BadInputError(f"the file has {len(rows)} bands; 1 to {_MAX_IMPORTED_BANDS} can be imported.")
    freq_hz, gain_db, q = (np.asarray(column, np.float32)[None] for column in zip(*rows, strict=True))
    return Bands(freq_hz, gain_db, q)
