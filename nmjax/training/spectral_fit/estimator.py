"""The linear estimator of a song's spectral degradation, in closed form."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from nmjax.models.spectral_features import NUM_BANDS
from nmjax.training.spectral_fit.excerpts import Features
from nmjax.training.spectral_fit.ridge import fit_ridge, held_out_residuals

DB_PER_Z = 3.0  # correction in dB per unit of z
_RIDGE_PENALTY = 0.3  # for standardized inputs
_COVARIANCE_SCALE = 3.0  # of the residual's covariance: new music differs more than held-out albums do
_MIN_VARIANCE_DB2 = 0.5  # added to the residual's variance
_NUM_COSINES, _CORNER_ORDER = 10, 5.0  # see `random_degradation_curves`
_DEGRADATION_RMS_DB = 2.4
_NUM_DEGRADATIONS = 4096

Curves = Float[np.ndarray, "curves bands"]


@dataclasses.dataclass(frozen=True)
class LinearEstimator:
    """The first 54 values of z as a linear function of the features: the predicted correction in units of 3 dB.

    Attributes:
        kernel, bias: z = features @ kernel + bias.
        residual_rms_db: RMS of the residual of the regression to the spectrum, on held-out albums.
        spectrum_std_db: Standard deviation of the spectra over the excerpts, mean over the bands.
    """

    kernel: Float[np.ndarray, "features bands"]
    bias: Float[np.ndarray, " bands"]
    residual_rms_db: float
    spectrum_std_db: float


def fit_estimator(
    features: Features,
    groups: Int[np.ndarray, " excerpts"],
    degradations: Curves,
    ridge_penalty: float = _RIDGE_PENALTY,
) -> LinearEstimator:
    """The linear estimator of the correction (the negative degradation) from features.

    A ridge regression predicts the spectrum from the features that an equalizer does not change. Its residual r is a
    degradation with covariance F plus a deviation of the music with covariance C, and the best linear estimate of the
    degradation is F (C + F)⁻¹ r (Wiener filter, Gaussian conditioning). C is estimated on held-out albums and scaled.

    Args:
        features: Features of mastered excerpts, in bels.
        groups: Album of each excerpt, numbered from 0.
        degradations: Typical degradations in dB at the bands' centers.
        ridge_penalty: Penalty of the regression, for standardized inputs.
    """
    spectrum, predictors = 10.0 * features[:, :NUM_BANDS], features[:, NUM_BANDS:-1]
    offset, scale = predictors.mean(axis=0), predictors.std(axis=0) + 1e-3
    predictors = (predictors - offset) / scale
    residual = held_out_residuals(predictors, spectrum, groups, ridge_penalty)
    intercept, slope = fit_ridge(predictors, spectrum, ridge_penalty)
    covariance = _COVARIANCE_SCALE * residual.T @ residual / len(residual) + _MIN_VARIANCE_DB2 * np.eye(NUM_BANDS)
    degradation_covariance = degradations.T @ degradations / len(degradations)
    wiener_gain = np.linalg.solve(covariance + degradation_covariance, degradation_covariance)  # degradation = r @ gain
    slope = slope / scale[:, None]
    # r = spectrum − intercept − (predictors − offset) @ slope; the last feature, the level, has no effect.
    kernel = np.concatenate([10.0 * np.eye(NUM_BANDS), -slope, np.zeros((1, NUM_BANDS))]) @ wiener_gain / -DB_PER_Z
    bias = (intercept - offset @ slope) @ wiener_gain / DB_PER_Z
    return LinearEstimator(
        kernel=kernel,
        bias=bias,
        residual_rms_db=float(np.sqrt(np.mean(residual**2))),
        spectrum_std_db=float(spectrum.std(axis=0).mean()),
    )


def random_degradation_curves(seed: int) -> Curves:
    """4096 smooth random curves with mean 0 and an RMS of 2.4 dB over all of them, at the bands' centers.

    Each is a sum of ten cosines over log frequency, whose amplitudes decrease above the fifth (3.6 octaves per period).
    """
    order = np.arange(1, _NUM_COSINES + 1)
    cosines = np.cos(np.pi * order[:, None] * (np.arange(NUM_BANDS) + 0.5)[None] / NUM_BANDS)
    amplitudes = np.random.default_rng(seed).standard_normal((_NUM_DEGRADATIONS, _NUM_COSINES)) / (
        1.0 + (order / _CORNER_ORDER) ** 2
    )
    curves = amplitudes @ cosines
    return curves * _DEGRADATION_RMS_DB / np.sqrt(np.mean(curves**2))
