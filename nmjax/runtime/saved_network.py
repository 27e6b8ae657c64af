"""A trained network in a folder: one weights file, as the shipped ones have, or the checkpoints of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nmjax.runtime.checkpoints import find_checkpoint
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.weights_file import read_weights

WEIGHTS_NAME = "weights.safetensors"


@dataclasses.dataclass(frozen=True)
class SavedNetwork:
    """A network before its arrays are read.

    Attributes:
        path: the file or the folder, for messages.
        config: settings of the training run.
        step: training step.
        checkpoint_digest: identifies the checkpoint in settings files.
        read_variables: reads the tree of NumPy arrays.
    """

    path: Path
    config: dict[str, Any]
    step: int
    checkpoint_digest: str
    read_variables: Callable[[], dict[str, Any]]


def find_network(folder: Path, report: Callable[[str], None] = print) -> SavedNetwork:
    """The network that a user means by a folder.

    Raises:
        BadInputError: missing, nothing finished and undamaged in it, or from another version of nmjax.
    """
    path = folder / WEIGHTS_NAME
    if path.is_file():
        weights = read_weights(path)
        return SavedNetwork(path, weights.config, weights.step, weights.checkpoint, lambda: weights.variables)
    checkpoints, step = find_checkpoint(folder, report)
    config = checkpoints.meta(step).get("config")
    if config is None:
        raise BadInputError(f"'{folder}' is from another version of nmjax; train it again.")
    return SavedNetwork(
        path=checkpoints.folder / str(step),
        config=config,
        step=step,
        checkpoint_digest=checkpoints.digest(step),
        read_variables=lambda: checkpoints.read_model(step),
    )
