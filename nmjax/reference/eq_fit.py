"""Fit as few peaking filters as needed to a curve: least squares on all of them, with greedy insertion and pruning."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands
from nmjax.reference.filter_cost import FilterCost, FilterFit, TargetCurve
from nmjax.reference.limits import MIN_BAND_DISTANCE_OCTAVES, NO_LIMITS, ResponseLimits
from nmjax.reference.peaking_response import Filters
from nmjax.reference.response import MAX_BANDS, scale_into_limits

_START_Q = 1.0
_TOLERANCE, _SCREENING_TOLERANCE, _FINAL_TOLERANCE = 1e-4, 1e-3, 1e-6  # relative decrease at which a fit ends
_SCREENED = 2  # candidates that are fitted, those with the smallest predicted costs
_MAX_PREDICTED_INCREASE = 0.1  # a removal is not tried where it is predicted to cost a larger share
TOLERANCE_DB = 0.25  # RMS residual at which no filter is added
_MIN_COST_REDUCTION = 0.02  # a filter must reduce the cost by at least this share
_NEGLIGIBLE_DB = 0.1  # filters with less gain are dropped
_SMOOTH_OCTAVES = 0.33  # smoothing of the residual before a filter is inserted at one of its peaks
_PEAKS, _INSERTED_Q = 4, (1.0, 2.5)  # where it may be inserted, with which Q
_MERGE_OCTAVES = 0.5  # a removed filter's gain is added to a neighbor closer than this


def fit_bands(
    initial: Bands,
    freq_hz: Float[np.ndarray, " points"],
    target_db: Float[np.ndarray, " points"],
    weight: Float[np.ndarray, " points"],
    gain_penalty: float = 0.0,
    max_bands: int = MAX_BANDS,
    limits: ResponseLimits = NO_LIMITS,
    tolerance_db: float = TOLERANCE_DB,
) -> Bands:
    """Fit as few peaking filters as needed to a curve, up to a constant.

    Starting from the initial filters that have an audible gain, a filter is inserted at a peak of the residual and all
    are optimized together, until the residual is `tolerance_db` RMS, another filter would reduce the cost by less
    than 2 %, or there are `max_bands`. After each step, filters whose removal costs less than 2 % are removed, and of
    two within a sixth of an octave the smaller one.

    Args:
        initial: filters to start from, `[1, bands]`; of more than `max_bands` those with the largest gains.
        freq_hz: grid, evenly spaced in octaves.
        target_db: curve on the grid.
        weight: weight of each point.
        gain_penalty: cost of 1 dB of a filter's gain, in dB² of the mean squared residual.
        max_bands: largest number of filters.
        limits: of the summed response, a part of the fit; what it misses is scaled down. Shares of the power are those
            of the points.
        tolerance_db: RMS of the residual at which no filter is added.

    Returns:
        Filters `[1, bands]` in order of frequency: 20 Hz to 20 kHz, ±12 dB, Q 0.5 to 5.
    """
    cost = FilterCost(TargetCurve(freq_hz, target_db, weight), gain_penalty, limits)
    best = _prune(cost.minimize(_initial_filters(initial, max_bands), _TOLERANCE), cost)
    while len(best.filters.q) < max_bands and _rms_db(best, cost) > tolerance_db:
        candidate = _best_fit(_insertions(best.filters, cost), cost)
        candidate = _prune(candidate, cost) if candidate else best
        if candidate.cost > (1.0 - _MIN_COST_REDUCTION) * best.cost:
            break
        best = candidate
    best = cost.minimize(best.filters, _FINAL_TOLERANCE)
    return scale_into_limits(_to_bands(best.filters), limits)


def fit_fixed_count(
    freq_hz: Float[np.ndarray, " points"], target_db: Float[np.ndarray, " points"], count: int
) -> Bands:
    """Fit `count` peaking filters to a curve, up to a constant, without a penalty: about the best that `count` can do.

    Args:
        freq_hz: grid, evenly spaced in octaves.
        target_db: curve on the grid.
        count: number of filters; they start evenly spaced from 56 Hz to 10 kHz.

    Returns:
        Filters `[1, count]`, in the ranges of `fit_bands`.
    """
    start_hz = np.geomspace(56.0, 10_000.0, count)
    gain_db = np.interp(np.log(start_hz), np.log(freq_hz), target_db - np.mean(target_db))
    cost = FilterCost(TargetCurve(freq_hz, target_db, np.ones(len(freq_hz))), 0.0, NO_LIMITS)
    fitted = cost.minimize(Filters(start_hz, gain_db, np.full(count, _START_Q)), _FINAL_TOLERANCE)
    return _as_bands(fitted.filters)


def _prune(fit: FilterFit, cost: FilterCost) -> FilterFit:
    """Remove filters that are too close to another, then those whose removal costs less than `_MIN_COST_REDUCTION`,
    the least important first."""
    fit = _separate(fit, cost)
    while len(fit.filters.q) > 1:
        candidates = [_remove_filter(fit.filters, index) for index in range(len(fit.filters.q))]
        best = _best_fit(candidates, cost, (1.0 + _MAX_PREDICTED_INCREASE) * fit.cost)
        if best is None:
            break
        best = _separate(best, cost)
        if (1.0 - _MIN_COST_REDUCTION) * best.cost > fit.cost:
            break
        fit = best
    return fit


def _best_fit(candidates: list[Filters], cost: FilterCost, max_predicted: float = np.inf) -> FilterFit | None:
    """The best fit from those starts whose predicted costs are the smallest; None where they are too large."""
    predicted = [cost.predict(filters) for filters in candidates]
    promising = [index for index in np.argsort(predicted)[:_SCREENED] if predicted[index] < max_predicted]
    if not promising:
        return None
    screened = [cost.minimize(candidates[index], _SCREENING_TOLERANCE) for index in promising]
    return cost.minimize(min(screened, key=lambda fit: fit.cost).filters, _TOLERANCE)


def _separate(fit: FilterFit, cost: FilterCost) -> FilterFit:
    """Remove the smaller one of two filters within a sixth of an octave, until there are none."""
    while len(fit.filters.q) > 1:
        octaves = np.log2(fit.filters.freq_hz)
        distance = np.abs(octaves[:, None] - octaves) + np.diag(np.full(len(fit.filters.q), np.inf))
        pair = np.array(np.unravel_index(np.argmin(distance), distance.shape))
        if distance.min() >= MIN_BAND_DISTANCE_OCTAVES:
            break
        smaller = pair[np.argmin(np.abs(fit.filters.gain_db[pair]))]
        fit = cost.minimize(_remove_filter(fit.filters, int(smaller)), _TOLERANCE)
    return fit


def _remove_filter(filters: Filters, index: int) -> Filters:
    """The filters without one, whose gain is added to its nearest neighbor."""
    gain_db = filters.gain_db.copy()
    distance_octaves = np.abs(np.log2(filters.freq_hz / filters.freq_hz[index]))
    distance_octaves[index] = np.inf
    nearest = np.argmin(distance_octaves)
    if distance_octaves[nearest] < _MERGE_OCTAVES:
        gain_db[nearest] += gain_db[index]
    return Filters(*(np.delete(values, index) for values in filters._replace(gain_db=gain_db)))


def _initial_filters(initial: Bands, max_bands: int) -> Filters:
    """The filters with an audible gain, at most `max_bands`, the largest gains first."""
    freq_hz, gain_db, q = (np.asarray(x, np.float64)[0] for x in (initial.freq_hz, initial.gain_db, initial.q))
    order = np.argsort(-np.abs(gain_db), kind="stable")[:max_bands]
    order = order[np.abs(gain_db[order]) >= _NEGLIGIBLE_DB]
    return Filters(freq_hz[order], gain_db[order], q[order])


def _rms_db(fit: FilterFit, cost: FilterCost) -> float:
    return float(np.sqrt(np.average(cost.residual_db(fit.filters) ** 2, weights=cost.target.weight)))


def _insertions(filters: Filters, cost: FilterCost) -> list[Filters]:
    """The filters and a new one: at one of the highest peaks of the smoothed residual, of either sign."""
    octaves, weight = np.log2(cost.target.freq_hz), cost.target.weight
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2) * weight
    smooth_db = kernel @ cost.residual_db(filters) / kernel.sum(axis=1)
    height = np.pad(np.abs(smooth_db) * np.sqrt(weight), 1)
    peaks = np.flatnonzero((height[1:-1] >= height[:-2]) & (height[1:-1] > height[2:]))
    peaks = peaks[np.argsort(-height[1 + peaks])][:_PEAKS]
    new = [(cost.target.freq_hz[peak], smooth_db[peak], q) for peak in peaks for q in _INSERTED_Q]
    return [Filters(*(np.append(x, value) for x, value in zip(filters, one, strict=True))) for one in new]


def _to_bands(filters: Filters) -> Bands:
    """The filters with an audible gain in order of frequency; a flat one if there are none."""
    order = np.argsort(filters.freq_hz, kind="stable")
    order = order[np.abs(filters.gain_db[order]) >= _NEGLIGIBLE_DB]
    if not len(order):
        return _as_bands(Filters(np.array([1000.0]), np.array([0.0]), np.array([_START_Q])))
    return _as_bands(Filters(*(values[order] for values in filters)))


def _as_bands(filters: Filters) -> Bands:
    rows: Any = [values[None].astype(np.float32) for values in filters]
    return Bands(*rows)
