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
from nmjax.errors import BadInputError
from nmjax.losses import curve_distance, regularisation
from nmjax.models import SAMPLE_RATE, build_model
from nmjax.models.encoder import LATENT
from nmjax.models.spectral_encoder import BANDS, EDGES_HZ
from nmjax.training.degrade import envelope_powered
from nmjax.training.listen import SECONDS, albums, excerpts, heard_features, usable
from nmjax.training.ridge import folds, ridge
from nmjax.training.teach_stages import stages_taught

_RIDGE = 0.3  # beside standardised inputs
_COVARIANCE = 3.0  # what the rest's counts for, see above
_LEAST_DB2 = 0.5  # added to it
_Z_DB = 3.0  # of the correction, where z is 1
_COSINES, _CORNER, _FAULT_DB = 10, 5.0, 2.4  # see `random_faults`; the last is their RMS
_FAULTS = 4096
LESSONS = 4000  # steps of the decoder
_BATCH, _RATE = 256, 2e-3
CENTRES_HZ = np.sqrt(EDGES_HZ[1:] * EDGES_HZ[:-1])

Features = Float[np.ndarray, "items features"]
Curves = Float[np.ndarray, "curves bands"]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """z's first 54 numbers as kernel and bias over the features. rest_db: RMS of what the regression leaves, on albums
    it was not fitted to; spread_db: of the spectra about their mean."""

    kernel: Float[np.ndarray, "features bands"]
    bias: Float[np.ndarray, "bands"]
    rest_db: float
    spread_db: float


Heard = tuple[Features, Int[np.ndarray, "items"]]


def taught(
    config: Config, variables: dict, songs: Sequence[Song], report: Callable[[str], None], heard: Heard | None = None
) -> dict:
    """The variables of a phase with the spectral encoder, taught on songs. What is not taught (most of z, the residual,
    the saturator) stands as in `variables`.

    Args:
        heard: of the same songs, from `listened`, where several networks are taught on them.

    Raises:
        BadInputError: see `check_can_teach`, or fewer than two songs that sound.
    """
    check_can_teach(config)
    found, groups = heard or listened(songs, config, report)
    faults = random_faults(config.seed)
    estimate = fitted(found, groups, faults)
    report(
        f"{len(found)} excerpts in {groups.max() + 1} groups; their spectra differ by {estimate.spread_db:.1f} dB RMS, "
        f"from what is expected of such music by {estimate.rest_db:.1f} dB."
    )
    params = dict(variables["params"])
    out = params["encoder"]["out"]
    kernel, bias = out["kernel"].at[:, :BANDS].set(estimate.kernel), out["bias"].at[:BANDS].set(estimate.bias)
    params["encoder"] = {"out": {"kernel": kernel, "bias": bias}}
    params["decoder"], distance_db = _decoder_taught(config, variables, estimate, found, faults)
    report(f"The bells draw the wanted corrections to {distance_db:.2f} dB RMS.")
    if "stages" in params:
        params |= stages_taught(params, config, songs, report)
    return {**variables, "params": params}


def check_can_teach(config: Config) -> None:
    """Raises BadInputError for another encoder."""
    if config.model.encoder != "spectral":
        raise BadInputError("--teach is for model.encoder=spectral; add --config spectral.")


def check_enough(songs: Sequence[Song]) -> None:
    """Raises BadInputError where no album can be told from another."""
    if len({name for name, song in zip(albums(songs), songs, strict=True) if usable(song)}) < 2:
        raise BadInputError(
            f"Teaching needs two songs of {SECONDS:g} s or more, in two folders if there are any; give more music."
        )


def fitted(found: Features, groups: Int[np.ndarray, "items"], faults: Curves) -> Estimate:
    """The estimate of a fault's negative from features (tens of dB), as kernel and bias of z.

    Args:
        found: features of mastered excerpts.
        groups: which album each is of, from 0; the rest is found on albums that were left out.
        faults: curves in dB at the bands' centres.
    """
    spectrum, signs = 10.0 * found[:, :BANDS], found[:, BANDS:-1]
    start, scale = signs.mean(axis=0), signs.std(axis=0) + 1e-3
    signs = (signs - start) / scale
    fold = folds(groups)
    rest = np.zeros_like(spectrum)
    for k in np.unique(fold):
        mean, slope = ridge(signs[fold != k], spectrum[fold != k], _RIDGE)
        rest[fold == k] = spectrum[fold == k] - mean - signs[fold == k] @ slope
    mean, slope = ridge(signs, spectrum, _RIDGE)
    covariance = _COVARIANCE * rest.T @ rest / len(rest) + _LEAST_DB2 * np.eye(BANDS)
    of_faults = faults.T @ faults / len(faults)
    gain = np.linalg.solve(covariance + of_faults, of_faults)  # rest @ gain is the fault
    slope = slope / scale[:, None]
    kernel = np.concatenate([10.0 * np.eye(BANDS), -slope, np.zeros((1, BANDS))]) @ gain / -_Z_DB
    bias = (mean - start @ slope) @ gain / _Z_DB
    return Estimate(kernel, bias, float(np.sqrt(np.mean(rest**2))), float(spectrum.std(axis=0).mean()))


