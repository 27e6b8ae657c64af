"""The train step and the validation step: pure functions, one compiled program each."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Float, Key

from nmjax.config import Config
from nmjax.dsp import Bands, response_db, third_octaves_db
from nmjax.dsp.auditory import THIRD_OCTAVES_HZ
from nmjax.losses import curve_distance, regularisation, signal_loss
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.models.stages import processing
from nmjax.training import augment, degrade
from nmjax.training.augment import Style
from nmjax.training.chance import draw_chances
from nmjax.training.state import TrainState, advanced, build_optimiser

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
CURVE_HZ = np.geomspace(20.0, 20_000.0, 200)
_CURVE_FROM_HZ = 25.0
_VALIDATION, _DROPOUT = 2**31 - 1, 2**31 - 2  # folded into the seed's key, where the data's orders are 0, 1, 2, …


@typing.no_type_check
@struct.dataclass
class Dice:
    """What chance is drawn from, beside the config's seed. order: int32, which of the orders of the data the run is in;
    another one means other faults too. style: how songs differ."""

    order: Array
    style: Style


def _pair(batch: Batch, chance: Float[Array, "batch numbers"], config: Config) -> tuple[Array, Array]:
    """(input, target) at the model's level; the input is made where none is given."""
    source = batch.get("input")
    if source is None:
        source = degrade.faulty(batch["target"], chance, config.degrade, SAMPLE_RATE)
    offset_db = degrade.level_offset_db(chance, config.degrade)
    return jax.lax.stop_gradient(degrade.at_level(source, batch["target"], offset_db, SAMPLE_RATE))


def _training_pair(
    batch: Batch, key: Key[Array, ""], style: Style, config: Config
) -> tuple[Array, Array, Array, Float[Array, "batch"]]:
    """(input, target, lengths, where the judged part lies) of a batch as it was read: augmented, then degraded."""
    faults = degrade.chances_needed(config.degrade)
    chance = draw_chances(key, batch["number"], faults + augment.chances_needed(style) + 1)
    batch = augment.augmented(batch, chance[:, faults:-1], config.augment, style, SAMPLE_RATE)
    return *_pair(batch, chance[:, :faults], config), batch["length"], chance[:, -1]


def _judged(
    source: Array, target: Array, lengths: Array, place: Float[Array, "batch"], config: Config
) -> tuple[Array, Array, Array]:
    """(input, target, lengths) of the stretch that is rendered; place: 0 to 1, of where it may begin."""
    size = min(round(config.loss.seconds * SAMPLE_RATE) or source.shape[1], source.shape[1])
    starts = (place * (jnp.maximum(lengths - size, 0) + 1)).astype(jnp.int32)
    cut = jax.vmap(lambda audio, start: jax.lax.dynamic_slice_in_dim(audio, start, size))
    return cut(source, starts), cut(target, starts), jnp.minimum(lengths, size)


def _signal(output: Array, source: Array, target: Array, bands: Bands | None, config: Config) -> tuple[Array, Metrics]:
    """The weighted sum of what is heard and, where it has a weight, of the curve's distance to the wanted one; each
    term. bands: the equaliser's, None for none."""
    signal, terms = signal_loss(output, target, SAMPLE_RATE, config.loss)
    if not config.loss.curve:
        return signal, terms
    kept = [i for i, f in enumerate(THIRD_OCTAVES_HZ) if _CURVE_FROM_HZ <= f <= min(config.loss.highest_hz, 16_000.0)]
    wanted_db = (third_octaves_db(target, SAMPLE_RATE) - third_octaves_db(source, SAMPLE_RATE))[:, 0, np.array(kept)]
    centres_hz = jnp.asarray(THIRD_OCTAVES_HZ, jnp.float32)[np.array(kept)]
    curve_db = jnp.zeros_like(wanted_db) if bands is None else response_db(bands, centres_hz, SAMPLE_RATE)
    terms = {**terms, "curve": curve_distance(curve_db, jax.lax.stop_gradient(wanted_db))}
    return signal + config.loss.curve * terms["curve"], terms


