"""The linear estimator of an engineer's correction, from pairs of unmastered and mastered songs, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from nmjax.data import Song
from nmjax.models.spectral_features import (
    NUM_BANDS,
    band_power_and_flatness,
    frame_features,
    pooled_features,
)
from nmjax.training.spectral_fit.estimator import DB_PER_Z, Curves, LinearEstimator
from nmjax.training.spectral_fit.excerpts import (
    PROGRESS_SONGS,
    Features,
    album_names,
    check_enough_albums,
    is_usable,
    read_pair_excerpts,
)
from nmjax.training.spectral_fit.ridge import fit_ridge, held_out_residuals

_OTHER_FEATURES_WEIGHT = 0.2  # of standardized features other than the spectrum; found on held-out albums of 180 pairs
_RIDGE_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # candidates, for standardized inputs


class PairFeatures(NamedTuple):
    """What the estimator is fitted to, one row per song.

    Attributes:
        features: Features of the whole unmastered song.
        corrections: Long-term spectrum of the mastered minus that of the unmastered song in dB, without its mean.
        groups: Album of each song, numbered from 0.
    """

    features: Features
    corrections: Curves
    groups: Int[np.ndarray, " songs"]


def extract_pair_features(songs: Sequence[Song], report: Callable[[str], None]) -> PairFeatures:
    """Features of the songs' unmastered sides, and what mastering did to the spectra of their mid.

    Args:
        songs: Pairs.
        report: Called with messages about the progress.

    Raises:
        BadInputError: Fewer than two usable albums.
    """
    check_enough_albums(songs)
    mean_frames = jax.jit(lambda audio: jnp.mean(frame_features(*band_power_and_flatness(audio)), axis=1))
    features, corrections, albums = [], [], []
    for number, (song, album) in enumerate(zip(songs, album_names(songs), strict=True), 1):
        if is_usable(song):
            excerpts = [mean_frames(jnp.asarray(np.stack(pair))) for pair in read_pair_excerpts(song)]
            pooled = np.asarray(pooled_features(jnp.mean(jnp.stack(excerpts), axis=0)), np.float64)
            features.append(pooled[0])
            corrections.append(10.0 * (pooled[1] - pooled[0])[:NUM_BANDS])  # the mean is no part of either spectrum
            albums.append(album)
        if number % PROGRESS_SONGS == 0:
            report(f"Analyzed {number} of {len(songs)} pairs.")
    return PairFeatures(np.stack(features), np.stack(corrections), np.unique(albums, return_inverse=True)[1])


def fit_pair_estimator(pairs: PairFeatures) -> LinearEstimator:
    """Ridge regression of the correction on the features of the unmastered song.

    The penalty is the one that predicts held-out albums best. It weighs 25 times as much on the features that an
    equalizer does not change: they predict less of the correction than the spectrum does.
    """
    features = pairs.features[:, :-1]  # the last one, the level, has no effect
    offset, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    scale[NUM_BANDS:] /= _OTHER_FEATURES_WEIGHT
    inputs = (features - offset) / scale

    def held_out_rms(penalty: float) -> float:
        return _rms(held_out_residuals(inputs, pairs.corrections, pairs.groups, penalty))

    residual_rms_db, penalty = min((held_out_rms(penalty), penalty) for penalty in _RIDGE_PENALTIES)
    intercept, slope = fit_ridge(inputs, pairs.corrections, penalty)
    slope = slope / scale[:, None]
    return LinearEstimator(
        kernel=np.concatenate([slope, np.zeros((1, NUM_BANDS))]) / DB_PER_Z,
        bias=(intercept - offset @ slope) / DB_PER_Z,
        residual_rms_db=residual_rms_db,
        spectrum_std_db=_rms(pairs.corrections),
    )


def _rms(x: Float[np.ndarray, "..."]) -> float:
    return float(np.sqrt(np.mean(x**2)))
