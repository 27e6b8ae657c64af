"""Teaching the spectral encoder and the bands from levels alone: minutes where training in audio takes hours.

An equaliser moves a song's long-term levels by its curve, and leaves alone how they move and how noisy they are. So:

1. What spectrum does such music have? A ridge regression from what no equaliser changes to the spectrum.
2. What of the rest is the fault? With covariances C of what the regression leaves (found on albums that it was not
   fitted to) and F of the faults, the best linear estimate is F (C + F)⁻¹ · rest (Wiener; Gaussian conditioning).
   C counts three times: unseen music lies further from the known than known albums from each other.
3. The first 54 numbers of z are the correction, the estimate's negative. The decoder learns to draw it with its bells,
   by gradient descent on the curves' distance and the regularisers, which tell 1C's gates to be few and decided.

Everything but the last is closed form. docs/results.md has what each part is worth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from nmjax.config import Config
from nmjax.data import Song
from nmjax.dsp import response_db
from nmjax.losses import eq_response_loss, regularization
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.models.encoder import LATENT_SIZE
from nmjax.models.spectral_encoder import BAND_EDGES_HZ, NUM_BANDS
from nmjax.runtime.errors import BadInputError
from nmjax.training.degrade import expand_dynamics
from nmjax.training.spectral_fit.features import (
    EXCERPT_SECONDS,
    album_names,
    excerpt_features,
    is_usable,
    read_excerpts,
)
from nmjax.training.spectral_fit.processors import fit_processors
from nmjax.training.spectral_fit.ridge import fit_ridge, group_folds

_RIDGE_PENALTY = 0.3  # beside standardised inputs
_COVARIANCE_SCALE = 3.0  # what the rest's counts for, see above
_MIN_VARIANCE_DB2 = 0.5  # added to it
_DB_PER_Z = 3.0  # of the correction, where z is 1
_NUM_COSINES, _CORNER_ORDER, _DEGRADATION_RMS_DB = 10, 5.0, 2.4  # see `random_faults`; the last is their RMS
_NUM_DEGRADATIONS = 4096
DECODER_STEPS = 4000  # steps of the decoder
_BATCH_SIZE, _LEARNING_RATE = 256, 2e-3
BAND_CENTERS_HZ = np.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1])

Features = Float[np.ndarray, "items features"]
Curves = Float[np.ndarray, "curves bands"]


@dataclasses.dataclass(frozen=True)
class LinearEstimator:
    """z's first 54 numbers as kernel and bias over the features. rest_db: RMS of what the regression leaves, on albums
    it was not fitted to; spread_db: of the spectra about their mean."""

    kernel: Float[np.ndarray, "features bands"]
    bias: Float[np.ndarray, " bands"]
    residual_rms_db: float
    spectrum_std_db: float


GroupedFeatures = tuple[Features, Int[np.ndarray, " items"]]


def fit_spectral_variables(
    config: Config,
    variables: dict,
    songs: Sequence[Song],
    report: Callable[[str], None],
    grouped_features: GroupedFeatures | None = None,
) -> dict:
    """The variables of a phase with the spectral encoder, taught on songs. What is not taught (most of z, the residual,
    the saturator) stands as in `variables`.

    Args:
        heard: of the same songs, from `listened`, where several networks are taught on them.

    Raises:
        BadInputError: see `check_can_teach`, or fewer than two songs that sound.
    """
    check_spectral_encoder(config)
    features, groups = grouped_features or extract_features(songs, config, report)
    degradations = random_degradation_curves(config.seed)
    estimate = fit_estimator(features, groups, degradations)
    report(
        f"{len(features)} excerpts in {groups.max() + 1} groups; their spectra differ by {estimate.spectrum_std_db:.1f} dB RMS, "
        f"from what is expected of such music by {estimate.residual_rms_db:.1f} dB."
    )
    params = dict(variables["params"])
    latent_dense = params["encoder"]["out"]
    kernel, bias = (
        latent_dense["kernel"].at[:, :NUM_BANDS].set(estimate.kernel),
        latent_dense["bias"].at[:NUM_BANDS].set(estimate.bias),
    )
    params["encoder"] = {"out": {"kernel": kernel, "bias": bias}}
    params["decoder"], distance_db = _fit_decoder(config, variables, estimate, features, degradations)
    report(f"The bells draw the wanted corrections to {distance_db:.2f} dB RMS.")
    if "processors" in params:
        params |= fit_processors(params, config, songs, report)
    return {**variables, "params": params}


def check_spectral_encoder(config: Config) -> None:
    """Raises BadInputError for another encoder."""
    if config.model.encoder != "spectral":
        raise BadInputError("--fit-spectral is for model.encoder=spectral; add --config spectral.")


def check_enough_albums(songs: Sequence[Song]) -> None:
    """Raises BadInputError where no album can be told from another."""
    if len({name for name, song in zip(album_names(songs), songs, strict=True) if is_usable(song)}) < 2:
        raise BadInputError(
            f"Teaching needs two songs of {EXCERPT_SECONDS:g} s or more, in two folders if there are any; give more music."
        )


def fit_estimator(features: Features, groups: Int[np.ndarray, " items"], degradations: Curves) -> LinearEstimator:
    """The estimate of a fault's negative from features (tens of dB), as kernel and bias of z.

    Args:
        found: features of mastered excerpts.
        groups: which album each is of, from 0; the rest is found on albums that were left out.
        faults: curves in dB at the bands' centres.
    """
    spectrum, predictors = 10.0 * features[:, :NUM_BANDS], features[:, NUM_BANDS:-1]
    offset, scale = predictors.mean(axis=0), predictors.std(axis=0) + 1e-3
    predictors = (predictors - offset) / scale
    fold = group_folds(groups)
    residual = np.zeros_like(spectrum)
    for k in np.unique(fold):
        mean, slope = fit_ridge(predictors[fold != k], spectrum[fold != k], _RIDGE_PENALTY)
        residual[fold == k] = spectrum[fold == k] - mean - predictors[fold == k] @ slope
    mean, slope = fit_ridge(predictors, spectrum, _RIDGE_PENALTY)
    covariance = _COVARIANCE_SCALE * residual.T @ residual / len(residual) + _MIN_VARIANCE_DB2 * np.eye(NUM_BANDS)
    degradation_covariance = degradations.T @ degradations / len(degradations)
    wiener_gain = np.linalg.solve(
        covariance + degradation_covariance, degradation_covariance
    )  # rest @ gain is the fault
    slope = slope / scale[:, None]
    kernel = np.concatenate([10.0 * np.eye(NUM_BANDS), -slope, np.zeros((1, NUM_BANDS))]) @ wiener_gain / -_DB_PER_Z
    bias = (mean - offset @ slope) @ wiener_gain / _DB_PER_Z
    return LinearEstimator(kernel, bias, float(np.sqrt(np.mean(residual**2))), float(spectrum.std(axis=0).mean()))


def random_degradation_curves(seed: int) -> Curves:
    """Smooth curves in dB at the bands' centres: sums of cosines over log frequency, whose amplitudes fall above the
    fifth (waves of 3.6 octaves); each one's mean is 0."""
    order = np.arange(1, _NUM_COSINES + 1)
    cosines = np.cos(np.pi * order[:, None] * (np.arange(NUM_BANDS) + 0.5)[None] / NUM_BANDS)
    amplitudes = np.random.default_rng(seed).standard_normal((_NUM_DEGRADATIONS, _NUM_COSINES)) / (
        1.0 + (order / _CORNER_ORDER) ** 2
    )
    curves = amplitudes @ cosines
    return curves * _DEGRADATION_RMS_DB / np.sqrt(np.mean(curves**2))


