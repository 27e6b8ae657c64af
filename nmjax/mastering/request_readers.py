"""Readers of the options of mastering: from the text on the command line to the value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nmjax.runtime.options import read_float_or, read_list, read_text

INTENSITIES = {"gentle": 0.5, "normal": 1.0, "firm": 1.5}
SIDE_PREFIX = "side."  # of the number of a band of the side's equalizer
_MAX_REFERENCE_WEIGHT = 1e6
_TIME = r"((?:\d+:){0,2}\d+(?:\.\d*)?)"  # seconds, M:SS or H:MM:SS
_SECTION = re.compile(f"{_TIME}-{_TIME}")


class Section(NamedTuple):
    """A section of a file, in seconds."""

    start: float
    end: float


class WeightedFile(NamedTuple):
    """A reference, its weight in the average of all references, and the section to use; None for all of it."""

    path: str
    weight: float = 1.0
    section: Section | None = None


def read_weighted_file(text: str) -> WeightedFile:
    """`FILE`, `FILE=WEIGHT`, `FILE@START-END` or `FILE@START-END=WEIGHT`, with times such as 80, 1:20 or 1:02:03.5.

    A file whose own name ends like a weight or a section is taken as it is.
    """
    if Path(text).exists():
        return WeightedFile(read_text(text))
    path, weight = _split_weight(text)
    if Path(path).exists():
        return WeightedFile(path, weight)
    path, section = _split_section(path)
    if section is None:
        _refuse_unreadable_section(path)
    return WeightedFile(read_text(path), weight, section)


def read_section_of_file(text: str) -> WeightedFile:
    """`FILE` or `FILE@START-END`, without a weight."""
    file = read_weighted_file(text)
    if file.weight != 1.0:
        raise ValueError(f"{text}: a weight has no effect here; leave it out.")
    return file


def _split_weight(text: str) -> tuple[str, float]:
    path, separator, weight_text = text.rpartition("=")
    try:
        weight = float(weight_text)
    except ValueError:
        return text, 1.0
    if not separator:
        return text, 1.0
    if not 0.0 < weight < _MAX_REFERENCE_WEIGHT:
        raise ValueError(f"{text}: the weight must be above 0 and below a million; or leave it out.")
    return path, weight


def _refuse_unreadable_section(text: str) -> None:
    """Raises ValueError for `FILE@TEXT` where the file exists, so that the text was meant as a section."""
    path, _, section = text.rpartition("@")
    if path and Path(path).is_file():
        raise ValueError(f"{text}: '{section}' is no section; give its times, as in {Path(path).name}@1:20-1:50.")


def _split_section(text: str) -> tuple[str, Section | None]:
    path, separator, section_text = text.rpartition("@")
    match = _SECTION.fullmatch(section_text)
    if not (separator and match):
        return text, None
    start, end = (sum(float(x) * 60.0**i for i, x in enumerate(reversed(time.split(":")))) for time in match.groups())
    if end <= start:
        raise ValueError(f"{text}: the section must end after its start; write @1:20-1:50.")
    return path, Section(start, end)


def read_aspect_weights(text: str) -> dict[str, float]:
    """`ASPECT=X,ASPECT=X` as a dict."""
    weights: dict[str, float] = {}
    for item in read_list(text):
        aspect, _, value = item.partition("=")
        if aspect in weights:
            raise ValueError(f"gives two weights of {aspect}; leave one of them out.")
        try:
            weights[aspect] = float(value)
        except ValueError:
            raise ValueError(f"{aspect} is '{value}'; give a number from 0 to 1, as width=0.5.") from None
    return weights


def read_intensity(text: str) -> float:
    """A number, or one of the names of `INTENSITIES`."""
    value = read_float_or(*INTENSITIES)(text)
    return INTENSITIES[value] if isinstance(value, str) else value


class Assignment(NamedTuple):
    """A value of a field of a band, by its number, or of a processor, by its name."""

    owner: Any
    field: str
    value: float


def _read_assignment(text: str, example: str, prefix: str = "") -> Assignment:
    """Reads `OWNER.FIELD=X`. prefix: of text and example, in messages."""
    key, equals, value = text.partition("=")
    owner, dot, field = key.partition(".")
    if not (equals and dot):
        raise ValueError(f"cannot be '{prefix}{text}'; write {prefix}{example}.")
    try:
        return Assignment(owner, field, float(value))
    except ValueError:
        raise ValueError(f"{prefix}{key} must be a number; it is '{value}'.") from None


def read_band(text: str) -> Assignment:
    """`N.FIELD=X` or `side.N.FIELD=X`, with the number of a band, counted from 1."""
    prefix = SIDE_PREFIX if text.startswith(SIDE_PREFIX) else ""
    assignment = _read_assignment(text.removeprefix(prefix), "3.gain_db=-1 (band 3, counted from 1)", prefix)
    if not (assignment.owner.isascii() and assignment.owner.isdigit() and len(assignment.owner) < 9):
        raise ValueError(f"cannot be '{text}'; write 3.gain_db=-1 (band 3, counted from 1), or side.3.gain_db=-1.")
    return assignment._replace(owner=f"{prefix}{int(assignment.owner)}")


def read_processor(text: str) -> Assignment:
    """`PROCESSOR.FIELD=X`."""
    return _read_assignment(text, "compressor.ratio=2")


def collect(assignments: Iterable[Assignment]) -> dict[Any, dict[str, float]]:
    """Owner → field → value.

    Raises:
        ValueError: two values of one field.
    """
    values: dict[Any, dict[str, float]] = {}
    for owner, field, value in assignments:
        if field in values.setdefault(owner, {}):
            raise ValueError(f"gives two values of {owner}.{field}; leave one of them out.")
        values[owner][field] = value
    return values


def collect_bands(assignments: Iterable[Assignment]) -> dict[int | str, dict[str, float]]:
    """The same as `collect`, with the bands' numbers as integers; a band of the side is "side.1"."""
    return collect(
        assignment._replace(owner=int(assignment.owner) if assignment.owner.isdigit() else assignment.owner)
        for assignment in assignments
    )


def split_bands(
    bands: Mapping[int | str, Mapping[str, float]],
) -> tuple[dict[int, Mapping[str, float]], dict[int, Mapping[str, float]]]:
    """Bands of the equalizer and bands of the side's equalizer, by number.

    Raises:
        ValueError: a key that is neither a number nor like "side.1".
    """
    both: tuple[dict[int, Mapping[str, float]], dict[int, Mapping[str, float]]] = ({}, {})
    for key, fields in bands.items():
        is_side = isinstance(key, str) and key.startswith(SIDE_PREFIX)
        number = key.removeprefix(SIDE_PREFIX) if isinstance(key, str) and is_side else key
        if not str(number).isdigit():
            raise ValueError(f"There is no band {key!r}; give a number, or 'side.1'.")
        both[is_side][int(number)] = fields
    return both
