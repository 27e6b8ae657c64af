"""The train step: a pure function, one compiled program."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jaxtyping import Array, Float, Int, Key

from nmjax.config import Config
from nmjax.dsp import Bands, response_db, third_octave_spectrum_db
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.losses import eq_response_loss, regularization, relative_error_loss, signal_loss
from nmjax.models import SAMPLE_RATE, MasteringModel, Prediction, build_model
from nmjax.models.processors import distance_from_neutral
from nmjax.training import augment, degrade
from nmjax.training.augment import AugmentationDraws, EqDistribution
from nmjax.training.damage import damage_batch
from nmjax.training.degrade import DegradationDraws
from nmjax.training.random_inputs import draw_uniforms, per_example
from nmjax.training.state import TrainState, apply_update, build_optimizer, stop_frozen_gradients, young_decay

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
_RESPONSE_MIN_HZ, _RESPONSE_MAX_HZ = 25.0, 16_000.0  # of the loss term eq_response
# Folded into the seed's key; the shuffle indices 0, 1, 2, … are folded in too, so these are far away from them.
VALIDATION_FOLD, _DROPOUT_FOLD = 2**31 - 1, 2**31 - 2


@typing.no_type_check
class RandomInputs(struct.PyTreeNode):
    """Random inputs of the train step besides the config's seed.

    Attributes:
        shuffle_index: int32, index of the data order. Another order also draws other degradations.
        eq_distribution: Distribution of the random EQ of the augmentation.
    """

    shuffle_index: Array
    eq_distribution: EqDistribution


@typing.no_type_check
class ExampleDraws(struct.PyTreeNode):
    """Uniform numbers in [0, 1) for each example of a batch.

    Attributes:
        degradation, augmentation: See there.
        crop_position: `[batch]`, position of the rendered segment within the excerpt.
    """

    degradation: DegradationDraws
    augmentation: AugmentationDraws
    crop_position: Array


class Pair(NamedTuple):
    """Input and target of a batch at the model's level, `[batch, time, channel]`, and their valid samples `[batch]`."""

    source: Array
    target: Array
    lengths: Array


class LossInputs(NamedTuple):
    """Inputs of the loss besides the variables and the batch.

    Attributes:
        eq_distribution: Distribution of the random EQ of the augmentation.
        data_key: Key of the degradation and the augmentation.
        dropout_key: Key of dropout and of hard gates.
        gate_l1_warmup: Current share of the weight of the gates' L1 term, 0 to 1.
        statistics_decay: Current decay of BatchNorm's running statistics, at most `model.bn_momentum`.
    """

    eq_distribution: EqDistribution
    data_key: Key[Array, ""]
    dropout_key: Key[Array, ""]
    gate_l1_warmup: Array
    statistics_decay: Array


def make_pair(batch: Batch, draws: DegradationDraws, config: Config) -> Pair:
    """Input and target at the model's level; without a given input, the degraded target is the input."""
    source = batch.get("input")
    if source is None:
        source = degrade.degrade_batch(batch["target"], draws, config.degrade, SAMPLE_RATE)
    offset_db = degrade.level_offset_db(draws, config.degrade)
    pair = degrade.normalize_pair(source, batch["target"], offset_db, SAMPLE_RATE)
    if draws.damage is not None:
        damaged = damage_batch(pair[0], draws.damage, config.degrade)
        pair = degrade.normalize_damaged_pair(damaged, pair[1], offset_db, SAMPLE_RATE)
    return Pair(*jax.lax.stop_gradient(pair), batch["length"])


def crop_segment(pair: Pair, position: Float[Array, " batch"], config: Config) -> Pair:
    """The segment of each excerpt that is rendered and enters the loss, `loss.segment_seconds` long (0: all of it).

    Args:
        pair: Whole excerpts.
        position: 0 to 1, first to last possible start.
        config: Its `loss.segment_seconds`.
    """
    time = pair.source.shape[1]
    size = min(round(config.loss.segment_seconds * SAMPLE_RATE) or time, time)
    starts = (position * (jnp.maximum(pair.lengths - size, 0) + 1)).astype(jnp.int32)
    crop = jax.vmap(lambda audio, start: jax.lax.dynamic_slice_in_dim(audio, start, size))
    return Pair(crop(pair.source, starts), crop(pair.target, starts), jnp.minimum(pair.lengths, size))


