"""Band usage over a collection: open and active bands, their frequencies, redundant and opposing pairs."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float

from nmjax.analysis.responses import band_responses_db
from nmjax.dsp.filterbanks import THIRD_OCTAVES_HZ

MIN_ACTIVE_GAIN_DB = 0.1  # a band is active if it is open and its rendered gain is at least this: audible
REDUNDANT_COSINE = 0.9  # two bands are redundant from this cosine of their responses on, opposing up to its negative


def band_usage_table(
    freq_hz: Float[np.ndarray, "tracks bands"],
    gate: Float[np.ndarray, "tracks bands"],
    rendered_gain_db: Float[np.ndarray, "tracks bands"],
    gate_threshold: float,
) -> list[dict]:
    """A row for each band: statistics over the tracks.

    `open_share` is the share of tracks with a gate above the threshold, `active_share` that with such a gate and a
    rendered gain of at least `MIN_ACTIVE_GAIN_DB`; `status` is "never open", "never active", "always active" or "".
    """
    rows = []
    for band in range(freq_hz.shape[1]):
        f, g, r = freq_hz[:, band], gate[:, band], rendered_gain_db[:, band]
        is_open = g > gate_threshold
        is_active = is_open & (np.abs(r) >= MIN_ACTIVE_GAIN_DB)
        p10, median, p90 = np.percentile(f, [10, 50, 90])
        rows.append(
            {
                "band": band + 1,
                "freq_hz": median,
                "freq_hz_p10": p10,
                "freq_hz_p90": p90,
                "gate_mean": np.mean(g),
                "gate_std": np.std(g, ddof=1),
                "open_share": np.mean(is_open),
                "active_share": np.mean(is_active),
                "rendered_gain_db_mean": np.mean(r),
                "rendered_gain_db_std": np.std(r, ddof=1),
                "max_abs_gain_db": np.abs(r).max(),
                "status": _usage_status(is_open, is_active),
            }
        )
    return rows


def _usage_status(is_open: np.ndarray, is_active: np.ndarray) -> str:
    if not is_open.any():
        return "never open"
    if not is_active.any():
        return "never active"
    return "always active" if is_active.all() else ""


def count_active_bands(gate: Float[np.ndarray, "tracks bands"], gate_threshold: float) -> np.ndarray:
    """The number of gates above the threshold in each track, `[tracks]`."""
    return np.sum(gate > gate_threshold, axis=1)


def frequency_usage_table(
    freq_hz: Float[np.ndarray, "tracks bands"],
    gate: Float[np.ndarray, "tracks bands"],
    rendered_gain_db: Float[np.ndarray, "tracks bands"],
    gate_threshold: float,
) -> list[dict]:
    """A row for each third octave of IEC 61260, mean over the tracks.

    `bands` is the number of bands with their frequency in it, `open_bands` that of open ones, and `abs_gain_db` the sum
    of the absolute rendered gains of all of them.
    """
    edges = np.append(np.array(THIRD_OCTAVES_HZ) * 10.0**-0.05, THIRD_OCTAVES_HZ[-1] * 10.0**0.05)
    band_index = np.clip(np.digitize(freq_hz, edges) - 1, 0, len(THIRD_OCTAVES_HZ) - 1)
    weights = {
        "bands": np.ones_like(gate),
        "open_bands": gate > gate_threshold,
        "abs_gain_db": np.abs(rendered_gain_db),
    }
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
    """A row for each pair of bands: shares of tracks, and the median distance in octaves.

    Two bands are `both_active` where the rendered gains of both reach `MIN_ACTIVE_GAIN_DB`. They are also `redundant`
    where the cosine of their responses in third octaves is at least `REDUNDANT_COSINE`, and `opposing` where it is at
    most its negative.
    """
    responses_db = band_responses_db(freq_hz, rendered_gain_db, q)
    norms = np.linalg.norm(responses_db, axis=2)
    is_active = np.abs(rendered_gain_db) >= MIN_ACTIVE_GAIN_DB
    rows = []
    for a, b in itertools.combinations(range(freq_hz.shape[1]), 2):
        both = is_active[:, a] & is_active[:, b]
        product = np.einsum("tp,tp->t", responses_db[:, a], responses_db[:, b])
        cosine = product / np.maximum(norms[:, a] * norms[:, b], 1e-12)
        rows.append(
            {
                "band_a": a + 1,
                "band_b": b + 1,
                "redundant": np.mean(both & (cosine >= REDUNDANT_COSINE)),
                "opposing": np.mean(both & (cosine <= -REDUNDANT_COSINE)),
                "both_active": np.mean(both),
                "octaves": float(np.median(np.abs(np.log2(freq_hz[:, a] / freq_hz[:, b])))),
            }
        )
    return rows
