"""The train step and the validation step: pure functions, one compiled program each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import optax

from nmjax.config import Config
from nmjax.losses import regularisation, signal_loss
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.training.degrade import at_level, chances_needed, draw_chances, level_offset_db, make_pair
from nmjax.training.state import TrainState, build_optimiser

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


def _pair(batch: Batch, key: jax.Array, config: Config, first: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """(input, target) at the model's level; each excerpt's randomness from `key` and its number in the whole batch."""
    target = batch["target"]
    chance = draw_chances(key, first, target.shape[0], chances_needed(config.degrade))
    if "input" in batch:
        source = batch["input"]
    else:
        source, target = make_pair(target, chance, config.degrade, SAMPLE_RATE)
    return at_level(source, target, level_offset_db(chance, config.degrade), SAMPLE_RATE)


@cache  # one config is one program, compiled once a process
def make_train_step(config: Config) -> Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]:
    """`(state, batch, key) → (state, metrics)`, to be jitted with the state donated.

    Where the loss or a gradient is not finite, everything but the counters stays as it was.
    """
    model, optimiser = build_model(config), build_optimiser(config.train)

    def step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        pair_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        source, target = jax.lax.stop_gradient(_pair(batch, pair_key, config, 0))
        rest = {k: v for k, v in state.model.items() if k != "params"}
        warmup = max(config.loss.sparsity_warmup, 1)
        sparsity_share = jnp.minimum(state.step / warmup, 1.0)

        def loss_of(params):
            (output, prediction), changed = model.apply(
                {"params": params, **rest},
                source,
                batch["length"],
                train=True,
                rngs={"dropout": dropout_key},
                mutable=["batch_stats"],
            )
            heard, terms = signal_loss(output, target, SAMPLE_RATE, config.loss)
            eq = prediction.settings.eq
            cost, more = regularisation(eq.gain_db, eq.q, prediction.gate_logit, config.loss, sparsity_share)
            return heard + cost, ({"loss": heard + cost, "signal": heard, **terms, **more}, changed)

        grads, (metrics, changed) = jax.grad(loss_of, has_aux=True)(state.model["params"])
        norm = optax.tree.norm(grads)
        updates, opt_state = optimiser.update(grads, state.optimiser, state.model["params"])
        params = optax.apply_updates(state.model["params"], updates)
        finite = jnp.isfinite(norm) & jnp.isfinite(metrics["loss"])
        new = ({**rest, **changed, "params": params}, opt_state)
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, (state.model, state.optimiser))
        skipped = state.skipped + jnp.where(finite, 0, 1)
        state = state.replace(step=state.step + 1, skipped=skipped, model=kept[0], optimiser=kept[1])
        return state, metrics | {"gradient_norm": norm, "skipped": skipped}

    return step


@cache
def make_validation_step(config: Config) -> Callable[[dict, Batch, jax.Array, jax.Array], Metrics]:
    """`(variables, batch, key, number of the batch) → metrics`: the signal terms of the output, and beside each, under
    `identity/…`, the same for the input as it is. The same key makes the same degradations every time; songs keep
    their own style."""
    config = config.model_copy(update={"degrade": config.degrade.model_copy(update={"style_db": 0.0})})
    model = build_model(config)

    def step(variables: dict, batch: Batch, key: jax.Array, number: jax.Array) -> Metrics:
        source, target = _pair(batch, key, config, number * batch["target"].shape[0])
        output, prediction = model.apply(variables, source, batch["length"])
        signal, terms = signal_loss(output, target, SAMPLE_RATE, config.loss)
        nothing, idle = signal_loss(source, target, SAMPLE_RATE, config.loss)
        found = {"signal": signal, **terms, "identity/signal": nothing} | {f"identity/{k}": v for k, v in idle.items()}
        return found | {"rendered_gain_db": jnp.mean(jnp.abs(prediction.settings.eq.rendered_gain_db))}

    return step
