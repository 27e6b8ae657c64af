"""The equaliser's curves of a collection in third octaves: what they have in common, and what kinds there are."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from nmjax.dsp import Bands, response_db
from nmjax.dsp.auditory import THIRD_OCTAVES_HZ
from nmjax.models import SAMPLE_RATE

_AT_ONCE = 4096  # tracks
_MOST_KINDS = 6
_JUDGED = 1000  # tracks at most by which a number of clusters is judged, since every pair is compared
_CLOUDS = 20


def band_curves_db(
    freq_hz: Float[np.ndarray, "rows bands"],
    gain_db: Float[np.ndarray, "rows bands"],
    q: Float[np.ndarray, "rows bands"],
) -> Float[np.ndarray, "rows bands 31"]:
    """Each band's response in dB at the third octaves of IEC 61260, 20 Hz to 20 kHz, at the model's rate; float64."""
    parts = [np.zeros((0, freq_hz.shape[1], len(THIRD_OCTAVES_HZ)))]
    for start in range(0, len(freq_hz), _AT_ONCE):
        part = [x[start : start + _AT_ONCE] for x in (freq_hz, gain_db, q)]
        count = len(part[0])
        rows = 1 << (count - 1).bit_length()  # a program for every power of two, and not for every number
        part = [np.pad(x, ((0, rows - count), (0, 0)), mode="edge").astype(np.float32) for x in part]
        parts.append(np.asarray(_band_curves(*part), np.float64)[:count])
    return np.concatenate(parts)


def band_curves_of(freq_hz: Float[Array, "bands"], gain_db: Float[Array, "bands"], q: Float[Array, "bands"]) -> Array:
    """The same of one row, `[bands, 31]`, for JAX to differentiate."""
    bands = Bands(freq_hz[:, None], gain_db[:, None], q[:, None])  # as if each were a signal with one band
    return response_db(bands, jnp.asarray(THIRD_OCTAVES_HZ, jnp.float32), SAMPLE_RATE)


_band_curves = jax.jit(jax.vmap(band_curves_of))


def curves_db(settings: dict[str, np.ndarray]) -> Float[np.ndarray, "rows 31"]:
    """The whole rendered response of each row of settings (`freq_hz`, `gain_db`, `gate`, `q`), `[rows, points]`."""
    rendered = settings["gain_db"] * settings["gate"]
    return band_curves_db(settings["freq_hz"], rendered, settings["q"]).sum(axis=1)


def shapes_db(settings: dict[str, np.ndarray]) -> Float[np.ndarray, "rows 31"]:
    """The same, each about its mean: a gain that is the same everywhere is undone by delivery, teaching takes it for no
    error, and networks let it drift."""
    curves = curves_db(settings)
    return curves - curves.mean(axis=1, keepdims=True)


def curve_table(curves: Float[np.ndarray, "tracks points"]) -> list[dict]:
    """A row a third octave: mean, standard deviation and quantiles over tracks in dB."""
    ends = np.percentile(curves, [5, 25, 50, 75, 95], axis=0)
    deviation = curves.std(axis=0, ddof=1)
    return [
        {"freq_hz": f, "mean_db": curves[:, i].mean(), "sd_db": deviation[i],
         **{f"p{p}_db": ends[n, i] for n, p in enumerate((5, 25, 50, 75, 95))}}
        for i, f in enumerate(THIRD_OCTAVES_HZ)
    ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kinds:
    """Clusters of curves, the largest first. of: each track's. centres: `[kinds, points]`. typical: the track nearest
    to each centre. silhouette: mean over tracks, −1 to 1. chance: what 95 % of clouds without kinds (normal, with the
    same covariance) stay below, cut in the same way: two halves of one long cloud reach 0.4 already."""

    of: Int[np.ndarray, "tracks"]
    centres: Float[np.ndarray, "kinds points"]
    typical: Int[np.ndarray, "kinds"]
    silhouette: float
    chance: float


def kinds_of(curves: Float[np.ndarray, "tracks points"], seed: int = 0) -> Kinds | None:
    """The best of two to six clusters by k-means; the number is that with the highest mean silhouette (Rousseeuw 1987).

    None for fewer than four tracks, or curves that are all alike.
    """
    if len(curves) < 4 or np.ptp(curves, axis=0).max() < 1e-6:
        return None
    draw = np.random.default_rng(seed)
    quality, centres, of = _best_cut(curves, draw)
    clouds = (
        draw.multivariate_normal(curves.mean(axis=0), np.cov(curves.T), min(len(curves), _JUDGED), method="eigh")
        for _ in range(_CLOUDS)
    )
    chance = float(np.percentile([_best_cut(cloud, draw)[0] for cloud in clouds], 95))
    order = np.argsort(-np.bincount(of, minlength=len(centres)), kind="stable")
    of, centres = np.argsort(order)[of], centres[order]
    distance = np.linalg.norm(curves[:, None] - centres[None], axis=2)
    return Kinds(of, centres, np.argmin(distance, axis=0), quality, chance)


def _best_cut(
    curves: Float[np.ndarray, "tracks points"], draw: np.random.Generator
) -> tuple[float, Float[np.ndarray, "kinds points"], Int[np.ndarray, "tracks"]]:
    """The silhouette, the centres and each track's cluster."""
    from scipy.cluster.vq import kmeans, vq

    judged, best = np.sort(draw.permutation(len(curves))[:_JUDGED]), None
    for count in range(2, min(_MOST_KINDS, len(curves) - 1) + 1):
        centres, _ = kmeans(curves, count, rng=draw)
        of, _ = vq(curves, centres)
        quality = silhouette(curves[judged], of[judged])
        if best is None or quality > best[0]:
            best = quality, centres, of
    return best


def silhouette(points: Float[np.ndarray, "rows dims"], of: Int[np.ndarray, "rows"]) -> float:
    """The mean of (b − a)/max(a, b): a, the mean distance to the others of the own cluster, b, that to those of
    the nearest other one (P. Rousseeuw 1987); a cluster of one counts as 0. NaN where there is one cluster."""
    names, own = np.unique(of, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    square = np.sum(points**2, axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2.0 * points @ points.T, 0.0))
    member = np.eye(len(names))[own]
    sums, sizes = distance @ member, member.sum(axis=0)
    row = np.arange(len(points))
    inside = sums[row, own] / np.maximum(sizes[own] - 1, 1)
    others = np.where(member.astype(bool), np.inf, sums / sizes[None]).min(axis=1)
    value = (others - inside) / np.maximum(np.maximum(inside, others), 1e-12)
    return float(np.mean(np.where(sizes[own] > 1, value, 0.0)))
