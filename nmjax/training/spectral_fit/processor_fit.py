"""Fit of phase 2's processor decoders to degraded excerpts, in closed form.

Training's own degradations are known: the exponent of the dynamics and the gain of the side. Ridge regressions from the
features of mid and side predict both; where they explain little, they change little. Three values of z hold the
predictions, and the decoders turn them into settings:

- The dynamics of an envelope raised to the power 1 + e are undone best by a compressor with the threshold and the times
  below and a slope of 0.87·e (a ratio below 1, an expander, for e below 0). This was found by gradient descent on audio
  with known e, for 80 excerpts of training songs. It halves the error of the multi-resolution STFT.
- A side that is too loud by d dB is undone by the width 10^(−d/20) in both bands.

The saturator stays neutral, since training has no degradation that it could undo. Almost nothing of the dynamics can be
predicted (docs/results/results.md): what remains is their mean, a little expansion, and so a little compression of
every song.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nmjax.config import Config
from nmjax.data import Song
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.processors import PROCESSORS
from nmjax.models.spectral_features import NUM_BANDS
from nmjax.training import degrade
from nmjax.training.random_inputs import num_uniforms, split_uniforms
from nmjax.training.spectral_fit.excerpts import PROGRESS_SONGS, album_names, excerpt_features, read_excerpts
from nmjax.training.spectral_fit.ridge import fit_ridge, held_out_residuals

DEGRADATIONS_PER_EXCERPT = 2
_RIDGE_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)  # candidates, for standardized inputs
_COMPRESSOR_SETTINGS = {"threshold_db": -22.4, "attack_ms": 6.0, "release_ms": 60.0, "knee_db": 4.0}
_SLOPE_PER_EXPONENT = 0.87  # slope of the compressor for an exponent of 1
_TYPICAL_LEVEL_DB = -17.0  # level of music at −20 LUFS, on the compressor's scale
_EXPONENT_INDEX = NUM_BANDS  # indices into z: exponent and side gain from mid …
_MID_GAIN_INDEX = NUM_BANDS + 1
_SIDE_GAIN_INDEX = NUM_BANDS + 2  # … and side gain from the side, read from z of the side
_EXPONENT_PER_Z, _DB_PER_Z = 0.1, 3.0  # where z is 1


@dataclasses.dataclass(frozen=True)
class DegradedExcerpts:
    """Features of degraded excerpts, and their degradations.

    Attributes:
        mid_features, side_features: Features of mid and side.
        exponent: Exponent of the dynamics.
        side_gain_db: Gain of the side.
        is_stereo: Whether the excerpt has a side.
        groups: Album of each excerpt, numbered from 0.
    """

    mid_features: Float[np.ndarray, "excerpts features"]
    side_features: Float[np.ndarray, "excerpts features"]
    exponent: Float[np.ndarray, " excerpts"]
    side_gain_db: Float[np.ndarray, " excerpts"]
    is_stereo: Float[np.ndarray, " excerpts"]
    groups: Int[np.ndarray, " excerpts"]


class LinearFit(NamedTuple):
    """A linear prediction inputs @ kernel + bias, and its R² on held-out albums."""

    kernel: Float[np.ndarray, " inputs"]
    bias: float
    r_squared: float


def fit_processors(params: dict, config: Config, songs: Sequence[Song], report: Callable[[str], None]) -> dict:
    """The parameters of the encoder and of the processors' decoders, fitted to degraded excerpts of songs.

    Args:
        params: Parameters of a phase with processors and the spectral encoder.
        config: Its seed and degradations.
        songs: Mastered music.
        report: Called with messages about the progress and the result.
    """
    return fit_processor_params(params, extract_degraded_features(config, songs, report), report)


def fit_processor_params(params: dict, degraded: DegradedExcerpts, report: Callable[[str], None]) -> dict:
    """As `fit_processors`, from the features of degraded excerpts."""
    is_stereo = degraded.is_stereo > 0.0
    mid_side_features = np.concatenate([degraded.mid_features, degraded.side_features], axis=1)
    exponent = fit_best_ridge(degraded.mid_features, degraded.exponent, degraded.groups)
    side = fit_best_ridge(mid_side_features[is_stereo], degraded.side_gain_db[is_stereo], degraded.groups[is_stereo])
    report(
        f"On held-out albums, the fit explains {100.0 * exponent.r_squared:.0f} % of the variance of the dynamics and "
        f"{100.0 * side.r_squared:.0f} % of that of the side gain."
    )
    mid_kernel, side_kernel = np.split(side.kernel, 2)
    units = np.array([_EXPONENT_PER_Z, _DB_PER_Z, _DB_PER_Z])
    kernels = np.stack([exponent.kernel, mid_kernel, side_kernel], axis=1) / units
    biases = np.array([exponent.bias, side.bias, 0.0]) / units
    latent_dense = params["encoder"]["out"]
    columns = slice(_EXPONENT_INDEX, _SIDE_GAIN_INDEX + 1)
    latent_dense = {
        "kernel": latent_dense["kernel"].at[:, columns].set(jnp.asarray(kernels, jnp.float32)),
        "bias": latent_dense["bias"].at[columns].set(jnp.asarray(biases, jnp.float32)),
    }
    processors = dict(params["processors"])
    processors["compressor"] = _compressor_params(processors["compressor"])
    processors["width"] = _width_params(processors["width"])
    return {"encoder": {"out": latent_dense}, "processors": processors}


def extract_degraded_features(config: Config, songs: Sequence[Song], report: Callable[[str], None]) -> DegradedExcerpts:
    """Features of excerpts of songs with training's random degradations, at the model's level."""
    shapes = degrade.degradation_shapes(config.degrade)

    @jax.jit
    def compute_columns(audio, uniforms):
        """The array fields of DegradedExcerpts, without the groups."""
        draws = split_uniforms(uniforms, shapes)
        source = degrade.degrade_batch(audio, draws, config.degrade, SAMPLE_RATE)
        source = apply_gain_db(source, loudness_gain_db(source, SAMPLE_RATE, MODEL_LUFS))
        side = 0.5 * (source[:, :, :1] - source[:, :, 1:])
        return {
            "mid_features": excerpt_features(jnp.mean(source, axis=2, keepdims=True)),
            "side_features": excerpt_features(side),
            "exponent": degrade.dynamics_exponent(draws, config.degrade),
            "side_gain_db": degrade.side_gain_db(draws, config.degrade),
            "is_stereo": jnp.any(side != 0.0, axis=(1, 2)).astype(jnp.float32),
        }

    rng, rows, albums = np.random.default_rng(config.seed), [], []
    for number, (song, album) in enumerate(zip(songs, album_names(songs), strict=True), 1):
        for audio in read_excerpts(song, mono=False):
            stereo = audio[:, :2] if audio.shape[1] > 1 else np.repeat(audio, 2, axis=1)
            repeated = jnp.asarray(np.repeat(stereo[None], DEGRADATIONS_PER_EXCERPT, axis=0))
            uniforms = rng.uniform(size=(DEGRADATIONS_PER_EXCERPT, num_uniforms(shapes)))
            columns = compute_columns(repeated, jnp.asarray(uniforms, jnp.float32))
            rows.append({name: np.asarray(x, np.float64) for name, x in columns.items()})
            albums += [album] * DEGRADATIONS_PER_EXCERPT
        if number % PROGRESS_SONGS == 0:
            report(f"Analyzed {number} of {len(songs)} songs with degradations.")
    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return DegradedExcerpts(**columns, groups=np.unique(albums, return_inverse=True)[1])


def fit_best_ridge(
    inputs: Float[np.ndarray, "excerpts inputs"],
    targets: Float[np.ndarray, " excerpts"],
    groups: Int[np.ndarray, " excerpts"],
) -> LinearFit:
    """The ridge regression with the penalty that predicts held-out albums best.

    Args:
        inputs: Not standardized.
        targets: One value per excerpt.
        groups: Album of each excerpt; any numbers.
    """
    offset, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-3
    inputs = (inputs - offset) / scale
    groups = np.unique(groups, return_inverse=True)[1]

    def unexplained_fraction(penalty: float) -> float:
        return float(np.mean(held_out_residuals(inputs, targets, groups, penalty) ** 2) / np.var(targets))

    unexplained, penalty = min((unexplained_fraction(penalty), penalty) for penalty in _RIDGE_PENALTIES)
    intercept, slope = fit_ridge(inputs, targets, penalty)
    slope = slope / scale
    return LinearFit(slope, float(intercept - offset @ slope), 1.0 - unexplained)


def _compressor_params(params: dict) -> dict:
    """A decoder whose ratio and make-up follow the predicted exponent; the other settings are constant."""
    settings = PROCESSORS["compressor"].settings
    slope = _SLOPE_PER_EXPONENT * _EXPONENT_PER_Z
    per_z = {"ratio": slope, "makeup_db": slope * (_TYPICAL_LEVEL_DB - _COMPRESSOR_SETTINGS["threshold_db"])}
    return _linear_decoder_params(
        params,
        raw_per_z={_EXPONENT_INDEX: [per_z.get(s.name, 0.0) * s.raw_per_unit for s in settings]},
        bias=[s.to_raw(_COMPRESSOR_SETTINGS.get(s.name, s.initial)) for s in settings],
    )


def _width_params(params: dict) -> dict:
    """A decoder whose two bands follow the side gain, the sum of one value of z of mid and one of z of the side."""
    settings = PROCESSORS["width"].settings
    side_offset = params["hidden"]["kernel"].shape[0] // 2  # z of the side follows z of mid
    width_per_z = -np.log(10.0) / 20.0 * _DB_PER_Z  # slope of 10^(−d/20) at d = 0
    raw_per_z = [width_per_z * s.raw_per_unit for s in settings]
    return _linear_decoder_params(
        params,
        raw_per_z={_MID_GAIN_INDEX: raw_per_z, side_offset + _SIDE_GAIN_INDEX: raw_per_z},
        bias=[s.to_raw(s.initial) for s in settings],
    )


def _linear_decoder_params(params: dict, raw_per_z: dict[int, list[float]], bias: list[float]) -> dict:
    """A decoder whose raw values are linear in the sum of some values of z.

    Two of its hidden units give relu(x) − relu(−x) = x; the outputs of the others get zero weights.

    Args:
        params: Parameters of the decoder.
        raw_per_z: For each index into z, the raw values per unit of z; the same for all indices.
        bias: Raw values at z = 0.
    """
    hidden, head = params["hidden"], params["settings"]["dense"]
    kernel, out = np.array(hidden["kernel"]), np.zeros(np.shape(head["kernel"]), np.float32)
    kernel[:, :2] = 0.0
    for index, slopes in raw_per_z.items():
        kernel[index, :2] = 1.0, -1.0
        out[0], out[1] = slopes, np.negative(slopes)
    return {
        "hidden": {"kernel": jnp.asarray(kernel), "bias": hidden["bias"].at[:2].set(0.0)},
        "settings": {"dense": {"kernel": jnp.asarray(out), "bias": jnp.asarray(bias, jnp.float32)}},
    }
