"""The equaliser for other programs: Equalizer APO and REW text, CSV, a REAPER preset; and the way back.

What is exported are the bands as they are rendered at one sample rate (`bands_at_rate`), with the gates multiplied in,
so that a program that draws bells after R. Bristow-Johnson's cookbook draws the same curve at that rate. Every file
names it. How each program means a bell's width is in docs/settings.md.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from nmjax.audio import reader
from nmjax.dsp import Bands
from nmjax.mastering.settings.reaeq import to_reaeq
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

_MAX_BANDS = 256
_LIMITS = {"freq_hz": (1.0, 96_000.0), "gain_db": (-200.0, 200.0), "q": (1e-3, 1e6)}  # what `Bands` can hold
_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
_FILTER_LINE = re.compile(r"\s*Filter[\s\d]*:(.*)", re.IGNORECASE)
_PEAKING_FILTER = re.compile(rf"\s*Fc\s+{_NUMBER}\s*Hz\s+Gain\s+{_NUMBER}\s*dB\s+Q\s+{_NUMBER}\s*", re.IGNORECASE)
_RATE = re.compile(r"^#[ \t]*(?:for the )?sample rate:? (\d{4,6}) Hz", re.MULTILINE)
# What changes the sound in an Equalizer APO file beside filters, so that it cannot be passed over.
_UNSUPPORTED_COMMAND = re.compile(
    r"\s*(Include|Channel|GraphicEQ|Convolution|Copy|Delay|Device|Stage|If|Eval)\s*:", re.IGNORECASE
)


def export_eq(bands: Bands, sample_rate: int, path: Path, title: str) -> None:
    """Write bells as the file's ending says: `.txt` for Equalizer APO and REW, `.csv`, or `.rpl` for REAPER's ReaEQ.

    Args:
        bands: `[1, bands]`, as rendered at `sample_rate` (Hz), the gates multiplied in.
        sample_rate: Hz.
        path: where to; a file that is there is replaced, whole or not at all.
        title: what the file says it is; one line.

    Raises:
        BadInputError: another ending, something that the format cannot hold, or a place that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise BadInputError(f"'{path}' must end in {', '.join(WRITERS)}; that is what can be exported.")
    atomic_files.write_text(path, WRITERS[suffix](bands, sample_rate, title))


def to_apo(bands: Bands, sample_rate: int, title: str) -> str:
    """Equalizer APO's configuration text, which REW reads as "generic". Arguments as in `export`."""
    lines = [*_comment_lines(sample_rate, title), "Preamp: 0 dB"]
    for number, (freq, gain, q) in enumerate(_format_bands(bands), 1):
        lines.append(f"Filter {number}: ON PK Fc {freq} Hz Gain {gain} dB Q {q}")
    return "\n".join(lines) + "\n"


def to_csv(bands: Bands, sample_rate: int, title: str) -> str:
    """A table with one band a row, after two lines of comment. Arguments as in `export`."""
    lines = [*_comment_lines(sample_rate, title), "band,type,freq_hz,gain_db,q"]
    lines += [f"{number},peaking,{','.join(row)}" for number, row in enumerate(_format_bands(bands), 1)]
    return "\n".join(lines) + "\n"