def signal_objective(
    output: Float[Array, "batch time channel"], pair: Pair, bands: Bands | None, config: Config
) -> tuple[Array, Metrics]:
    """The weighted sum of the signal terms and, if they have a weight, of `relative_error` and `eq_response`; and each
    term by name.

    `eq_response` is the distance between the equalizer's response and the difference of the third-octave spectra of
    target and input. `bands` are the equalizer's; None for a flat response.
    """
    signal, terms = signal_loss(output, pair.target, SAMPLE_RATE, config.loss)
    if config.loss.relative_error:
        terms = {**terms, "relative_error": relative_error_loss(output, pair.target, pair.source)}
        signal += config.loss.relative_error * terms["relative_error"]
    if not config.loss.eq_response:
        return signal, terms
    max_hz = min(config.loss.max_hz, _RESPONSE_MAX_HZ)
    indices = np.array([i for i, f in enumerate(THIRD_OCTAVES_HZ) if _RESPONSE_MIN_HZ <= f <= max_hz])
    target_response_db = (
        third_octave_spectrum_db(pair.target, SAMPLE_RATE) - third_octave_spectrum_db(pair.source, SAMPLE_RATE)
    )[:, 0, indices]
    centers_hz = jnp.asarray(THIRD_OCTAVES_HZ, jnp.float32)[indices]
    eq_response_db = (
        jnp.zeros_like(target_response_db) if bands is None else response_db(bands, centers_hz, SAMPLE_RATE)
    )
    terms = {**terms, "eq_response": eq_response_loss(eq_response_db, jax.lax.stop_gradient(target_response_db))}
    return signal + config.loss.eq_response * terms["eq_response"], terms


def _draw_examples(batch: Batch, inputs: LossInputs, config: Config) -> ExampleDraws:
    shapes = ExampleDraws(
        degradation=degrade.degradation_shapes(config.degrade),
        augmentation=augment.augmentation_shapes(inputs.eq_distribution),
        crop_position=per_example(),
    )
    return draw_uniforms(inputs.data_key, batch["number"], shapes)


def _loss(
    params: dict, collections: dict, batch: Batch, inputs: LossInputs, *, model: MasteringModel, config: Config
) -> tuple[Array, tuple[Metrics, dict]]:
    """The loss of a micro-batch as it was read, and (metrics, updated BatchNorm statistics)."""
    params = stop_frozen_gradients(params, config.train.frozen)
    draws = _draw_examples(batch, inputs, config)
    batch = augment.augment_batch(batch, draws.augmentation, config.augment, inputs.eq_distribution, SAMPLE_RATE)
    pair = make_pair(batch, draws.degradation, config)
    segment = crop_segment(pair, draws.crop_position, config)
    (output, prediction), new_stats = typing.cast(
        tuple[tuple[Array, Prediction], dict],
        model.apply(
            {"params": params, **collections},
            pair.source,
            pair.lengths,
            train=True,
            segment=(segment.source, segment.lengths),
            rngs={"dropout": inputs.dropout_key, "gates": inputs.dropout_key},
            mutable=["batch_stats"],
        ),
    )
    eq = prediction.settings.eq
    signal, terms = signal_objective(output, segment, eq.bands(), config)
    penalty, penalty_terms = regularization(
        eq.gain_db,
        eq.q,
        prediction.gate_logit,
        config.loss,
        inputs.gate_l1_warmup,
        distance_from_neutral(prediction.settings),
    )
    loss = signal + penalty
    return loss, ({"loss": loss, "signal": signal, **terms, **penalty_terms}, new_stats)


class _Gradients(NamedTuple):
    """Gradients of the parameters, and metrics of the same batch."""

    grads: dict
    metrics: Metrics


def _gradients(
    variables: dict, batch: Batch, inputs: LossInputs, *, model: MasteringModel, config: Config
) -> tuple[dict, _Gradients]:
    """The variables with new BatchNorm statistics, and the gradients of one micro-batch."""
    collections = {name: x for name, x in variables.items() if name != "params"}
    loss = partial(_loss, model=model, config=config)
    grads, (metrics, new_stats) = jax.grad(loss, has_aux=True)(variables["params"], collections, batch, inputs)
    # BatchNorm's variances start at 1, far above those of audio. At a decay of 0.95 a new residual was louder than the
    # music in the validation after 50 steps, and better than nothing after 100.
    scale = (1.0 - inputs.statistics_decay) / (1.0 - config.model.bn_momentum)
    old_stats = {name: collections[name] for name in new_stats}
    young_stats = jax.tree.map(lambda old, new: old + scale * (new - old), old_stats, dict(new_stats))
    return {**variables, **young_stats}, _Gradients(grads, metrics)


