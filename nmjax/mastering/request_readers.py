"""Readers of the options of mastering: from the text on the command line to the value."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nmjax.runtime.options import read_float_or, read_list, read_text

INTENSITIES = {"gentle": 0.5, "normal": 1.0, "firm": 1.5}
_MAX_REFERENCE_WEIGHT = 1e6


class WeightedFile(NamedTuple):
    """A reference and its weight in the average of all references."""

    path: str
    weight: float = 1.0


def read_weighted_file(text: str) -> WeightedFile:
    """`FILE` or `FILE=WEIGHT`; a file whose own name ends like a weight is taken as it is."""
    path, separator, weight_text = text.rpartition("=")
    if not separator or Path(text).exists():
        return WeightedFile(read_text(text))
    try:
        weight = float(weight_text)
    except ValueError:
        return WeightedFile(text)
    if not 0.0 < weight < _MAX_REFERENCE_WEIGHT:
        raise ValueError(f"{text}: the weight must be above 0 and below a million; or leave it out.")
    return WeightedFile(path, weight)


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


def _read_assignment(text: str, example: str) -> Assignment:
    key, equals, value = text.partition("=")
    owner, dot, field = key.partition(".")
    if not (equals and dot):
        raise ValueError(f"cannot be '{text}'; write {example}.")
    try:
        return Assignment(owner, field, float(value))
    except ValueError:
        raise ValueError(f"{key} must be a number; it is '{value}'.") from None


def read_band(text: str) -> Assignment:
    """`N.FIELD=X`, with the number of a band, counted from 1."""
    assignment = _read_assignment(text, "3.gain_db=-1 (band 3, counted from 1)")
    if not (assignment.owner.isascii() and assignment.owner.isdigit() and len(assignment.owner) < 9):
        raise ValueError(f"cannot be '{text}'; write 3.gain_db=-1 (band 3, counted from 1).")
    return assignment


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


def collect_bands(assignments: Iterable[Assignment]) -> dict[int, dict[str, float]]:
    """The same as `collect`, with the bands' numbers as integers."""
    return collect(assignment._replace(owner=int(assignment.owner)) for assignment in assignments)