def parse_apo(text: str) -> Bands:
    """The bells of an Equalizer APO or REW text, `[1, bands]`.

    Filters that are OFF or of type None are left out, and so is the preamp: delivery sets the level.

    Raises:
        BadInputError: a filter that is no bell with a Q, a command that changes the sound otherwise, or no filter.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if command := _UNSUPPORTED_COMMAND.match(line):
            raise BadInputError(f"line {number} says '{command[1]}', which cannot be imported; leave filters alone.")
        if line_match := _FILTER_LINE.match(line):
            words = line_match[1].split(maxsplit=2)
            if words[:1] != ["OFF"] and words[1:2] != ["None"]:
                rows.append(_parse_filter(words, number))
    return _to_bands(rows)


def parse_csv(text: str) -> Bands:
    """The bells of a table with the columns freq_hz, gain_db and q, `[1, bands]`; type, if there is one, is peaking.

    Raises:
        BadInputError: a column is missing or unknown, a value is no number, another type, or no band.
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
            raise BadInputError(
                f"row {number} has not {len(columns)} values; give one a column, with points in numbers."
            )
        row = dict(zip(columns, values, strict=True))
        if (kind := row.get("type", "peaking").strip().lower()) not in ("peaking", "pk"):
            raise BadInputError(f"row {number} is of type {kind[:40]!r}; bells ('peaking') can be imported.")
        rows.append([_parse_value(row[field], field, f"row {number}") for field in _LIMITS])
    return _to_bands(rows)


def parse_sample_rate(text: str) -> int | None:
    """The sample rate in Hz that an export's comment names, or None."""
    rates = _RATE.findall(text)
    rate = int(rates[-1]) if rates else 0  # the first line is a title, which may say anything
    return rate if reader.MIN_SAMPLE_RATE <= rate <= reader.MAX_SAMPLE_RATE else None


WRITERS: dict[str, Callable[[Bands, int, str], str]] = {".txt": to_apo, ".csv": to_csv, ".rpl": to_reaeq}
READERS: dict[str, Callable[[str], Bands]] = {".txt": parse_apo, ".csv": parse_csv}


def _comment_lines(sample_rate: int, title: str) -> list[str]:
    printable = "".join(c if c.isprintable() else " " for c in title)
    return [
        f"# {' '.join(printable.split())}",
        f"# for the sample rate {sample_rate} Hz; at another the same numbers draw another curve near half of it",
    ]


def _format_bands(bands: Bands) -> list[tuple[str, str, str]]:
    """Frequency, gain and Q of each band in digits that keep the curve of 64 bands within 0.01 dB."""
    if bands.kind != "peaking":
        raise BadInputError("Only bells can be exported; there is another kind of filter among the bands.")
    columns = (np.asarray(x, np.float64)[0] for x in (bands.freq_hz, bands.gain_db, bands.q))
    return [(f"{freq:.4f}", f"{gain:.4f}", f"{q:.6f}") for freq, gain, q in zip(*columns, strict=True)]


def _parse_filter(fields: list[str], number: int) -> list[float]:
    """The values of a filter's line, from what stands behind the colon: ON, the type, the rest."""
    hint = "write 'Filter 1: ON PK Fc 1000 Hz Gain -1.5 dB Q 1.0'."
    if len(fields) < 3 or fields[0] != "ON":
        raise BadInputError(f"line {number} is no whole filter; {hint}")
    if fields[1] not in ("PK", "PEQ"):
        raise BadInputError(f"line {number} has a filter of type {fields[1][:40]!r}; bells (PK) can be imported.")
    if not (values := _PEAKING_FILTER.fullmatch(fields[2])):
        raise BadInputError(f"line {number} has no Fc, Gain and Q that can be read; {hint}")
    return [_parse_value(text, field, f"line {number}") for text, field in zip(values.groups(), _LIMITS, strict=True)]


def _parse_value(text: str, field: str, label: str) -> float:
    low, high = _LIMITS[field]
    try:
        value = float(text)
    except ValueError:
        raise BadInputError(f"{label}: {field} is {text[:40]!r}; write a number, with a point.") from None
    if not low <= value <= high:  # NaN is not
        raise BadInputError(f"{label}: {field} is {value:g}; choose {low:g} to {high:g}.")
    return value


def _to_bands(rows: list[list[float]]) -> Bands:
    if not 1 <= len(rows) <= _MAX_BANDS:
        raise BadInputError(f"there are {len(rows)} bands; 1 to {_MAX_BANDS} can be imported.")
    return Bands(*(jnp.asarray(np.asarray(column, np.float32)[None]) for column in zip(*rows, strict=True)))
