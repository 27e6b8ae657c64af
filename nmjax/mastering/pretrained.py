"""The networks that are shipped with nmjax."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from nmjax.mastering.network import Network, load
from nmjax.runtime.errors import BadInputError

_WEIGHTS_FOLDER = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "1a"  # best in the benchmark, docs/results/results.md
RESTORATION_MODEL = "1b-restore"  # predicts the curve of a saturator, docs/results/results.md
REFERENCE_MODEL = "2"  # its compressor is a better starting point, docs/results/results.md


def model_names() -> list[str]:
    """Names of the shipped networks."""
    return sorted(p.name for p in _WEIGHTS_FOLDER.iterdir() if p.is_dir()) if _WEIGHTS_FOLDER.is_dir() else []


def model_folder(name: str | None = None) -> Path:
    """The folder of a network; of the default one without a name.

    Raises:
        BadInputError: there is no such network.
    """
    available = model_names()
    name = name or DEFAULT_MODEL
    if name not in available:
        hint = f"there are: {', '.join(available)}" if available else "this version comes with none, give --ckpt DIR"
        raise BadInputError(f"There is no model '{name}'; {hint}.")
    return _WEIGHTS_FOLDER / name


def load_shipped(name: str | None, log: Callable[[str], None]) -> Network:
    """A shipped network; the default one without a name.

    Raises:
        BadInputError: there is no such network, or it cannot be loaded.
    """
    return dataclasses.replace(load(model_folder(name), log), is_shipped=True)


def load_for_references(log: Callable[[str], None]) -> Network:
    """The network whose settings are matched to a reference where none is named."""
    return load_shipped(REFERENCE_MODEL, log)
