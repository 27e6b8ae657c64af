"""Fit as few peaking filters as needed to a curve: least squares on all of them, greedy insertion and pruning."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from nmjax.dsp import Bands
from nmjax.reference.filter_fit import FilterCost, FilterFit, Filters
from nmjax.reference.limits import MIN_BAND_DISTANCE_OCTAVES, NO_LIMITS, ResponseLimits
from nmjax.reference.response import MAX_BANDS, scale_into_limits

_START_Q = 1.0
_STEPS = 60
_CANDIDATES = 2  # filters whose removal is tried
_TRIAL_STEPS = 3  # of each candidate, the best of which is optimized to the end
_STRICT_LIMIT_WEIGHT = 300.0  # at the end, so that little is left to be scaled down
TOLERANCE_DB = 0.25  # RMS residual at which no filter is added
_MIN_COST_REDUCTION = 0.02  # a filter must reduce the cost by at least this share
_NEGLIGIBLE_DB = 0.1  # filters with less gain are dropped
_NEW_FILTERS = ((0.33, 1.0), (1.0, 0.7))  # smoothing of the residual in octaves, and Q of a filter at its peak
_MERGE_OCTAVES = 0.5  # a removed filter's gain is added to a neighbor closer than this
_FLAT = (1000.0, 0.0, _START_Q)


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

    Starting from the initial filters that have an audible gain, a filter is inserted at a peak or dip of the residual
    and all are optimized together, until the residual is `tolerance_db` RMS, another filter would reduce the cost by
    less than 2 %, or there are `max_bands`. After each step, filters whose removal costs less than 2 % are removed, and
    of two within a sixth of an octave the smaller one.

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
    freq_hz, target_db, weight = (np.asarray(x, np.float64) for x in (freq_hz, target_db, weight))
    cost = FilterCost(freq_hz, target_db, weight, gain_penalty, limits)
    best = _prune(cost.optimize(_initial_filters(initial, max_bands), _STEPS), cost)
    while best.num_filters < max_bands and np.average(best.residual_db**2, weights=weight) > tolerance_db**2:
        candidate = _prune(_insert_filter(best, cost), cost)
        if candidate.cost > (1.0 - _MIN_COST_REDUCTION) * best.cost:
            break
        best = candidate
    strict = dataclasses.replace(cost, limit_weight=_STRICT_LIMIT_WEIGHT)
    best = _separate(strict.optimize(best.filters, _STEPS), strict)
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
    filters = Filters(start_hz, gain_db, np.full(count, _START_Q))
    cost = FilterCost(freq_hz, np.asarray(target_db, np.float64), np.ones(len(freq_hz)), 0.0, NO_LIMITS)
    return _as_bands(cost.optimize(filters, _STEPS).filters)


def _prune(fit: FilterFit, cost: FilterCost) -> FilterFit:
    """Remove filters that are too close to another, then those whose removal costs less than `_MIN_COST_REDUCTION`,
    the least important first."""
    fit = _separate(fit, cost)
    while fit.num_filters > 1:
        candidates = sorted((_remove_filter(fit.filters, i) for i in range(fit.num_filters)), key=cost.of)
        best = _best_of(candidates[:_CANDIDATES], cost)
        best = _separate(best, cost)
        if (1.0 - _MIN_COST_REDUCTION) * best.cost > fit.cost:
            break
        fit = best
    return fit


def _separate(fit: FilterFit, cost: FilterCost) -> FilterFit:
    """Remove the smaller one of two filters within a sixth of an octave, until there are none."""
    while fit.num_filters > 1:
        octaves = np.log2(fit.filters.freq_hz)
        distance = np.abs(octaves[:, None] - octaves) + np.diag(np.full(fit.num_filters, np.inf))
        pair = np.array(np.unravel_index(np.argmin(distance), distance.shape))
        if distance.min() >= MIN_BAND_DISTANCE_OCTAVES:
            break
        smaller = pair[np.argmin(np.abs(fit.filters.gain_db[pair]))]
        fit = cost.optimize(_remove_filter(fit.filters, int(smaller)), _STEPS)
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
    """The filters with an audible gain, at most `max_bands`, the largest gains first; a flat one if there are none."""
    filters = Filters(*(np.asarray(x, np.float64)[0] for x in (initial.freq_hz, initial.gain_db, initial.q)))
    order = np.argsort(-np.abs(filters.gain_db), kind="stable")[:max_bands]
    return _audible(filters, order)


def _insert_filter(fit: FilterFit, cost: FilterCost) -> FilterFit:
    """The filters and a new one at a peak or dip of the smoothed residual, whichever serves best."""
    octaves = np.log2(cost.freq_hz)
    starts = []
    for width, q in _NEW_FILTERS:
        kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / width) ** 2) * cost.weight
        smooth_db = kernel @ fit.residual_db / kernel.sum(axis=1)
        importance_db = smooth_db * np.sqrt(cost.weight)
        starts += [(cost.freq_hz[i], smooth_db[i], q) for i in (np.argmax(importance_db), np.argmin(importance_db))]
    candidates = [
        Filters(*(np.append(values, value) for values, value in zip(fit.filters, start, strict=True)))
        for start in starts
    ]
    return _best_of(candidates, cost)


def _best_of(candidates: Sequence[Filters], cost: FilterCost) -> FilterFit:
    """The candidate that is best after a few steps, optimized to the end."""
    best = min((cost.optimize(x, _TRIAL_STEPS) for x in candidates), key=lambda x: x.cost)
    return cost.optimize(best.filters, _STEPS)


def _audible(filters: Filters, order: Int[np.ndarray, " chosen"]) -> Filters:
    """The filters with an audible gain, in an order; a flat one if there are none."""
    order = order[np.abs(filters.gain_db[order]) >= _NEGLIGIBLE_DB]
    return Filters(*(x[order] for x in filters)) if len(order) else Filters(*(np.array([x]) for x in _FLAT))


def _to_bands(filters: Filters) -> Bands:
    """The filters with an audible gain in order of frequency; a flat one if there are none."""
    return _as_bands(_audible(filters, np.argsort(filters.freq_hz, kind="stable")))


def _as_bands(filters: Filters) -> Bands:
    rows: Any = (x[None].astype(np.float32) for x in filters)
    return Bands(*rows)
