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
from nmjax.models import MasteringModel

_MIN_GOOD_UPDATES = 50  # good updates after which a usual loss is known
_LOSS_EMA_RATE = 0.02  # of its running mean, some 50 updates


@typing.no_type_check
class TrainState(struct.PyTreeNode):
    """What goes from step to step.

    step: updates tried so far. skipped: those left out because something was not finite or the loss was a spike.
    in_row: the last so many were left out. usual: running mean of the good losses. model: the newest variables,
    `{"params", and the collections beside it}`. average: their running mean, which validation and mastering use.
    """

    step: jax.Array
    skipped: jax.Array
    consecutive_skips: jax.Array
    loss_ema: jax.Array
    variables: dict
    ema_variables: dict
    opt_state: optax.OptState


def initial_variables(model: MasteringModel, seed: int) -> dict:
    """Untrained variables; the same for the same seed.

    Drawn with XLA's own generator (`rbg`): with threefry, one draw a weight takes 20 s to compile on a laptop.
    """
    audio = jnp.zeros((1, 1024, 1), jnp.float32)
    variables = _jit_init(model)({"params": jax.random.key(seed, impl="rbg")}, audio)
    return jax.tree.map(jnp.asarray, dict(variables))


@cache  # one model is one program, compiled once a process
def _jit_init(model: MasteringModel) -> Callable:
    return jax.jit(model.init)


def learning_rate_schedule(config: TrainConfig) -> optax.Schedule:
    """Linear warm-up to the peak, then a cosine to 0 at the last step."""
    warmup = min(config.warmup_steps, config.steps)
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(config.steps, warmup + 1))


def build_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with weight decay on kernels only, behind a clip of the whole gradient's norm.

    A bias before BatchNorm is left alone: the statistics take it out again, its gradient is rounding, and Adam would
    blow that up to full steps. So are the frozen parts, which weight decay would shrink.
    """

    def path_mask(condition):
        return lambda params: jax.tree_util.tree_map_with_path(lambda path, _: condition([k.key for k in path]), params)

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            learning_rate_schedule(config),
            weight_decay=config.weight_decay,
            mask=path_mask(lambda k: k[-1] == "kernel"),
        ),
        optax.masked(optax.set_to_zero(), path_mask(lambda k: k[-2:] == ["conv", "bias"] or k[0] in config.frozen)),
    )


def create_train_state(config: Config, variables: dict) -> TrainState:
    """A run's start from the given variables; no two of its arrays share memory, since all are donated."""
    counters = [jnp.zeros((), jnp.int32) for _ in range(3)]
    opt_state = build_optimizer(config.train).init(variables["params"])
    ema_variables = jax.tree.map(jnp.copy, variables)
    return TrainState(*counters, jnp.zeros((), jnp.float32), variables, ema_variables, opt_state)


def apply_update(
    state: TrainState,
    variables: dict,
    opt_state: optax.OptState,
    loss: jax.Array,
    grad_norm: jax.Array,
    config: TrainConfig,
) -> TrainState:
    """The state after an update that would lead to `model` and `optimiser`, or that was left out: where the loss or
    the gradient's norm is not finite, or the loss is above `spike` times the usual one."""
    good_updates = state.step - state.skipped
    is_good = (
        jnp.isfinite(loss)
        & jnp.isfinite(grad_norm)
        & ((good_updates < _MIN_GOOD_UPDATES) | (loss < config.max_loss_ratio * state.loss_ema))
    )
    loss_rate = jnp.maximum(_LOSS_EMA_RATE, 1.0 / (good_updates + 1.0))
    decay = jnp.minimum(
        config.ema_decay, (1.0 + good_updates) / (10.0 + good_updates)
    )  # the first weights are forgotten quickly
    # an average of equal values stays that value to the bit
    ema_variables = jax.tree.map(
        lambda a, b: b if config.ema_decay == 0.0 else a + (1.0 - decay) * (b - a), state.ema_variables, variables
    )
    loss_ema = state.loss_ema + loss_rate * (loss - state.loss_ema)
    new, old = (
        (loss_ema, variables, ema_variables, opt_state),
        (state.loss_ema, state.variables, state.ema_variables, state.opt_state),
    )
    loss_ema, variables, ema_variables, opt_state = jax.tree.map(lambda a, b: jnp.where(is_good, a, b), new, old)
    return TrainState(
        step=state.step + 1,
        skipped=state.skipped + jnp.where(is_good, 0, 1),
        consecutive_skips=jnp.where(is_good, 0, state.consecutive_skips + 1),
        loss_ema=loss_ema,
        variables=variables,
        ema_variables=ema_variables,
        opt_state=opt_state,
    )


def count_params(tree) -> int:
    """Numbers in a tree of arrays."""
    return sum(x.size for x in jax.tree.leaves(tree))