def extract_features(songs: Sequence[Song], config: Config, report: Callable[[str], None]) -> GroupedFeatures:
    """Features of excerpts, each as it is and with its dynamics changed, and the album of each (the song where there
    are no albums)."""
    check_enough_albums(songs)
    compute_features = jax.jit(lambda audio, exponent: excerpt_features(expand_dynamics(audio, exponent)))
    rng = np.random.default_rng(config.seed)
    labels = album_names(songs)
    rows, groups = [], []
    for number, song in enumerate(songs):
        for audio in read_excerpts(song, mono=True):
            exponent = np.array([0.0, rng.uniform(-1.0, 1.0) * config.degrade.expansion], np.float32)
            rows += list(
                np.asarray(compute_features(jnp.asarray(np.repeat(audio[None], 2, axis=0)), exponent), np.float64)
            )
            groups += [labels[number]] * 2
        if (number + 1) % 50 == 0:
            report(f"Heard {number + 1} of {len(songs)} songs.")
    return np.stack(rows), np.unique(groups, return_inverse=True)[1]


def _fit_decoder(
    config: Config, variables: dict, estimate: LinearEstimator, features: Features, degradations: Curves
) -> tuple[dict, float]:
    """The decoder's parameters, and how far its curves are from the wanted ones (dB RMS)."""
    model, centers_hz = build_model(config), jnp.asarray(BAND_CENTERS_HZ, jnp.float32)
    base_z = jnp.asarray(features @ estimate.kernel + estimate.bias, jnp.float32)
    degradation_z = jnp.asarray(degradations / 10.0 @ estimate.kernel[:NUM_BANDS], jnp.float32)
    collections = {k: v for k, v in variables.items() if k != "params"}
    initial_params = dict(variables["params"]["decoder"])
    for name in initial_params.keys() & {"hidden_0", "selector"}:  # the rest of z says nothing yet
        initial_params[name] = initial_params[name] | {"kernel": initial_params[name]["kernel"].at[NUM_BANDS:].set(0.0)}
    optimizer = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, DECODER_STEPS))

    def loss_of(params, key):
        base_uniform, degradation_uniform, strength = (
            jax.random.uniform(k, (_BATCH_SIZE,)) for k in jax.random.split(key, 3)
        )
        z = (
            base_z[(base_uniform * len(base_z)).astype(int)]
            + degradation_z[(degradation_uniform * len(degradation_z)).astype(int)]
        )
        z = z * (0.3 + 1.4 * strength)[:, None]
        z = jnp.pad(z, ((0, 0), (0, LATENT_SIZE - NUM_BANDS)))
        eq, gate_logit = model.apply(
            {"params": {"decoder": params}, **collections}, z, method=lambda m, z: m.decoder(z)
        )
        distance = eq_response_loss(response_db(eq.bands(), centers_hz, SAMPLE_RATE), _DB_PER_Z * z[:, :NUM_BANDS])
        penalty, _ = regularization(eq.gain_db, eq.q, gate_logit, config.loss, jnp.ones(()))
        return distance + penalty, distance

    def step(carry, key):
        params, opt_state = carry
        (_, distance), grads = jax.value_and_grad(loss_of, has_aux=True)(params, key)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), distance

    keys = jax.random.split(jax.random.key(config.seed), DECODER_STEPS)
    (params, _), distances = jax.jit(lambda c: jax.lax.scan(step, c, keys))(
        (initial_params, optimizer.init(initial_params))
    )
    return params, float(jnp.sqrt(jnp.mean(distances[-DECODER_STEPS // 20 :])))
