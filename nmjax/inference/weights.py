"""The networks that come with the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from nmjax.errors import BadInputError
from nmjax.inference.network import Network, load

_FOLDER = Path(__file__).parents[1] / "weights"
BEST = "1a"  # by the benchmark's table, docs/results.md
_WITH_REFERENCE = "2"  # whose compressor is a better start, docs/results.md


def names() -> list[str]:
    """Those that are there."""
    return sorted(p.name for p in _FOLDER.iterdir() if p.is_dir()) if _FOLDER.is_dir() else []


def folder(name: str | None = None) -> Path:
    """Where a network lies; the best without a name.

    Raises:
        BadInputError: no such network.
    """
    there = names()
    name = name or BEST
    if name not in there:
        some = f"there are: {', '.join(there)}" if there else "none comes with this version; give --ckpt DIR"
        raise BadInputError(f"There is no model '{name}'; {some}.")
    return _FOLDER / name


def for_references(report: Callable[[str], None]) -> Network:
    """The network whose settings a reference moves where none is named; they say all that it does, so its residual is
    left out."""
    return dataclasses.replace(load(folder(_WITH_REFERENCE), report), settings_alone=True)
