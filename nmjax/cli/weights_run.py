"""`nmjax weights` at work: from a checkpoint to a safetensors file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from nmjax.cli.weights import WeightsOptions
from nmjax.config import Config, restore_config
from nmjax.mastering.resolve import load_named_network
from nmjax.models import build_model
from nmjax.runtime.atomic_files import existing_file_error
from nmjax.runtime.checkpoints import Checkpoints
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.text import to_printable
from nmjax.runtime.weights_file import StoredWeights, read_weights, write_weights

_INIT_SAMPLES = 64  # any length gives the same parameters


def export_weights(options: WeightsOptions) -> None:
    """Write the variables and the config of a network.

    Raises:
        BadInputError: the network cannot be loaded, the file exists already or cannot be written.
    """
    path = options.safetensors
    if path.exists() and not options.force:
        raise existing_file_error(path)
    network = load_named_network(options.ckpt, options.model)
    config = network.config.model_dump(mode="json")
    write_weights(path, StoredWeights(network.variables, config, network.step, network.checkpoint_digest))
    print_line(Console(), f"Weights of {network.label}, step {network.step}: {to_printable(path)}")


def import_weights(options: WeightsOptions) -> None:
    """Make a run folder with the network of a weights file.

    Raises:
        BadInputError: the file cannot be used, or the folder holds something already.
    """
    path, out = options.safetensors, options.out
    assert out is not None  # checked with the options
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInputError(f"'{out}' is not an empty folder; name a new one with --out.")
    weights = read_weights(path)
    try:
        config = restore_config(weights.config)
    except (BadInputError, TypeError):
        raise BadInputError(f"'{path}' is from another version of nmjax; export it with this one.") from None
    _check_shapes(path, config, weights.variables)
    meta = {
        "config": config.model_dump(mode="json"),
        "step": weights.step,
        "best_validation_loss": None,
        "shuffle_index": 0,
        "data_state": None,
    }
    training = {"step": np.int32(weights.step)}
    Checkpoints(out / "best").save(weights.step, jax.tree.map(jnp.asarray, weights.variables), training, meta)
    print_line(Console(), f"Network of phase {config.phase}, step {weights.step}: {to_printable(out)}")


def _check_shapes(path: Path, config: Config, variables: dict[str, Any]) -> None:
    """Raise BadInputError where the arrays are not those of the config's model."""
    audio = jax.ShapeDtypeStruct((1, _INIT_SAMPLES, 1), jnp.float32)
    expected = jax.eval_shape(build_model(config).init, jax.random.key(0), audio)
    shapes = [
        {jax.tree_util.keystr(keys): (leaf.shape, leaf.dtype) for keys, leaf in jax.tree_util.tree_leaves_with_path(x)}
        for x in (dict(expected), variables)
    ]
    if shapes[0] != shapes[1]:
        name = min(name for name in {*shapes[0], *shapes[1]} if shapes[0].get(name) != shapes[1].get(name))
        raise BadInputError(f"'{path}' does not fit its config: {name} is missing, unknown or of another shape.")
