"""A network's variables in one safetensors file, which programs without orbax or JAX can read.

Names are paths in the tree, such as `params/encoder/blocks_0/conv/kernel`; arrays are stored as they are in memory. The
metadata has five strings: `format`, `config` (JSON of the training run's settings), `step`, `checkpoint` (what settings
files call the network), and `digest` (SHA-256 over names, types, shapes and bytes of all arrays in the order of their
names), because safetensors itself would read a flipped byte. docs/reference/weights.md describes the format for others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

FORMAT = "nmjax weights 1"
SUFFIX = ".safetensors"


class StoredWeights(NamedTuple):
    """Contents of a weights file.

    Attributes:
        variables: tree of NumPy arrays.
        config: settings of the training run.
        step: training step.
        checkpoint: identifies the network in settings files.
    """

    variables: dict[str, Any]
    config: dict[str, Any]
    step: int
    checkpoint: str


def write_weights(path: Path, weights: StoredWeights) -> None:
    """Write a weights file atomically.

    Raises:
        BadInputError: another suffix than `.safetensors`, or the file cannot be written.
    """
    _check_suffix(path)
    arrays = {name: np.ascontiguousarray(array) for name, array in _flattened(weights.variables)}
    metadata = {
        "format": FORMAT,
        "config": json.dumps(weights.config),
        "step": str(weights.step),
        "checkpoint": weights.checkpoint,
        "digest": _digest(arrays),
    }
    with atomic_files.atomic_write(path) as temporary:
        save_file(arrays, temporary, metadata)


def read_weights(path: Path) -> StoredWeights:
    """Read a weights file that `write_weights` wrote.

    Raises:
        BadInputError: the file is missing, damaged, or no weights file of nmjax.
    """
    _check_suffix(path)
    if not path.is_file():
        raise BadInputError(f"Weights file '{path}' is missing; write one with 'nmjax weights export'.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, ValueError, TypeError):  # ValueError, TypeError: a type that NumPy lacks
        raise BadInputError(f"'{path}' is damaged or not a safetensors file; export it again.") from None
    if metadata.get("format") != FORMAT:
        raise BadInputError(f"'{path}' is not a weights file of nmjax ('{FORMAT}'); export it with nmjax weights.")
    if metadata.get("digest") != _digest(arrays):
        raise BadInputError(f"'{path}' is damaged: its arrays do not match their digest; export it again.")
    try:
        config, step = json.loads(metadata["config"]), int(metadata["step"])
        checkpoint = metadata.get("checkpoint", metadata["digest"][:16])  # the first version of the format had none
    except (KeyError, ValueError):
        raise BadInputError(f"'{path}' has no readable config or step; export it again.") from None
    return StoredWeights(_unflattened(arrays), config, step, checkpoint)


def _flattened(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and arrays of a tree of dictionaries."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _unflattened(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The tree with these paths and arrays."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *folders, name = path.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[name] = array
    return tree


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() != SUFFIX:
        raise BadInputError(f"'{path}' must end in {SUFFIX}; that is the format of exported weights.")


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
