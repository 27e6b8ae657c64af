"""What a run carries from step to step, and the optimiser."""

from __future__ import annotations

import typing

import jax
import jax.numpy as jnp
import optax
from flax import struct

from nmjax.config import Config, TrainConfig
from nmjax.models import Mastering


@typing.no_type_check
class TrainState(struct.PyTreeNode):
    """step: updates tried so far. model: `{"params", and the collections beside it}`. skipped: updates that were left
    out because something was not finite."""

    step: jax.Array
    skipped: jax.Array
    model: dict
    optimiser: optax.OptState


def initial_variables(model: Mastering, seed: int) -> dict:
    """Untrained variables; the same for the same seed.

    Drawn with XLA's own generator (`rbg`): with threefry, one draw a weight takes 20 s to compile on a laptop.
    """
    audio = jnp.zeros((1, 1024, 1), jnp.float32)
    variables = jax.jit(model.init)({"params": jax.random.key(seed, impl="rbg")}, audio)
    return jax.tree.map(jnp.asarray, dict(variables))


def learning_rate(config: TrainConfig) -> optax.Schedule:
    """Linear warm-up to the peak, then a cosine to 0 at the last step."""
    warmup = min(config.warmup_steps, config.steps)
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(config.steps, warmup + 1))


def build_optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with weight decay on kernels only, behind a clip of the whole gradient's norm."""

    def kernels(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(learning_rate(config), weight_decay=config.weight_decay, mask=kernels),
    )


def initial_state(config: Config, variables: dict) -> TrainState:
    """A run's start from the given variables."""
    step, skipped = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)  # two buffers: both are donated
    return TrainState(step, skipped, variables, build_optimiser(config.train).init(variables["params"]))


def count(tree) -> int:
    """Numbers in a tree of arrays."""
    return sum(x.size for x in jax.tree.leaves(tree))
