"""What a run carries from step to step, and the optimiser."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import optax
from flax import struct

from nmjax.config import Config, TrainConfig
from nmjax.models import Mastering

_SETTLED = 50  # good updates after which a usual loss is known
_USUAL_PACE = 0.02  # of its running mean, some 50 updates


@typing.no_type_check
class TrainState(struct.PyTreeNode):
    """What goes from step to step.

    step: updates tried so far. skipped: those left out because something was not finite or the loss was a spike.
    in_row: the last so many were left out. usual: running mean of the good losses. model: the newest variables,
    `{"params", and the collections beside it}`. average: their running mean, which validation and mastering use.
    """

    step: jax.Array
    skipped: jax.Array
    in_row: jax.Array
    usual: jax.Array
    model: dict
    average: dict
    optimiser: optax.OptState


def initial_variables(model: Mastering, seed: int) -> dict:
    """Untrained variables; the same for the same seed.

    Drawn with XLA's own generator (`rbg`): with threefry, one draw a weight takes 20 s to compile on a laptop.
    """
    audio = jnp.zeros((1, 1024, 1), jnp.float32)
    variables = _initialiser(model)({"params": jax.random.key(seed, impl="rbg")}, audio)
    return jax.tree.map(jnp.asarray, dict(variables))


@cache  # one model is one program, compiled once a process
def _initialiser(model: Mastering) -> Callable:
    return jax.jit(model.init)


def learning_rate(config: TrainConfig) -> optax.Schedule:
    """Linear warm-up to the peak, then a cosine to 0 at the last step."""
    warmup = min(config.warmup_steps, config.steps)
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(config.steps, warmup + 1))


def build_optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with weight decay on kernels only, behind a clip of the whole gradient's norm.

    A bias before BatchNorm is left alone: the statistics take it out again, its gradient is rounding, and Adam would
    blow that up to full steps. So are the frozen parts, which weight decay would shrink.
    """

    def chosen(condition):
        return lambda params: jax.tree_util.tree_map_with_path(lambda path, _: condition([k.key for k in path]), params)

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(learning_rate(config), weight_decay=config.weight_decay, mask=chosen(lambda k: k[-1] == "kernel")),
        optax.masked(optax.set_to_zero(), chosen(lambda k: k[-2:] == ["conv", "bias"] or k[0] in config.frozen)),
    )


def initial_state(config: Config, variables: dict) -> TrainState:
    """A run's start from the given variables; no two of its arrays share memory, since all are donated."""
    counters = [jnp.zeros((), jnp.int32) for _ in range(3)]
    optimiser = build_optimiser(config.train).init(variables["params"])
    average = jax.tree.map(jnp.copy, variables)
    return TrainState(*counters, jnp.zeros((), jnp.float32), variables, average, optimiser)


def advanced(
    state: TrainState, model: dict, optimiser: optax.OptState, loss: jax.Array, norm: jax.Array, config: TrainConfig
) -> TrainState:
    """The state after an update that would lead to `model` and `optimiser`, or that was left out: where the loss or
    the gradient's norm is not finite, or the loss is above `spike` times the usual one."""
    done = state.step - state.skipped
    good = jnp.isfinite(loss) & jnp.isfinite(norm) & ((done < _SETTLED) | (loss < config.spike * state.usual))
    pace = jnp.maximum(_USUAL_PACE, 1.0 / (done + 1.0))
    decay = jnp.minimum(config.ema, (1.0 + done) / (10.0 + done))  # the first weights are forgotten quickly
    # an average of equal values stays that value to the bit
    average = jax.tree.map(lambda a, b: b if config.ema == 0.0 else a + (1.0 - decay) * (b - a), state.average, model)
    usual = state.usual + pace * (loss - state.usual)
    new, old = (usual, model, average, optimiser), (state.usual, state.model, state.average, state.optimiser)
    usual, model, average, optimiser = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, old)
    return TrainState(
        step=state.step + 1,
        skipped=state.skipped + jnp.where(good, 0, 1),
        in_row=jnp.where(good, 0, state.in_row + 1),
        usual=usual,
        model=model,
        average=average,
        optimiser=optimiser,
    )


def count(tree) -> int:
    """Numbers in a tree of arrays."""
    return sum(x.size for x in jax.tree.leaves(tree))
