"""How much of a measured difference to correct: posterior mean under a Gaussian prior of uncertain scale.

A track differs from its reference by what is wrong with the track (the degradation c) and by the music itself (the
noise n). With both Gaussian and zero-mean,

    d = c + n,   c ~ N(0, σ² C),   n ~ N(0, s² N),

the posterior mean of the degradation is the Wiener estimate E[c | d, σ, s] = σ² C (σ² C + s² N)⁻¹ d.

The scales σ and s are themselves uncertain: their prior is log-normal. `posterior_mean` averages the estimate over a
grid of both, weighted by prior × likelihood p(d | σ, s), so that a difference too large to be a degradation is
attributed to the music. The constants of both priors were chosen on the training songs, see
docs/explanation/reference.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.reference.bands import ACTIVE_RANGE_DB

BAND_SCALES = np.geomspace(0.3, 5.0, 7)  # grid of σ and s for spectra, relative to the centers of their priors
# The same for single numbers. The grid is wide: a very large difference is explained by the music.
_SCALAR_SCALES = np.geomspace(0.3, 80.0, 13)


@dataclasses.dataclass(frozen=True)
class Prior:
    """Prior over the scales of degradation and noise.

    Attributes:
        degradation_db: median of σ, the RMS of the degradation in dB.
        degradation_log_std: standard deviation of ln σ; 0 fixes σ.
        noise_scale: median of s, relative to the noise model.
        noise_log_std: standard deviation of ln s; 0 fixes s.
        match_frames: whether track and reference may contain the same notes and sounds, so that frames are matched.
        range_db: bands further below the loudest one are not compared.
    """

    degradation_db: float
    degradation_log_std: float
    noise_scale: float
    noise_log_std: float
    match_frames: bool = False
    range_db: float = ACTIVE_RANGE_DB


# Another section or mix of the same song: degradations are small, larger differences are changes in the music.
SAME_SONG_PRIOR = Prior(
    degradation_db=2.2, degradation_log_std=0.0, noise_scale=1.0, noise_log_std=0.7, match_frames=True
)
# Another mix of the same passage: nearly all of a difference is what has to be repaired.
# Even its noise is that of the track: quiet treble counts.
SAME_PASSAGE_PRIOR = Prior(
    degradation_db=4.0, degradation_log_std=0.0, noise_scale=0.05, noise_log_std=0.0, range_db=90.0
)
# Another song: its tone is the goal, however large the difference.
OTHER_SONG_PRIOR = Prior(degradation_db=10.0, degradation_log_std=0.5, noise_scale=0.4, noise_log_std=0.0)
# A kind of music: a song may differ from its mean, so it moves by a share of the difference that does not depend on it.
STYLE_PRIOR = Prior(degradation_db=2.0, degradation_log_std=0.0, noise_scale=1.0, noise_log_std=0.0)


def posterior_mean(
    difference: Float[np.ndarray, " bands"],
    degradation_cov: Float[np.ndarray, "bands bands"],
    noise_cov: Float[np.ndarray, "bands bands"],
    fixed_cov: Float[np.ndarray, "bands bands"],
    prior: Prior,
    scales: Float[np.ndarray, " scales"] = BAND_SCALES,
) -> Float[np.ndarray, " bands"]:
    """Posterior mean of the degradation, averaged over the scales σ and s.

    Args:
        difference: d, reference minus track.
        degradation_cov: C, at unit scale.
        noise_cov: N, at unit scale.
        fixed_cov: covariance of further noise of known scale.
        prior: prior of σ and s.
        scales: grid of both, relative to the medians of the prior.
    """
    estimates, log_posteriors = [], []
    for degradation_db, degradation_log_prior in _scale_grid(prior.degradation_db, prior.degradation_log_std, scales):
        for noise_scale, noise_log_prior in _scale_grid(prior.noise_scale, prior.noise_log_std, scales):
            covariance = degradation_db**2 * degradation_cov + noise_scale**2 * noise_cov + fixed_cov
            lower = np.linalg.cholesky(covariance)
            whitened = np.linalg.solve(lower, difference)
            estimates.append(degradation_db**2 * degradation_cov @ np.linalg.solve(lower.T, whitened))
            log_likelihood = -0.5 * whitened @ whitened - np.log(np.diag(lower)).sum()
            log_posteriors.append(log_likelihood + degradation_log_prior + noise_log_prior)
    posteriors = np.exp(np.array(log_posteriors) - np.max(log_posteriors))
    return np.average(estimates, axis=0, weights=posteriors)


def shrink_difference(difference: float, degradation_rms: float, noise_rms: float, prior: Prior) -> float:
    """Posterior mean of the degradation of a single number; 0 where the difference is not finite.

    Args:
        difference: reference minus track, in any unit.
        degradation_rms: RMS of the degradation for SAME_SONG_PRIOR, in that unit; for another prior it scales with
            `degradation_db`.
        noise_rms: RMS of the noise at unit scale, in that unit.
        prior: prior of the tone's degradation.
    """
    if not np.isfinite(difference):
        return 0.0
    relative_prior = dataclasses.replace(prior, degradation_db=prior.degradation_db / SAME_SONG_PRIOR.degradation_db)
    identity = np.ones((1, 1))
    estimate = posterior_mean(
        difference=np.array([difference]),
        degradation_cov=degradation_rms**2 * identity,
        noise_cov=noise_rms**2 * identity,
        fixed_cov=0.0 * identity,
        prior=relative_prior,
        scales=_SCALAR_SCALES,
    )
    return float(estimate[0])


def _scale_grid(median: float, log_std: float, scales: np.ndarray) -> list[tuple[float, float]]:
    """Pairs of a scale and its log prior density, up to a constant."""
    if log_std == 0.0:
        return [(median, 0.0)]
    return [(median * x, -0.5 * (np.log(x) / log_std) ** 2) for x in scales]
