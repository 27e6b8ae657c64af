"""Fit of the equalizer decoder to the corrections in z, by gradient descent without audio."""

from __future__ import annotations

import typing
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from nmjax.config import Config
from nmjax.dsp import response_db
from nmjax.losses import eq_response_loss, regularization
from nmjax.models import PHASES, SAMPLE_RATE, EqSettings, build_model
from nmjax.models.signal_format import LATENT_SIZE
from nmjax.models.spectral_features import BAND_CENTERS_HZ, NUM_BANDS
from nmjax.training.spectral_fit.estimator import DB_PER_Z, Curves, LinearEstimator
from nmjax.training.spectral_fit.excerpts import Features
from nmjax.training.spectral_fit.gate_labels import gate_label_loss, opening_benefit

DECODER_STEPS = 4000
_BATCH_SIZE, _LEARNING_RATE = 256, 2e-3
_MIN_STRENGTH, _MAX_STRENGTH = 0.3, 1.7  # random scale of z


class DecoderFit(NamedTuple):
    """Parameters of a fitted decoder, and the RMS distance of its response from the correction in dB."""

    params: dict
    distance_db: float


def fit_decoder(
    config: Config, variables: dict, estimator: LinearEstimator, features: Features, degradations: Curves
) -> DecoderFit:
    """The decoder whose bands render the correction in z; the regularizers keep gains small and gates few.

    Hard gates learn to open where their band is needed (`gate_labels.py`); their price is `loss.gate_l1` in dB².

    Args:
        config: Its seed, model and regularizer weights.
        variables: Initial variables of the model.
        estimator: Estimator of z.
        features: Features of mastered excerpts.
        degradations: Curves in dB that are added to the excerpts' spectra.
    """
    model = build_model(config)
    excerpt_z = jnp.asarray(features @ estimator.kernel + estimator.bias, jnp.float32)
    degradation_z = jnp.asarray(degradations / 10.0 @ estimator.kernel[:NUM_BANDS], jnp.float32)
    collections = {name: x for name, x in variables.items() if name != "params"}
    initial_params = _without_unused_inputs(variables["params"]["decoder"])
    centers_hz = jnp.asarray(BAND_CENTERS_HZ, jnp.float32)
    has_hard_gates = PHASES[config.phase].has_gates and config.model.gates == "hard"
    # Hard gates get labels instead of the prices.
    prices = config.loss.model_copy(update={"gate_l1": 0.0, "gate_entropy": 0.0}) if has_hard_gates else config.loss
    optimizer = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, DECODER_STEPS))

    def loss(params: dict, key: Key[Array, ""]) -> tuple[Array, Array]:
        z = _random_z(key, excerpt_z, degradation_z)
        eq, gate_logit = typing.cast(
            tuple[EqSettings, Array | None],
            model.apply(
                {"params": {"decoder": params}, **collections},
                z,
                method=lambda m, z: m.decoder(z),
                rngs={"gates": jax.random.fold_in(key, 1)},
            ),
        )
        correction_db = DB_PER_Z * z[:, :NUM_BANDS]
        distance = eq_response_loss(response_db(eq.bands(), centers_hz, SAMPLE_RATE), correction_db)
        penalty, _ = regularization(eq.gain_db, eq.q, gate_logit, prices, jnp.ones(()))
        if has_hard_gates:
            assert gate_logit is not None
            is_needed = opening_benefit(eq, correction_db, centers_hz) > config.loss.gate_l1
            penalty += gate_label_loss(gate_logit, is_needed)
        return distance + penalty, distance

    def step(carry, key):
        params, opt_state = carry
        (_, distance), grads = jax.value_and_grad(loss, has_aux=True)(params, key)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), distance

    keys = jax.random.split(jax.random.key(config.seed), DECODER_STEPS)
    carry = (initial_params, optimizer.init(initial_params))
    (params, _), distances = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))(carry)
    return DecoderFit(params, float(jnp.sqrt(jnp.mean(distances[-DECODER_STEPS // 20 :]))))


def _without_unused_inputs(params: dict) -> dict:
    """The decoder's parameters with zero weights on the values of z that the fit leaves random."""
    params = dict(params)
    for name in params.keys() & {"hidden_0", "selector"}:
        params[name] = params[name] | {"kernel": params[name]["kernel"].at[NUM_BANDS:].set(0.0)}
    return params


def _random_z(
    key: Key[Array, ""], excerpt_z: Float[Array, "excerpts bands"], degradation_z: Float[Array, "curves bands"]
) -> Float[Array, "batch latent"]:
    """z of random excerpts with random degradations, randomly scaled, and zeros for the other values of z."""
    excerpt_uniform, degradation_uniform, strength = (
        jax.random.uniform(k, (_BATCH_SIZE,)) for k in jax.random.split(key, 3)
    )
    z = (
        excerpt_z[(excerpt_uniform * len(excerpt_z)).astype(int)]
        + degradation_z[(degradation_uniform * len(degradation_z)).astype(int)]
    )
    z = z * (_MIN_STRENGTH + (_MAX_STRENGTH - _MIN_STRENGTH) * strength)[:, None]
    return jnp.pad(z, ((0, 0), (0, LATENT_SIZE - NUM_BANDS)))