def random_faults(seed: int) -> Curves:
    """Smooth curves in dB at the bands' centres: sums of cosines over log frequency, whose amplitudes fall above the
    fifth (waves of 3.6 octaves); each one's mean is 0."""
    order = np.arange(1, _COSINES + 1)
    waves = np.cos(np.pi * order[:, None] * (np.arange(BANDS) + 0.5)[None] / BANDS)
    amplitudes = np.random.default_rng(seed).standard_normal((_FAULTS, _COSINES)) / (1.0 + (order / _CORNER) ** 2)
    curves = amplitudes @ waves
    return curves * _FAULT_DB / np.sqrt(np.mean(curves**2))


def listened(songs: Sequence[Song], config: Config, report: Callable[[str], None]) -> Heard:
    """Features of excerpts, each as it is and with its dynamics changed, and the album of each (the song where there
    are no albums)."""
    check_enough(songs)
    hear = jax.jit(lambda audio, exponent: heard_features(envelope_powered(audio, exponent)))
    draw = np.random.default_rng(config.seed)
    names = albums(songs)
    rows, groups = [], []
    for number, song in enumerate(songs):
        for audio in excerpts(song, mono=True):
            exponent = np.array([0.0, draw.uniform(-1.0, 1.0) * config.degrade.dynamics], np.float32)
            rows += list(np.asarray(hear(jnp.asarray(np.repeat(audio[None], 2, axis=0)), exponent), np.float64))
            groups += [names[number]] * 2
        if (number + 1) % 50 == 0:
            report(f"Heard {number + 1} of {len(songs)} songs.")
    return np.stack(rows), np.unique(groups, return_inverse=True)[1]


def _decoder_taught(
    config: Config, variables: dict, estimate: Estimate, found: Features, faults: Curves
) -> tuple[dict, float]:
    """The decoder's parameters, and how far its curves are from the wanted ones (dB RMS)."""
    model, centres_hz = build_model(config), jnp.asarray(CENTRES_HZ, jnp.float32)
    usual = jnp.asarray(found @ estimate.kernel + estimate.bias, jnp.float32)
    moved = jnp.asarray(faults / 10.0 @ estimate.kernel[:BANDS], jnp.float32)
    rest = {k: v for k, v in variables.items() if k != "params"}
    start = dict(variables["params"]["decoder"])
    for name in start.keys() & {"hidden_0", "selector"}:  # the rest of z says nothing yet
        start[name] = start[name] | {"kernel": start[name]["kernel"].at[BANDS:].set(0.0)}
    optimiser = optax.adam(optax.cosine_decay_schedule(_RATE, LESSONS))

    def loss_of(params, key):
        places, others, strength = (jax.random.uniform(k, (_BATCH,)) for k in jax.random.split(key, 3))
        z = usual[(places * len(usual)).astype(int)] + moved[(others * len(moved)).astype(int)]
        z = z * (0.3 + 1.4 * strength)[:, None]
        z = jnp.pad(z, ((0, 0), (0, LATENT - BANDS)))
        eq, gate_logit = model.apply({"params": {"decoder": params}, **rest}, z, method=lambda m, z: m.decoder(z))
        distance = curve_distance(response_db(eq.bands(), centres_hz, SAMPLE_RATE), _Z_DB * z[:, :BANDS])
        cost, _ = regularisation(eq.gain_db, eq.q, gate_logit, config.loss, jnp.ones(()))
        return distance + cost, distance

    def step(carry, key):
        params, state = carry
        (_, distance), slope = jax.value_and_grad(loss_of, has_aux=True)(params, key)
        updates, state = optimiser.update(slope, state)
        return (optax.apply_updates(params, updates), state), distance

    keys = jax.random.split(jax.random.key(config.seed), LESSONS)
    (params, _), distances = jax.jit(lambda c: jax.lax.scan(step, c, keys))((start, optimiser.init(start)))
    return params, float(jnp.sqrt(jnp.mean(distances[-LESSONS // 20 :])))
