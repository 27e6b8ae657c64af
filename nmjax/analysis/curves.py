"""The equaliser's curves of a collection in third octaves: what they have in common, and what kinds there are."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nmjax.dsp import Bands, response_db
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ
from nmjax.models import SAMPLE_RATE

_CHUNK_ROWS = 4096  # tracks
_MAX_CLUSTERS = 6
_MAX_SILHOUETTE_TRACKS = 1000  # tracks at most by which a number of clusters is judged, since every pair is compared
_NUM_NULL_SAMPLES = 20


def band_responses_db(
    freq_hz: Float[np.ndarray, "rows bands"],
    gain_db: Float[np.ndarray, "rows bands"],
    q: Float[np.ndarray, "rows bands"],
) -> Float[np.ndarray, "rows bands 31"]:
    """Each band's response in dB at the third octaves of IEC 61260, 20 Hz to 20 kHz, at the model's rate; float64."""
    chunks = [np.zeros((0, freq_hz.shape[1], len(THIRD_OCTAVES_HZ)))]
    for start in range(0, len(freq_hz), _CHUNK_ROWS):
        chunk = [x[start : start + _CHUNK_ROWS] for x in (freq_hz, gain_db, q)]
        count = len(chunk[0])
        rows = 1 << (count - 1).bit_length()  # a program for every power of two, and not for every number
        chunk = [np.pad(x, ((0, rows - count), (0, 0)), mode="edge").astype(np.float32) for x in chunk]
        chunks.append(np.asarray(_batched_band_responses_db(*chunk), np.float64)[:count])
    return np.concatenate(chunks)


def single_row_band_responses_db(
    freq_hz: Float[Array, " bands"], gain_db: Float[Array, " bands"], q: Float[Array, " bands"]
) -> Array:
    """The same of one row, `[bands, 31]`, for JAX to differentiate."""
    bands = Bands(freq_hz[:, None], gain_db[:, None], q[:, None])  # as if each were a signal with one band
    return response_db(bands, jnp.asarray(THIRD_OCTAVES_HZ, jnp.float32), SAMPLE_RATE)


_batched_band_responses_db = jax.jit(jax.vmap(single_row_band_responses_db))


def eq_responses_db(settings: dict[str, np.ndarray]) -> Float[np.ndarray, "rows 31"]:
    """The whole rendered response of each row of settings (`freq_hz`, `gain_db`, `gate`, `q`), `[rows, points]`."""
    rendered = settings["gain_db"] * settings["gate"]
    return band_responses_db(settings["freq_hz"], rendered, settings["q"]).sum(axis=1)


def centered_eq_responses_db(settings: dict[str, np.ndarray]) -> Float[np.ndarray, "rows 31"]:
    """The same, each about its mean: a gain that is the same everywhere is undone by delivery, teaching takes it for no
    error, and networks let it drift."""
    responses_db = eq_responses_db(settings)
    return responses_db - responses_db.mean(axis=1, keepdims=True)


def response_quantile_table(responses_db: Float[np.ndarray, "tracks points"]) -> list[dict]:
    """A row a third octave: mean, standard deviation and quantiles over tracks in dB."""
    quantiles = np.percentile(responses_db, [5, 25, 50, 75, 95], axis=0)
    deviation = responses_db.std(axis=0, ddof=1)
    return [
        {"freq_hz": f, "mean_db": responses_db[:, i].mean(), "sd_db": deviation[i],
         **{f"p{p}_db": quantiles[n, i] for n, p in enumerate((5, 25, 50, 75, 95))}}
        for i, f in enumerate(THIRD_OCTAVES_HZ)
    ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ResponseClusters:
    """Clusters of curves, the largest first. of: each track's. centres: `[kinds, points]`. typical: the track nearest
    to each centre. silhouette: mean over tracks, −1 to 1. chance: what 95 % of clouds without kinds (normal, with the
    same covariance) stay below, cut in the same way: two halves of one long cloud reach 0.4 already."""

    labels: Int[np.ndarray, " tracks"]
    centroids: Float[np.ndarray, "kinds points"]
    nearest_tracks: Int[np.ndarray, " kinds"]
    silhouette: float
    null_silhouette: float


def cluster_responses(responses_db: Float[np.ndarray, "tracks points"], seed: int = 0) -> ResponseClusters | None:
    """The best of two to six clusters by k-means; the number is that with the highest mean silhouette (Rousseeuw 1987).

    None for fewer than four tracks, or curves that are all alike.
    """
    if len(responses_db) < 4 or np.ptp(responses_db, axis=0).max() < 1e-6:
        return None
    rng = np.random.default_rng(seed)
    score, centroids, labels = _best_kmeans(responses_db, rng)
    null_samples = (
        rng.multivariate_normal(
            responses_db.mean(axis=0),
            np.cov(responses_db.T),
            min(len(responses_db), _MAX_SILHOUETTE_TRACKS),
            method="eigh",
        )
        for _ in range(_NUM_NULL_SAMPLES)
    )
    null_score = float(np.percentile([_best_kmeans(null_sample, rng)[0] for null_sample in null_samples], 95))
    order = np.argsort(-np.bincount(labels, minlength=len(centroids)), kind="stable")
    labels, centroids = np.argsort(order)[labels], centroids[order]
    distance = np.linalg.norm(responses_db[:, None] - centroids[None], axis=2)
    return ResponseClusters(labels, centroids, np.argmin(distance, axis=0), score, null_score)


def _best_kmeans(
    responses_db: Float[np.ndarray, "tracks points"], rng: np.random.Generator
) -> tuple[float, Float[np.ndarray, "kinds points"], Int[np.ndarray, " tracks"]]:
    """The silhouette, the centres and each track's cluster."""
    from scipy.cluster.vq import kmeans, vq

    scored_rows, best = np.sort(rng.permutation(len(responses_db))[:_MAX_SILHOUETTE_TRACKS]), None
    for count in range(2, min(_MAX_CLUSTERS, len(responses_db) - 1) + 1):
        centroids, _ = kmeans(responses_db, count, rng=rng)
        labels, _ = vq(responses_db, centroids)
        score = silhouette_score(responses_db[scored_rows], labels[scored_rows])
        if best is None or score > best[0]:
            best = score, centroids, labels
    return best


def silhouette_score(points: Float[np.ndarray, "rows dims"], labels: Int[np.ndarray, " rows"]) -> float:
    """The mean of (b − a)/max(a, b): a, the mean distance to the others of the own cluster, b, that to those of
    the nearest other one (P. Rousseeuw 1987); a cluster of one counts as 0. NaN where there is one cluster."""
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