def _micro_batches(batch: Batch, count: int) -> Batch:
    """`[batch, …]` → `[count, batch / count, …]`. Row i goes to micro-batch i modulo `count`: no row changes device."""
    return {k: jnp.moveaxis(x.reshape(x.shape[0] // count, count, *x.shape[1:]), 1, 0) for k, x in batch.items()}


def _accumulate_gradients(
    state: TrainState, batch: Batch, random_inputs: RandomInputs, *, model: MasteringModel, config: Config
) -> tuple[dict, _Gradients]:
    """The variables with new BatchNorm statistics, and the mean gradients and metrics over all micro-batches."""
    data_key = jax.random.fold_in(jax.random.key(config.seed), random_inputs.shuffle_index)
    dropout_key = jax.random.fold_in(jax.random.fold_in(data_key, _DROPOUT_FOLD), state.step)
    gate_l1_warmup = jnp.minimum(state.step / max(config.loss.gate_l1_warmup_steps, 1), 1.0)

    def micro_step(variables: dict, micro_batch: Batch, number: Int[Array, ""] | int) -> tuple[dict, _Gradients]:
        inputs = LossInputs(
            eq_distribution=random_inputs.eq_distribution,
            data_key=data_key,
            dropout_key=jax.random.fold_in(dropout_key, number),
            gate_l1_warmup=gate_l1_warmup,
            statistics_decay=young_decay(config.model.bn_momentum, state.good_updates),
        )
        return _gradients(variables, micro_batch, inputs, model=model, config=config)

    count = config.train.grad_accum_steps
    if count == 1:
        return micro_step(state.variables, batch, 0)

    def scan_step(carry, inputs):
        variables, total = carry
        variables, result = micro_step(variables, *inputs)
        return (variables, jax.tree.map(lambda a, b: a + b / count, total, result)), None

    micro_batches = _micro_batches(batch, count)
    _, shapes = jax.eval_shape(micro_step, state.variables, {k: x[0] for k, x in micro_batches.items()}, 0)
    total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    carry, _ = jax.lax.scan(scan_step, (state.variables, total), (micro_batches, jnp.arange(count)))
    return carry


@cache  # each config compiles its step once per process
def make_train_step(config: Config) -> Callable[[TrainState, Batch, RandomInputs], tuple[TrainState, Metrics]]:
    """The function `(state, batch, random_inputs) → (state, metrics)`, to be jitted with the state donated.

    The batch has `target` and, for pairs, `input` `[batch, time, channel]`, `length` and `number` `[batch]`. With
    `train.grad_accum_steps` above 1, its micro-batches run one after another, each with its own BatchNorm statistics.
    An update is skipped as described in `apply_update`.
    """
    model, optimizer = build_model(config), build_optimizer(config.train)

    def step(state: TrainState, batch: Batch, random_inputs: RandomInputs) -> tuple[TrainState, Metrics]:
        variables, result = _accumulate_gradients(state, batch, random_inputs, model=model, config=config)
        updates, opt_state = optimizer.update(result.grads, state.opt_state, state.variables["params"])
        variables = {**variables, "params": optax.apply_updates(state.variables["params"], updates)}
        grad_norm = optax.tree.norm(result.grads)
        state = apply_update(state, variables, opt_state, result.metrics["loss"], grad_norm, config.train)
        return state, result.metrics | {
            "grad_norm": grad_norm,
            "skipped": state.skipped,
            "consecutive_skips": state.consecutive_skips,
        }

    return step


def jit_train_step(config: Config, **shardings) -> jax.stages.Wrapped:
    """The train step, jitted with the state donated; `shardings` as for `jax.jit`."""
    return jax.jit(make_train_step(config), donate_argnums=0, compiler_options=compiler_options(), **shardings)


def compiler_options() -> dict | None:
    """XLA options for programs with a gradient through the network.

    XLA's CPU compiler removes the optimization barriers that separate a recomputed block from its first computation,
    and then merges the two: `model.remat` would have no effect on a CPU. Barriers before convolutions
    (models/fast_conv.py) save time. Without that pass the compiler keeps them, as on other devices.
    """
    return {"xla_disable_hlo_passes": "cse_barrier_expander"} if jax.default_backend() == "cpu" else None
