"""Reads checkpoints that orbax wrote by tensorstore alone: orbax itself takes a third of a second to import.

On the disk (https://orbax.readthedocs.io, "Checkpoint format"), a tree is an OCDBT database of Zarr arrays named by
their keys joined with dots, and `_METADATA` lists the keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(folder: Path) -> dict[str, Any]:
    """The dictionary that orbax's `JsonSave` wrote."""
    return json.loads((folder / "metadata").read_text())


def read_tree(folder: Path) -> dict[str, Any]:
    """The nested dictionary of arrays that orbax's `StandardSave` wrote, as NumPy arrays."""
    import tensorstore

    metadata = json.loads((folder / "_METADATA").read_text())
    driver = "zarr3" if metadata.get("use_zarr3") else "zarr"
    key_paths = [[key["key"] for key in entry["key_metadata"]] for entry in metadata["tree_metadata"].values()]
    stores = [
        tensorstore.open(
            {
                "driver": driver,
                "kvstore": {"driver": "ocdbt", "base": folder.resolve().as_uri(), "path": ".".join(path) + "/"},
            },
            read=True,
            open=True,
        )
        for path in key_paths
    ]
    reads = [store.result().read() for store in stores]
    tree: dict[str, Any] = {}
    for path, read in zip(key_paths, reads, strict=True):
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = read.result()
    return tree
