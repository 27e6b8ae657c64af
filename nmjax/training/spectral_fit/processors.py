"""Teaching phase 2's stages from what the spectral encoder hears of faulty excerpts: closed form, in minutes.

How strongly a song's dynamics were expanded, and by how much its side is too loud, are known of an excerpt that
training made faulty itself. A ridge regression from what is heard of mid and side to these two is the best linear
guess, and does little where little can be told. Three numbers of z hold the guesses; decoders turn them into settings:

- an envelope raised to the power 1 + e is brought back best by a compressor with the times and the threshold below and
  a slope of 0.87·e (so a ratio below 1, expansion, where e is): found by descent in audio with e known, on 80 excerpts
  of training songs, where it takes half of the error in the multi-resolution STFT away;
- a side too loud by d dB by the width 10^(−d/20), both bands alike.

The saturator stays neutral: training's faults hold nothing that it would mend. (Of the dynamics next to nothing can be
told, docs/results.md: what is left is their mean, a little expansion, and so a little compression for every song.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nmjax.config import Config
from nmjax.data import Song
from nmjax.dsp.gain import apply_gain_db, loudness_gain_db
from nmjax.models import MODEL_LUFS, SAMPLE_RATE
from nmjax.models.processors import processor_settings
from nmjax.models.spectral_encoder import NUM_BANDS
from nmjax.training import degrade
from nmjax.training.spectral_fit.features import album_names, excerpt_features, read_excerpts
from nmjax.training.spectral_fit.ridge import fit_ridge, group_folds

_DRAWS_PER_EXCERPT = 2  # faults an excerpt
_RIDGE_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)  # beside standardised inputs; the best on albums that were left out
_COMPRESSOR_SETTINGS = {"threshold_db": -22.4, "attack_ms": 6.0, "release_ms": 60.0, "knee_db": 4.0}
_SLOPE_PER_EXPONENT = 0.87  # of the compressor, for an exponent of 1
_TYPICAL_LEVEL_DB = -17.0  # the level of music at −20 LUFS, on the compressor's scale
_EXPONENT_INDEX, _MID_GAIN_INDEX, _SIDE_GAIN_INDEX = (
    NUM_BANDS,
    NUM_BANDS + 1,
    NUM_BANDS + 2,
)  # numbers of z; the last is read from the side's
_UNITS_PER_Z = (0.1, 3.0, 3.0)  # of the exponent, and of dB, where z is 1


@dataclasses.dataclass(frozen=True)
class DegradedExcerpts:
    """Faulty excerpts and their faults. mid, side: features of what was heard. exponent: of the dynamics. side_db: the
    side's gain. stereo: whether there was a side. groups: which album each is of, from 0."""

    mid_features: Float[np.ndarray, "items features"]
    side_features: Float[np.ndarray, "items features"]
    exponent: Float[np.ndarray, " items"]
    side_gain_db: Float[np.ndarray, " items"]
    is_stereo: Float[np.ndarray, " items"]
    groups: Int[np.ndarray, " items"]


def fit_processors(params: dict, config: Config, songs: Sequence[Song], report: Callable[[str], None]) -> dict:
    """The encoder and the stages' decoders, with three more numbers of z taught and what follows from them."""
    return fit_processor_params(params, extract_degraded_features(config, songs, report), report)


