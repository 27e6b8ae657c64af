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
from nmjax.dsp import Bands, response_db, third_octave_spectrum_db
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.losses import eq_response_loss, regularization, signal_loss
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.models.processors import distance_from_neutral
from nmjax.training import augment, degrade
from nmjax.training.augment import EqDistribution
from nmjax.training.random_inputs import draw_uniforms
from nmjax.training.state import TrainState, apply_update, build_optimizer

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
RESPONSE_HZ = np.geomspace(20.0, 20_000.0, 200)
_RESPONSE_MIN_HZ = 25.0
_VALIDATION_FOLD, _DROPOUT_FOLD = (
    2**31 - 1,
    2**31 - 2,
)  # folded into the seed's key, where the data's orders are 0, 1, 2, …


@typing.no_type_check
@struct.dataclass
class RandomInputs:
    """What chance is drawn from, beside the config's seed. order: int32, which of the orders of the data the run is in;
    another one means other faults too. style: how songs differ."""

    shuffle_index: Array
    eq_distribution: EqDistribution


def _make_pair(batch: Batch, uniforms: Float[Array, "batch numbers"], config: Config) -> tuple[Array, Array]:
    """(input, target) at the model's level; the input is made where none is given."""
    source = batch.get("input")
    if source is None:
        source = degrade.degrade_batch(batch["target"], uniforms, config.degrade, SAMPLE_RATE)
    offset_db = degrade.level_offset_db(uniforms, config.degrade)
    return jax.lax.stop_gradient(degrade.normalize_pair(source, batch["target"], offset_db, SAMPLE_RATE))


def _make_training_pair(
    batch: Batch, key: Key[Array, ""], distribution: EqDistribution, config: Config
) -> tuple[Array, Array, Array, Float[Array, " batch"]]:
    """(input, target, lengths, where the judged part lies) of a batch as it was read: augmented, then degraded."""
    num_degrade = degrade.num_uniforms(config.degrade)
    uniforms = draw_uniforms(key, batch["number"], num_degrade + augment.num_uniforms(distribution) + 1)
    batch = augment.augment_batch(batch, uniforms[:, num_degrade:-1], config.augment, distribution, SAMPLE_RATE)
    return *_make_pair(batch, uniforms[:, :num_degrade], config), batch["length"], uniforms[:, -1]


def _crop_segment(
    source: Array, target: Array, lengths: Array, position: Float[Array, " batch"], config: Config
) -> tuple[Array, Array, Array]:
    """(input, target, lengths) of the stretch that is rendered; place: 0 to 1, of where it may begin."""
    size = min(round(config.loss.segment_seconds * SAMPLE_RATE) or source.shape[1], source.shape[1])
    starts = (position * (jnp.maximum(lengths - size, 0) + 1)).astype(jnp.int32)
    crop = jax.vmap(lambda audio, start: jax.lax.dynamic_slice_in_dim(audio, start, size))
    return crop(source, starts), crop(target, starts), jnp.minimum(lengths, size)


def _signal_objective(
    output: Array, source: Array, target: Array, bands: Bands | None, config: Config
) -> tuple[Array, Metrics]:
    """The weighted sum of what is heard and, where it has a weight, of the curve's distance to the wanted one; each
    term. bands: the equaliser's, None for none."""
    signal, terms = signal_loss(output, target, SAMPLE_RATE, config.loss)
    if not config.loss.eq_response:
        return signal, terms
    band_indices = [
        i for i, f in enumerate(THIRD_OCTAVES_HZ) if _RESPONSE_MIN_HZ <= f <= min(config.loss.max_hz, 16_000.0)
    ]
    target_response_db = (
        third_octave_spectrum_db(target, SAMPLE_RATE) - third_octave_spectrum_db(source, SAMPLE_RATE)
    )[:, 0, np.array(band_indices)]
    centers_hz = jnp.asarray(THIRD_OCTAVES_HZ, jnp.float32)[np.array(band_indices)]
    eq_response_db = (
        jnp.zeros_like(target_response_db) if bands is None else response_db(bands, centers_hz, SAMPLE_RATE)
    )
    terms = {**terms, "eq_response": eq_response_loss(eq_response_db, jax.lax.stop_gradient(target_response_db))}
    return signal + config.loss.eq_response * terms["eq_response"], terms


