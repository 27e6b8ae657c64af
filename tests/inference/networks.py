"""A network with random weights, as if trained: it moves every band and its residual is heard."""

import functools
import json
from pathlib import Path

import numpy as np

from nmjax.checkpoint import Checkpoints
from nmjax.inference.network import Network
from nmjax.models import build_model
from tests.models.helpers import noise, randomised, shapes_of
from tests.training.tiny import tiny


@functools.cache
def network(phase: str) -> Network:
    """Seeded by nothing but the phase."""
    config = tiny(phase, "model.width=0.07")
    variables = randomised(shapes_of(build_model(config), noise((1, 64, 1))), seed=2)
    if phase != "1a":  # a correction, not a second signal
        out = variables["params"]["residual"]["out"]
        out["kernel"], out["bias"] = 0.05 * out["kernel"], 0.0 * out["bias"]
    return Network(config, variables, 7, "0123456789abcdef")


def saved(phase: str, folder: Path) -> Path:
    """The same as a run's folder."""
    n = network(phase)
    meta = {"config": n.config.model_dump(mode="json"), "step": n.step, "best": 1.0, "order": 0, "data": None}
    Checkpoints(folder / "best").save(n.step, dict(n.variables), {"step": np.int32(n.step)}, meta)
    return folder


def settings_of(path: Path) -> dict:
    """A settings file as a tree."""
    return json.loads(path.read_text())