def fit_processor_params(params: dict, degraded: DegradedExcerpts, report: Callable[[str], None]) -> dict:
    """See `stages_taught`, from what was heard."""
    mid_side_features = np.concatenate([degraded.mid_features, degraded.side_features], axis=1)
    is_stereo = degraded.is_stereo > 0.0
    exponent_kernel, bias, explained = _fit_best_ridge(degraded.mid_features, degraded.exponent, degraded.groups)
    side_kernel, side_bias, side_explained = _fit_best_ridge(
        mid_side_features[is_stereo], degraded.side_gain_db[is_stereo], degraded.groups[is_stereo]
    )
    report(
        f"On albums left out, {100.0 * explained:.0f} % of the dynamics' variance and {100.0 * side_explained:.0f} % of the "
        "side's gain can be told."
    )
    num_features = degraded.mid_features.shape[1]
    kernels = np.stack([exponent_kernel, side_kernel[:num_features], side_kernel[num_features:]], axis=1) / np.array(
        _UNITS_PER_Z
    )
    biases = np.array([bias, side_bias, 0.0]) / np.array(_UNITS_PER_Z)
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
    """Excerpts of songs, each with faults of its own from training's generator, at the model's level."""

    @jax.jit
    def compute_features(audio, uniforms):
        source = degrade.degrade_batch(audio, uniforms, config.degrade, SAMPLE_RATE)
        source = apply_gain_db(source, loudness_gain_db(source, SAMPLE_RATE, MODEL_LUFS))
        side = 0.5 * (source[:, :, :1] - source[:, :, 1:])
        mid = jnp.mean(source, axis=2, keepdims=True)
        targets = degrade.dynamics_exponent(uniforms, config.degrade), degrade.side_gain_db(uniforms, config.degrade)
        return (
            excerpt_features(mid),
            excerpt_features(side),
            *targets,
            jnp.any(side != 0.0, axis=(1, 2)).astype(jnp.float32),
        )

    rng, rows, groups = np.random.default_rng(config.seed), [], []
    for number, (song, album) in enumerate(zip(songs, album_names(songs), strict=True), 1):
        for audio in read_excerpts(song, mono=False):
            stereo = audio[:, :2] if audio.shape[1] > 1 else np.repeat(audio, 2, axis=1)
            uniforms = rng.uniform(size=(_DRAWS_PER_EXCERPT, degrade.num_uniforms(config.degrade)))
            features = compute_features(
                jnp.asarray(np.repeat(stereo[None], _DRAWS_PER_EXCERPT, axis=0)), jnp.asarray(uniforms, jnp.float32)
            )
            rows.append([np.asarray(x, np.float64) for x in features])
            groups += [album] * _DRAWS_PER_EXCERPT
        if number % 50 == 0:
            report(f"Heard {number} of {len(songs)} songs with faults.")
    columns = (np.concatenate(column) for column in zip(*rows, strict=True))
    return DegradedExcerpts(*columns, np.unique(groups, return_inverse=True)[1])


def _fit_best_ridge(
    inputs: Float[np.ndarray, "items inputs"], targets: Float[np.ndarray, " items"], groups: Int[np.ndarray, " items"]
) -> tuple[np.ndarray, float, float]:
    """Kernel, bias, and the share of the variance that is told of albums left out, for the best of `_RIDGES`."""
    offset, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-3
    inputs = (inputs - offset) / scale
    fold = group_folds(np.unique(groups, return_inverse=True)[1])

    def unexplained_fraction(penalty: float) -> float:
        errors = []
        for k in np.unique(fold):
            mean, slope = fit_ridge(inputs[fold != k], targets[fold != k], penalty)
            errors.append(targets[fold == k] - mean - inputs[fold == k] @ slope)
        return float(np.mean(np.concatenate(errors) ** 2) / np.var(targets))

    unexplained = {penalty: unexplained_fraction(penalty) for penalty in _RIDGE_PENALTIES}
    best = min(unexplained, key=unexplained.get)
    mean, slope = fit_ridge(inputs, targets, best)
    slope = slope / scale
    return slope, float(mean - offset @ slope), 1.0 - unexplained[best]


def _compressor_params(params: dict) -> dict:
    """Ratio and make-up follow the exponent's number of z; the other settings stand."""
    rows = processor_settings("compressor")
    slope = _SLOPE_PER_EXPONENT * _UNITS_PER_Z[0]
    per_z = {"ratio": slope, "makeup_db": slope * (_TYPICAL_LEVEL_DB - _COMPRESSOR_SETTINGS["threshold_db"])}
    bias = [row.to_raw(_COMPRESSOR_SETTINGS.get(row.name, row.initial)) for row in rows]
    return _linear_decoder_params(
        params, {_EXPONENT_INDEX: [per_z.get(row.name, 0.0) * row.raw_per_unit for row in rows]}, bias
    )


def _width_params(params: dict) -> dict:
    """Both bands follow the sum of what mid and side say; the side's z comes behind mid's."""
    rows = processor_settings("width")
    side_offset = params["hidden"]["kernel"].shape[0] // 2
    factor = -np.log(10.0) / 20.0 * _UNITS_PER_Z[1]  # of 10^(−d/20) − 1 at small d
    raw_per_z = [factor * row.raw_per_unit for row in rows]
    return _linear_decoder_params(
        params,
        {_MID_GAIN_INDEX: raw_per_z, side_offset + _SIDE_GAIN_INDEX: raw_per_z},
        [row.to_raw(row.initial) for row in rows],
    )


def _linear_decoder_params(params: dict, raw_per_z: dict[int, list[float]], bias: list[float]) -> dict:
    """A decoder whose raw settings are linear in the sum of some numbers of z, by two of its hidden units: relu(x) −
    relu(−x) = x. The others' outputs have no weight yet."""
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