def _micro_batches(batch: Batch, count: int) -> Batch:
    """`[batch, …]` → `[count, batch / count, …]`, every count-th row together: no row leaves its device."""
    return {k: jnp.moveaxis(x.reshape(x.shape[0] // count, count, *x.shape[1:]), 1, 0) for k, x in batch.items()}


def _make_gradient_fn(config: Config) -> Callable:
    """`(model variables, micro-batch, style, key of the data, key of dropout, share of the sparsity) → (gradients,
    changed statistics, metrics)`."""
    model = build_model(config)

    def loss_of(
        params, collections: dict, batch: Batch, distribution: EqDistribution, key, dropout_key, l1_warmup: Array
    ):
        params = {k: jax.lax.stop_gradient(x) if k in config.train.frozen else x for k, x in params.items()}
        source, target, lengths, position = _make_training_pair(batch, key, distribution, config)
        segment, target, segment_lengths = _crop_segment(source, target, lengths, position, config)
        (output, prediction), new_stats = model.apply(
            {"params": params, **collections},
            source,
            lengths,
            train=True,
            part=(segment, segment_lengths),
            rngs={"dropout": dropout_key},
            mutable=["batch_stats"],
        )
        eq = prediction.settings.eq
        signal, terms = _signal_objective(output, segment, target, eq.bands(), config)
        neutral_distance = distance_from_neutral(prediction.settings)
        penalty, penalty_terms = regularization(
            eq.gain_db, eq.q, prediction.gate_logit, config.loss, l1_warmup, neutral_distance
        )
        return signal + penalty, ({"loss": signal + penalty, "signal": signal, **terms, **penalty_terms}, new_stats)

    def gradient(variables: dict, *args):
        collections = {k: v for k, v in variables.items() if k != "params"}
        grads, (metrics, new_stats) = jax.grad(loss_of, has_aux=True)(variables["params"], collections, *args)
        return grads, new_stats, metrics

    return gradient


def _make_accumulated_gradient_fn(config: Config) -> Callable:
    """`(state, batch, dice) → (model variables with new statistics, gradients, metrics)` over all micro-batches."""
    gradient, count = _make_gradient_fn(config), config.train.grad_accum_steps

    def accumulate(state: TrainState, batch: Batch, random_inputs: RandomInputs):
        key = jax.random.fold_in(jax.random.key(config.seed), random_inputs.shuffle_index)
        dropout_key = jax.random.fold_in(jax.random.fold_in(key, _DROPOUT_FOLD), state.step)
        l1_warmup = jnp.minimum(state.step / max(config.loss.gate_l1_warmup_steps, 1), 1.0)

        def micro_step(variables: dict, micro_batch: Batch, number: Array | int):
            micro_key = jax.random.fold_in(dropout_key, number)
            grads, new_stats, metrics = gradient(
                variables, micro_batch, random_inputs.eq_distribution, key, micro_key, l1_warmup
            )
            return {**variables, **new_stats}, (grads, metrics)

        def scan_step(carry, inputs):
            variables, total = carry
            variables, result = micro_step(variables, *inputs)
            return (variables, jax.tree.map(lambda a, b: a + b / count, total, result)), None

        if count == 1:
            variables, result = micro_step(state.variables, batch, 0)
        else:
            micro_batches = _micro_batches(batch, count)
            _, shapes = jax.eval_shape(micro_step, state.variables, {k: x[0] for k, x in micro_batches.items()}, 0)
            total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
            (variables, result), _ = jax.lax.scan(
                scan_step, (state.variables, total), (micro_batches, jnp.arange(count))
            )
        return variables, *result

    return accumulate


@cache  # one config is one program, compiled once a process
def make_train_step(config: Config) -> Callable[[TrainState, Batch, RandomInputs], tuple[TrainState, Metrics]]:
    """`(state, batch, dice) → (state, metrics)`, to be jitted with the state donated.

    The batch has `target` and, for pairs, `input` `[batch, time, channel]`, `length` and `number` `[batch]`. With
    `train.grad_accum_steps` above 1 its micro-batches follow each other; BatchNorm's statistics are each micro-batch's own.
    Where the loss or a gradient is not finite, or the loss is a spike, everything but the counters stays as it was.
    """
    optimizer, accumulate = build_optimizer(config.train), _make_accumulated_gradient_fn(config)

    def step(state: TrainState, batch: Batch, random_inputs: RandomInputs) -> tuple[TrainState, Metrics]:
        variables, grads, metrics = accumulate(state, batch, random_inputs)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.variables["params"])
        variables = {**variables, "params": optax.apply_updates(state.variables["params"], updates)}
        grad_norm = optax.tree.norm(grads)
        state = apply_update(state, variables, opt_state, metrics["loss"], grad_norm, config.train)
        return state, metrics | {
            "grad_norm": grad_norm,
            "skipped": state.skipped,
            "consecutive_skips": state.consecutive_skips,
        }

    return step


def jit_train_step(config: Config, **shardings) -> Callable:
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
        key = jax.random.fold_in(jax.random.key(config.seed), _VALIDATION_FOLD)
        uniforms = draw_uniforms(key, batch["number"], degrade.num_uniforms(config.degrade))
        source, target = _make_pair(batch, uniforms, config)
        full_input, position = source, jnp.full(len(source), 0.5)
        source, target, lengths = _crop_segment(full_input, target, batch["length"], position, config)
        output, prediction = model.apply(variables, full_input, batch["length"], part=(source, lengths))
        signal, terms = _signal_objective(output, source, target, prediction.settings.eq.bands(), config)
        identity_signal, identity_terms = _signal_objective(source, source, target, None, config)
        metrics = {"signal": signal, **terms, "identity/signal": identity_signal} | {
            f"identity/{k}": v for k, v in identity_terms.items()
        }
        eq = prediction.settings.eq
        eq_response_db = response_db(eq.bands(), jnp.asarray(RESPONSE_HZ, jnp.float32), SAMPLE_RATE)
        sample = {"input": source[0], "output": output[0], "target": target[0], "eq_response_db": eq_response_db[0]}
        levels = [third_octave_spectrum_db(x[:1], SAMPLE_RATE)[0, 0] for x in (target, source)]
        sample["target_response_db"] = levels[0] - levels[1]
        return metrics | {"rendered_gain_db": jnp.mean(jnp.abs(eq.rendered_gain_db))}, sample

    return step
