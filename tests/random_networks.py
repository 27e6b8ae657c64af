"""A network with random weights, as if trained: every band and the residual change the signal."""

import functools
import json
from pathlib import Path

import numpy as np

from nmjax.mastering.network import Network
from nmjax.models import PHASES, build_model
from nmjax.runtime.checkpoints import Checkpoints
from tests.models.helpers import init_shapes, noise, random_variables
from tests.training.tiny_run import tiny_config


@functools.cache
def random_network(phase: str) -> Network:
    """Seeded by nothing but the phase."""
    config = tiny_config(phase, "model.width=0.07")
    variables = random_variables(init_shapes(build_model(config), noise((1, 64, 1))), seed=2)
    if PHASES[phase].has_residual:  # a correction, not a second signal
        out = variables["params"]["residual"]["out"]
        out["kernel"], out["bias"] = 0.05 * out["kernel"], 0.0 * out["bias"]
    return Network(config, variables, 7, "0123456789abcdef")


def save_network(phase: str, folder: Path) -> Path:
    """The same as a run's folder."""
    n = random_network(phase)
    meta = {
        "config": n.config.model_dump(mode="json"),
        "step": n.step,
        "best_validation_loss": 1.0,
        "shuffle_index": 0,
        "data_state": None,
    }
    Checkpoints(folder / "best").save(n.step, dict(n.variables), {"step": np.int32(n.step)}, meta)
    return folder


def load_settings_json(path: Path) -> dict:
    """A settings file as a tree."""
    return json.loads(path.read_text())
