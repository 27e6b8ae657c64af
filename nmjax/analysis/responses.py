"""Equalizer responses of a collection in third octaves: quantiles and clusters."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nmjax.dsp import Bands, response_db
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.models import SAMPLE_RATE

PERCENTILES = (5, 25, 50, 75, 95)
_CHUNK_ROWS = 4096
MIN_CLUSTERED_TRACKS = 20  # as for probes; among a handful, k-means always finds groups
MIN_CLUSTERED_SPREAD_DB = 0.1  # RMS; responses that differ less sound alike
_MAX_CLUSTERS = 6
_MAX_SILHOUETTE_TRACKS = 1000  # the silhouette compares all pairs of tracks
_NUM_NULL_SAMPLES = 20


def band_responses_db(
    freq_hz: Float[np.ndarray, "rows bands"],
    gain_db: Float[np.ndarray, "rows bands"],
    q: Float[np.ndarray, "rows bands"],
) -> Float[np.ndarray, "rows bands 31"]:
    """Each band's response in dB at the third octaves of IEC 61260, 20 Hz to 20 kHz, at the model's sample rate."""
    chunks = [np.zeros((0, freq_hz.shape[1], len(THIRD_OCTAVES_HZ)))]
    for start in range(0, len(freq_hz), _CHUNK_ROWS):
        chunk = [x[start : start + _CHUNK_ROWS] for x in (freq_hz, gain_db, q)]
        count = len(chunk[0])
        rows = 1 << (count - 1).bit_length()  # so that few programs are compiled
        chunk = [np.pad(x, ((0, rows - count), (0, 0)), mode="edge").astype(np.float32) for x in chunk]
        chunks.append(np.asarray(_batched_band_responses_db(*chunk), np.float64)[:count])
    return np.concatenate(chunks)


def single_row_band_responses_db(
    freq_hz: Float[Array, " bands"], gain_db: Float[Array, " bands"], q: Float[Array, " bands"]
) -> Array:
    """`band_responses_db` of one row, `[bands, 31]`, differentiable by JAX."""
    bands = Bands(freq_hz[:, None], gain_db[:, None], q[:, None])  # each band as a signal with one band
    return response_db(bands, jnp.asarray(THIRD_OCTAVES_HZ, jnp.float32), SAMPLE_RATE)


_batched_band_responses_db = jax.jit(jax.vmap(single_row_band_responses_db))


def eq_responses_db(settings: dict[str, np.ndarray]) -> Float[np.ndarray, "rows 31"]:
    """The rendered response in dB of each row of settings (`freq_hz`, `gain_db`, `gate`, `q`)."""
    rendered = settings["gain_db"] * settings["gate"]
    return band_responses_db(settings["freq_hz"], rendered, settings["q"]).sum(axis=1)


def centered_eq_responses_db(settings: dict[str, np.ndarray]) -> Float[np.ndarray, "rows 31"]:
    """`eq_responses_db` without its mean over frequency.

    The loss ignores a broadband gain, and delivery normalizes it away.
    """
    responses_db = eq_responses_db(settings)
    return responses_db - responses_db.mean(axis=1, keepdims=True)


def response_quantile_table(responses_db: Float[np.ndarray, "tracks points"]) -> list[dict]:
    """A row for each third octave: mean, standard deviation and percentiles over tracks in dB."""
    quantiles = np.percentile(responses_db, PERCENTILES, axis=0)
    deviation = responses_db.std(axis=0, ddof=1)
    return [
        {"freq_hz": f, "mean_db": responses_db[:, i].mean(), "std_db": deviation[i]}
        | {f"p{percentile}_db": quantiles[n, i] for n, percentile in enumerate(PERCENTILES)}
        for i, f in enumerate(THIRD_OCTAVES_HZ)
    ]


def response_spread_db(responses_db: Float[np.ndarray, "tracks points"]) -> float:
    """The deviation of responses from their mean in dB, RMS over third octaves and tracks."""
    return float(np.sqrt(responses_db.var(axis=0, ddof=1).mean()))


@dataclasses.dataclass(frozen=True)
class ResponseClusters:
    """Clusters of responses, the largest first.

    Attributes:
        labels: cluster of each track.
        centroids: mean response of each cluster in dB.
        nearest_tracks: index of the track nearest to each centroid.
        silhouette: mean over the tracks, −1 to 1.
        null_silhouette: 95th percentile of the silhouette for samples of a single Gaussian with the same covariance.
            (The two halves of one elongated Gaussian already reach 0.4.)
    """

    labels: Int[np.ndarray, " tracks"]
    centroids: Float[np.ndarray, "clusters points"]
    nearest_tracks: Int[np.ndarray, " clusters"]
    silhouette: float
    null_silhouette: float


def cluster_responses(responses_db: Float[np.ndarray, "tracks points"], seed: int = 0) -> ResponseClusters | None:
    """Two to six clusters by k-means, as many as give the highest mean silhouette (Rousseeuw 1987).

    None for fewer than 20 tracks, or for responses that differ by less than 0.1 dB RMS.
    """
    if len(responses_db) < MIN_CLUSTERED_TRACKS or response_spread_db(responses_db) < MIN_CLUSTERED_SPREAD_DB:
        return None
    rng = np.random.default_rng(seed)
    best = _best_kmeans(responses_db, rng)
    null_samples = (
        rng.multivariate_normal(
            responses_db.mean(axis=0),
            np.cov(responses_db.T),
            min(len(responses_db), _MAX_SILHOUETTE_TRACKS),
            method="eigh",
        )
        for _ in range(_NUM_NULL_SAMPLES)
    )
    null_scores = [_best_kmeans(null_sample, rng).silhouette for null_sample in null_samples]
    order = np.argsort(-np.bincount(best.labels, minlength=len(best.centroids)), kind="stable")
    centroids = best.centroids[order]
    distance = np.linalg.norm(responses_db[:, None] - centroids[None], axis=2)
    return ResponseClusters(
        labels=np.argsort(order)[best.labels],
        centroids=centroids,
        nearest_tracks=np.argmin(distance, axis=0),
        silhouette=best.silhouette,
        null_silhouette=float(np.percentile(null_scores, 95)),
    )


class _Kmeans(NamedTuple):
    silhouette: float
    centroids: np.ndarray  # [clusters, points]
    labels: np.ndarray  # [tracks]


def _best_kmeans(responses_db: Float[np.ndarray, "tracks points"], rng: np.random.Generator) -> _Kmeans:
    """The number of clusters with the highest silhouette (the first one of several; NaN never wins)."""
    from scipy.cluster.vq import kmeans, vq

    scored_rows = np.sort(rng.permutation(len(responses_db))[:_MAX_SILHOUETTE_TRACKS])
    results = []
    for count in range(2, min(_MAX_CLUSTERS, len(responses_db) - 1) + 1):
        centroids, _ = kmeans(responses_db, count, rng=rng)
        labels, _ = vq(responses_db, centroids)
        score = silhouette_score(responses_db[scored_rows], labels[scored_rows])
        results.append(_Kmeans(score, centroids, labels))
    return functools.reduce(lambda best, result: result if result.silhouette > best.silhouette else best, results)


def silhouette_score(points: Float[np.ndarray, "rows dims"], labels: Int[np.ndarray, " rows"]) -> float:
    """Mean of (b − a)/max(a, b) over the points (Rousseeuw 1987); NaN for a single cluster.

    a is the mean distance to the other points of the own cluster, b that to the points of the nearest other cluster. A
    cluster of one point counts as 0.
    """
    names, cluster_index = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    square = np.sum(points**2, axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2.0 * points @ points.T, 0.0))
    membership = np.eye(len(names))[cluster_index]
    sums, sizes = distance @ membership, membership.sum(axis=0)
    row = np.arange(len(points))
    mean_intra = sums[row, cluster_index] / np.maximum(sizes[cluster_index] - 1, 1)
    mean_nearest = np.where(membership.astype(bool), np.inf, sums / sizes[None]).min(axis=1)
    value = (mean_nearest - mean_intra) / np.maximum(np.maximum(mean_intra, mean_nearest), 1e-12)
    return float(np.mean(np.where(sizes[cluster_index] > 1, value, 0.0)))
