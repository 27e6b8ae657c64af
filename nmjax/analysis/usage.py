"""Which bands a network uses: gates over a collection, where bands stand, which do the same job, which never act."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float

from nmjax.analysis.curves import band_responses_db
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ

MIN_ACTIVE_GAIN_DB = 0.1  # a band whose rendered gain is smaller does nothing that can be heard
REDUNDANT_COSINE = 0.9  # of the cosine between two bands' curves, from which on they do one job (or undo each other's)


def band_usage_table(
    freq_hz: Float[np.ndarray, "tracks bands"],
    gate: Float[np.ndarray, "tracks bands"],
    rendered_gain_db: Float[np.ndarray, "tracks bands"],
    gate_threshold: float,
) -> list[dict]:
    """A row a band: median frequency and its 10th and 90th percentile; mean and standard deviation of gate and rendered
    gain; `open`, the share of tracks with a gate above the threshold; `acts`, that with such a gate and a rendered gain
    of at least ACTS_DB; `largest_db`, the largest rendered gain; `verdict`."""
    rows = []
    for band in range(freq_hz.shape[1]):
        f, g, r = freq_hz[:, band], gate[:, band], rendered_gain_db[:, band]
        is_open = g > gate_threshold
        is_active = is_open & (np.abs(r) >= MIN_ACTIVE_GAIN_DB)
        low, middle, high = np.percentile(f, [10, 50, 90])
        rows.append({
            "band": band + 1, "freq_hz": middle, "freq_hz_p10": low, "freq_hz_p90": high,
            "gate_mean": np.mean(g), "gate_sd": np.std(g, ddof=1), "open": np.mean(is_open), "acts": np.mean(is_active),
            "rendered_db_mean": np.mean(r), "rendered_db_sd": np.std(r, ddof=1), "largest_db": np.abs(r).max(),
            "verdict": _usage_status(is_open, is_active),
        })  # fmt: skip
    return rows


def _usage_status(is_open: np.ndarray, is_active: np.ndarray) -> str:
    if not is_open.any():
        return "never open"
    if not is_active.any():
        return "never acts"
    return "always acts" if is_active.all() else ""


def count_active_bands(gate: Float[np.ndarray, "tracks bands"], gate_threshold: float) -> np.ndarray:
    """How many gates of each track are above the threshold, `[tracks]` int."""
    return np.sum(gate > gate_threshold, axis=1)


def frequency_usage_table(
    freq_hz: Float[np.ndarray, "tracks bands"],
    gate: Float[np.ndarray, "tracks bands"],
    rendered_gain_db: Float[np.ndarray, "tracks bands"],
    gate_threshold: float,
) -> list[dict]:
    """A row a third octave of IEC 61260: how many bands stand there, how many of these are open, and the sum of their
    rendered gains' sizes; each a mean over tracks."""
    edges = np.append(np.array(THIRD_OCTAVES_HZ) * 10.0**-0.05, THIRD_OCTAVES_HZ[-1] * 10.0**0.05)
    band_index = np.clip(np.digitize(freq_hz, edges) - 1, 0, len(THIRD_OCTAVES_HZ) - 1)
    weights = {"bands": np.ones_like(gate), "open": gate > gate_threshold, "moved_db": np.abs(rendered_gain_db)}
    sums = {
        name: np.bincount(band_index.ravel(), np.ravel(w).astype(np.float64), len(THIRD_OCTAVES_HZ)) / len(freq_hz)
        for name, w in weights.items()
    }
    return [{"freq_hz": f, **{n: x[i] for n, x in sums.items()}} for i, f in enumerate(THIRD_OCTAVES_HZ)]


def band_pair_table(
    freq_hz: Float[np.ndarray, "tracks bands"],
    rendered_gain_db: Float[np.ndarray, "tracks bands"],
    q: Float[np.ndarray, "tracks bands"],
) -> list[dict]:
    """A row a pair of bands: the share of tracks in which they do one job (`same`) and in which they undo each other's
    (`against`), the share in which both move anything (`both`), and their median distance in octaves.

    A band's curve is its response in third octaves; two do the same job where the cosine between them is at least ALIKE
    and both reach ACTS_DB, and undo each other's where it is at most −ALIKE.
    """
    responses_db = band_responses_db(freq_hz, rendered_gain_db, q)
    norms = np.linalg.norm(responses_db, axis=2)
    is_active = np.abs(rendered_gain_db) >= MIN_ACTIVE_GAIN_DB
    rows = []
    for a, b in itertools.combinations(range(freq_hz.shape[1]), 2):
        both = is_active[:, a] & is_active[:, b]
        product = np.einsum("tp,tp->t", responses_db[:, a], responses_db[:, b])
        cosine = product / np.maximum(norms[:, a] * norms[:, b], 1e-12)
        rows.append({
            "band_a": a + 1, "band_b": b + 1, "same": np.mean(both & (cosine >= REDUNDANT_COSINE)),
            "against": np.mean(both & (cosine <= -REDUNDANT_COSINE)), "both": np.mean(both),
            "octaves": float(np.median(np.abs(np.log2(freq_hz[:, a] / freq_hz[:, b])))),
        })  # fmt: skip
    return rows
