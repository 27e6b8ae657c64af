"""The networks that come with the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from nmjax.mastering.network import Network, load
from nmjax.runtime.errors import BadInputError

_WEIGHTS_FOLDER = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "1a"  # by the benchmark's table, docs/results.md
_REFERENCE_MODEL = "2"  # whose compressor is a better start, docs/results.md


def model_names() -> list[str]:
    """Those that are there."""
    return sorted(p.name for p in _WEIGHTS_FOLDER.iterdir() if p.is_dir()) if _WEIGHTS_FOLDER.is_dir() else []


def model_folder(name: str | None = None) -> Path:
    """Where a network lies; the best without a name.

    Raises:
        BadInputError: no such network.
    """
    available = model_names()
    name = name or DEFAULT_MODEL
    if name not in available:
        hint = f"there are: {', '.join(available)}" if available else "none comes with this version; give --ckpt DIR"
        raise BadInputError(f"There is no model '{name}'; {hint}.")
    return _WEIGHTS_FOLDER / name


def load_for_references(log: Callable[[str], None]) -> Network:
    """The network whose settings a reference moves where none is named; they say all that it does, so its residual is
    left out."""
    return dataclasses.replace(load(model_folder(_REFERENCE_MODEL), log), settings_only=True)