def _micro_batches(batch: Batch, count: int) -> Batch:
    """`[batch, …]` → `[count, batch / count, …]`, every count-th row together: no row leaves its device."""
    return {k: jnp.moveaxis(x.reshape(x.shape[0] // count, count, *x.shape[1:]), 1, 0) for k, x in batch.items()}


def _gradient(config: Config) -> Callable:
    """`(model variables, micro-batch, style, key of the data, key of dropout, share of the sparsity) → (gradients,
    changed statistics, metrics)`."""
    model = build_model(config)

    def loss_of(params, rest: dict, batch: Batch, style: Style, key, dropout_key, sparsity: Array):
        params = {k: jax.lax.stop_gradient(x) if k in config.train.frozen else x for k, x in params.items()}
        source, target, lengths, place = _training_pair(batch, key, style, config)
        part, target, part_lengths = _judged(source, target, lengths, place, config)
        (output, prediction), changed = model.apply(
            {"params": params, **rest},
            source,
            lengths,
            train=True,
            part=(part, part_lengths),
            rngs={"dropout": dropout_key},
            mutable=["batch_stats"],
        )
        eq = prediction.settings.eq
        heard, terms = _signal(output, part, target, eq.bands(), config)
        moved = processing(prediction.settings)
        cost, more = regularisation(eq.gain_db, eq.q, prediction.gate_logit, config.loss, sparsity, moved)
        return heard + cost, ({"loss": heard + cost, "signal": heard, **terms, **more}, changed)

    def gradient(variables: dict, *given):
        rest = {k: v for k, v in variables.items() if k != "params"}
        grads, (metrics, changed) = jax.grad(loss_of, has_aux=True)(variables["params"], rest, *given)
        return grads, changed, metrics

    return gradient


def _accumulated(config: Config) -> Callable:
    """`(state, batch, dice) → (model variables with new statistics, gradients, metrics)` over all micro-batches."""
    gradient, count = _gradient(config), config.train.accumulate

    def accumulated(state: TrainState, batch: Batch, dice: Dice):
        key = jax.random.fold_in(jax.random.key(config.seed), dice.order)
        dropout_key = jax.random.fold_in(jax.random.fold_in(key, _DROPOUT), state.step)
        sparsity = jnp.minimum(state.step / max(config.loss.sparsity_warmup, 1), 1.0)

        def one(variables: dict, micro: Batch, number: Array | int):
            drop = jax.random.fold_in(dropout_key, number)
            grads, changed, metrics = gradient(variables, micro, dice.style, key, drop, sparsity)
            return {**variables, **changed}, (grads, metrics)

        def add(carried, given):
            variables, total = carried
            variables, found = one(variables, *given)
            return (variables, jax.tree.map(lambda a, b: a + b / count, total, found)), None

        if count == 1:
            variables, found = one(state.model, batch, 0)
        else:
            parts = _micro_batches(batch, count)
            _, shapes = jax.eval_shape(one, state.model, {k: x[0] for k, x in parts.items()}, 0)
            total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
            (variables, found), _ = jax.lax.scan(add, (state.model, total), (parts, jnp.arange(count)))
        return variables, *found

    return accumulated


@cache  # one config is one program, compiled once a process
def make_train_step(config: Config) -> Callable[[TrainState, Batch, Dice], tuple[TrainState, Metrics]]:
    """`(state, batch, dice) → (state, metrics)`, to be jitted with the state donated.

    The batch has `target` and, for pairs, `input` `[batch, time, channel]`, `length` and `number` `[batch]`. With
    `train.accumulate` above 1 its micro-batches follow each other; BatchNorm's statistics are each micro-batch's own.
    Where the loss or a gradient is not finite, or the loss is a spike, everything but the counters stays as it was.
    """
    optimiser, accumulated = build_optimiser(config.train), _accumulated(config)

    def step(state: TrainState, batch: Batch, dice: Dice) -> tuple[TrainState, Metrics]:
        model, grads, metrics = accumulated(state, batch, dice)
        updates, opt_state = optimiser.update(grads, state.optimiser, state.model["params"])
        model = {**model, "params": optax.apply_updates(state.model["params"], updates)}
        norm = optax.tree.norm(grads)
        state = advanced(state, model, opt_state, metrics["loss"], norm, config.train)
        return state, metrics | {"gradient_norm": norm, "skipped": state.skipped, "in_row": state.in_row}

    return step


def jitted_train_step(config: Config, **shardings) -> Callable:
    """The train step, jitted with the state donated; `shardings` as for `jax.jit`."""
    return jax.jit(make_train_step(config), donate_argnums=0, compiler_options=compiler_options(), **shardings)


def compiler_options() -> dict | None:
    """For programs with a gradient through the network.

    XLA's CPU compiler takes out the barriers that keep a recomputed block apart from its first computation, and then
    merges the two, so that `model.remat` would change nothing there; those before convolutions (models/convolution.py)
    save time. Without that pass it keeps them, as elsewhere.
    """
    return {"xla_disable_hlo_passes": "cse_barrier_expander"} if jax.default_backend() == "cpu" else None


@cache
def make_validation_step(config: Config) -> Callable[[dict, Batch], tuple[Metrics, Batch]]:
    """`(variables, batch) → (metrics, sample)`, the same degradations every time, songs as they are.

    metrics: the signal terms of the output, and beside each, under `identity/…`, the same for the input as it is.
    sample: of the first excerpt `input`, `output`, `target` `[time, channel]`; `curve_db` `[points]`, the equaliser's
    response at CURVE_HZ; `wanted_db` `[31]`, by how much the target's third octaves (of mid) lie above the input's.
    """
    model = build_model(config)

    def step(variables: dict, batch: Batch) -> tuple[Metrics, Batch]:
        key = jax.random.fold_in(jax.random.key(config.seed), _VALIDATION)
        chance = draw_chances(key, batch["number"], degrade.chances_needed(config.degrade))
        source, target = _pair(batch, chance, config)
        whole, place = source, jnp.full(len(source), 0.5)
        source, target, lengths = _judged(whole, target, batch["length"], place, config)
        output, prediction = model.apply(variables, whole, batch["length"], part=(source, lengths))
        signal, terms = _signal(output, source, target, prediction.settings.eq.bands(), config)
        nothing, idle = _signal(source, source, target, None, config)
        found = {"signal": signal, **terms, "identity/signal": nothing} | {f"identity/{k}": v for k, v in idle.items()}
        eq = prediction.settings.eq
        curve_db = response_db(eq.bands(), jnp.asarray(CURVE_HZ, jnp.float32), SAMPLE_RATE)
        heard = {"input": source[0], "output": output[0], "target": target[0], "curve_db": curve_db[0]}
        levels = [third_octaves_db(x[:1], SAMPLE_RATE)[0, 0] for x in (target, source)]
        heard["wanted_db"] = levels[0] - levels[1]
        return found | {"rendered_gain_db": jnp.mean(jnp.abs(eq.rendered_gain_db))}, heard

    return step
