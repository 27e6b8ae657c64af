"""The training state, the optimizer, and the update that skips bad gradients."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from nmjax.config import Config, FrozenModule, TrainConfig
from nmjax.models import MasteringModel

_MIN_GOOD_UPDATES = 50  # good updates before the running mean of the loss is used
_LOSS_EMA_RATE = 0.02  # of the running mean of the loss: about 50 updates


@typing.no_type_check
class TrainState(struct.PyTreeNode):
    """State of a training run between two steps.

    Attributes:
        step: Number of updates tried.
        skipped: Number of updates skipped because a value was not finite or the loss was a spike.
        consecutive_skips: Number of updates skipped since the last good one.
        loss_ema: Running mean of the loss of good updates.
        variables: Newest variables: `{"params": …}` and the other collections.
        ema_variables: Their running mean, for validation and inference.
        opt_state: State of the optimizer.
    """

    step: jax.Array
    skipped: jax.Array
    consecutive_skips: jax.Array
    loss_ema: jax.Array
    variables: dict
    ema_variables: dict
    opt_state: optax.OptState

    @property
    def good_updates(self) -> jax.Array:
        """Number of updates that were not skipped."""
        return self.step - self.skipped


def initial_variables(model: MasteringModel, seed: int) -> dict:
    """Untrained variables; the same for the same seed.

    Drawn with XLA's own generator (`rbg`): with threefry, one draw per weight takes 20 s to compile on a laptop.
    """
    audio = jnp.zeros((1, 1024, 1), jnp.float32)
    variables = _jit_init(model)({"params": jax.random.key(seed, impl="rbg")}, audio)  # pyright: ignore[reportArgumentType]  # Flax modules are hashable
    return jax.tree.map(jnp.asarray, dict(variables))


@cache  # each model compiles its initialization once per process
def _jit_init(model: MasteringModel) -> Callable:
    return jax.jit(model.init)


def learning_rate_schedule(config: TrainConfig) -> optax.Schedule:
    """Linear warm-up to the peak, then a cosine decay to 0 at the last step."""
    warmup = min(config.warmup_steps, config.steps)
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(config.steps, warmup + 1))


def build_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with weight decay on kernels only, after clipping the norm of the whole gradient.

    Biases before a BatchNorm are not updated: BatchNorm cancels them, their gradient is rounding noise, and Adam would
    scale it up to full steps. Frozen modules are not updated either, since weight decay would shrink them.
    """

    def path_mask(condition: Callable[[list[str]], bool]) -> Callable:
        return lambda params: jax.tree_util.tree_map_with_path(lambda path, _: condition([k.key for k in path]), params)

    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            learning_rate_schedule(config),
            weight_decay=config.weight_decay,
            mask=path_mask(lambda keys: keys[-1] == "kernel"),
        ),
        optax.masked(
            optax.set_to_zero(),
            path_mask(lambda keys: keys[-2:] == ["conv", "bias"] or is_frozen(keys, config.frozen)),
        ),
    )


def is_frozen(keys: Sequence[str], frozen: Sequence[FrozenModule]) -> bool:
    """Whether the parameter at this path belongs to one of the modules of `train.frozen`."""
    path = "/".join(keys)
    return any(path.startswith(f"{module}/") for module in frozen)


def stop_frozen_gradients(params: dict, frozen: Sequence[FrozenModule]) -> dict:
    """The same parameters, those of frozen modules without a gradient, so that none is computed."""
    return jax.tree_util.tree_map_with_path(
        lambda path, x: jax.lax.stop_gradient(x) if is_frozen([k.key for k in path], frozen) else x, params
    )


def create_train_state(config: Config, variables: dict) -> TrainState:
    """The state at step 0. No two of its arrays share memory, since the train step donates all of them."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        consecutive_skips=jnp.zeros((), jnp.int32),
        loss_ema=jnp.zeros((), jnp.float32),
        variables=variables,
        ema_variables=jax.tree.map(jnp.copy, variables),
        opt_state=build_optimizer(config.train).init(variables["params"]),
    )


def apply_update(
    state: TrainState,
    variables: dict,
    opt_state: optax.OptState,
    loss: jax.Array,
    grad_norm: jax.Array,
    config: TrainConfig,
) -> TrainState:
    """The state after an update, or after a skipped one.

    An update is skipped if its loss or gradient norm is not finite, or if the loss exceeds `config.max_loss_ratio`
    times its running mean. Then everything except the counters keeps its value.

    Args:
        state: The state before the update.
        variables, opt_state: The updated values.
        loss: Loss of the batch.
        grad_norm: Norm of the gradient before clipping.
        config: Decay rates and limits.
    """
    good_updates = state.good_updates
    is_good = (
        jnp.isfinite(loss)
        & jnp.isfinite(grad_norm)
        & ((good_updates < _MIN_GOOD_UPDATES) | (loss < config.max_loss_ratio * state.loss_ema))
    )
    loss_rate = jnp.maximum(_LOSS_EMA_RATE, 1.0 / (good_updates + 1.0))
    decay = young_decay(config.ema_decay, good_updates)
    # In this form the average of equal values is bit-identical to the value.
    ema_variables = jax.tree.map(
        lambda a, b: b if config.ema_decay == 0.0 else a + (1.0 - decay) * (b - a), state.ema_variables, variables
    )
    loss_ema = state.loss_ema + loss_rate * (loss - state.loss_ema)

    def keep_if_bad(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(is_good, a, b), new, old)

    return TrainState(
        step=state.step + 1,
        skipped=state.skipped + jnp.where(is_good, 0, 1),
        consecutive_skips=jnp.where(is_good, 0, state.consecutive_skips + 1),
        loss_ema=keep_if_bad(loss_ema, state.loss_ema),
        variables=keep_if_bad(variables, state.variables),
        ema_variables=keep_if_bad(ema_variables, state.ema_variables),
        opt_state=keep_if_bad(opt_state, state.opt_state),
    )


def young_decay(decay: float, updates: jax.Array) -> jax.Array:
    """The decay of a running mean after so many updates: a young one forgets its initial value quickly."""
    return jnp.minimum(decay, (1.0 + updates) / (10.0 + updates))


def count_params(tree: Any) -> int:
    """Number of elements in a tree of arrays."""
    return sum(x.size for x in jax.tree.leaves(tree))
