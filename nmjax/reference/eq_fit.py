"""Fit as few peaking filters as needed to a curve: descent on all of them, with greedy insertion and pruning."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Bands
from nmjax.reference.filter_descent import Filters, TargetCurve, run_adam
from nmjax.reference.limits import MIN_BAND_DISTANCE_OCTAVES, NO_LIMITS, ResponseLimits
from nmjax.reference.response import MAX_BANDS, scale_into_limits
from nmjax.runtime.lazy_jax import jax

_START_Q = 1.0
_STEPS = 600
_SCREENING_STEPS = 150  # to find the filter whose removal costs least
TOLERANCE_DB = 0.25  # RMS residual at which no filter is added
_MIN_COST_REDUCTION = 0.02  # a filter must reduce the cost by at least this share
_NEGLIGIBLE_DB = 0.1  # filters with less gain are dropped
_SMOOTH_OCTAVES = 0.33  # smoothing of the residual before a filter is inserted at its peak
_MERGE_OCTAVES = 0.5  # a removed filter's gain is added to a neighbor closer than this

Arrays = TypeVar("Arrays")
_PADDING = (1000.0, 0.0, _START_Q, 0.0)


class _Fitting(NamedTuple):
    """What filters are fitted to."""

    target: TargetCurve
    gain_penalty: float
    limits: ResponseLimits


@dataclasses.dataclass(frozen=True)
class _EqFit:
    """Optimized filters, target minus their response, and the cost."""

    filters: Filters
    residual_db: Float[np.ndarray, " points"]
    cost: float

    @property
    def num_filters(self) -> int:
        return int(self.filters.active.sum())


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

    Starting from the initial filters that have an audible gain, a filter is inserted at the peak of the residual and
    all are optimized together, until the residual is `tolerance_db` RMS, another filter would reduce the cost by less
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
    fitting = _Fitting(_as_float32(TargetCurve(freq_hz, target_db, weight)), gain_penalty, limits)
    best = _prune(_optimize(_initial_filters(initial, max_bands), fitting), fitting)
    while best.num_filters < max_bands and np.average(best.residual_db**2, weights=weight) > tolerance_db**2:
        candidate = _prune(_optimize(_insert_filter(best, freq_hz, weight), fitting), fitting)
        if candidate.cost > (1.0 - _MIN_COST_REDUCTION) * best.cost:
            break
        best = candidate
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
    filters = Filters(start_hz, gain_db, np.full(count, _START_Q), np.ones(count))
    target = TargetCurve(freq_hz, target_db, np.ones(len(freq_hz)))
    fitted, _, _ = run_adam(
        _as_float32(filters), _as_float32(target), _as_float32(NO_LIMITS), np.float32(0.0), np.int32(_STEPS)
    )
    fitted_hz, fitted_gain_db, fitted_q = (x[None] for x in fitted)
    return Bands(freq_hz=fitted_hz, gain_db=fitted_gain_db, q=fitted_q)


def _as_float32(arrays: Arrays) -> Arrays:
    return jax.tree.map(lambda x: np.asarray(x, np.float32), arrays)


def _optimize(filters: Filters, fitting: _Fitting, steps: int = _STEPS) -> _EqFit:
    limits, gain_penalty = _as_float32(fitting.limits), np.float32(fitting.gain_penalty)
    fitted, residual_db, cost = run_adam(_as_float32(filters), fitting.target, limits, gain_penalty, np.int32(steps))
    freq_hz, gain_db, q = (np.array(x, np.float64) for x in fitted)
    return _EqFit(Filters(freq_hz, gain_db, q, filters.active), np.asarray(residual_db, np.float64), float(cost))


def _prune(fit: _EqFit, fitting: _Fitting) -> _EqFit:
    """Remove filters that are too close to another, then those whose removal costs less than `_MIN_COST_REDUCTION`,
    the least important first."""
    fit = _separate(fit, fitting)
    while fit.num_filters > 1:
        candidates = [_remove_filter(fit.filters, index) for index in range(fit.num_filters)]
        costs = [_optimize(filters, fitting, _SCREENING_STEPS).cost for filters in candidates]
        best = _separate(_optimize(candidates[int(np.argmin(costs))], fitting), fitting)
        if (1.0 - _MIN_COST_REDUCTION) * best.cost > fit.cost:
            break
        fit = best
    return fit


def _separate(fit: _EqFit, fitting: _Fitting) -> _EqFit:
    """Remove the smaller one of two filters within a sixth of an octave, until there are none."""
    while fit.num_filters > 1:
        octaves = np.log2(fit.filters.freq_hz[: fit.num_filters])
        distance = np.abs(octaves[:, None] - octaves) + np.diag(np.full(fit.num_filters, np.inf))
        pair = np.array(np.unravel_index(np.argmin(distance), distance.shape))
        if distance.min() >= MIN_BAND_DISTANCE_OCTAVES:
            break
        smaller = pair[np.argmin(np.abs(fit.filters.gain_db[pair]))]
        fit = _optimize(_remove_filter(fit.filters, int(smaller)), fitting)
    return fit


def _remove_filter(filters: Filters, index: int) -> Filters:
    """The filters without one, whose gain is added to its nearest neighbor."""
    gain_db = filters.gain_db.copy()
    distance_octaves = np.where(filters.active > 0.0, np.abs(np.log2(filters.freq_hz / filters.freq_hz[index])), np.inf)
    distance_octaves[index] = np.inf
    nearest = np.argmin(distance_octaves)
    if distance_octaves[nearest] < _MERGE_OCTAVES:
        gain_db[nearest] += gain_db[index]
    columns = zip(filters._replace(gain_db=gain_db), _PADDING, strict=True)
    return Filters(*(np.append(np.delete(values, index), unused) for values, unused in columns))


def _initial_filters(initial: Bands, max_bands: int) -> Filters:
    """The filters with an audible gain, at most `max_bands`, the largest gains first."""
    freq_hz, gain_db, q = (np.asarray(x, np.float64)[0] for x in (initial.freq_hz, initial.gain_db, initial.q))
    order = np.argsort(-np.abs(gain_db), kind="stable")[:max_bands]
    order = order[np.abs(gain_db[order]) >= _NEGLIGIBLE_DB]
    filters = Filters(*(np.full(max(max_bands, MAX_BANDS), value) for value in _PADDING))  # one program for any number
    for values, column in zip(filters, (freq_hz, gain_db, q, np.ones_like(freq_hz)), strict=True):
        values[: len(order)] = column[order]
    return filters


def _insert_filter(fit: _EqFit, freq_hz: Float[np.ndarray, " points"], weight: Float[np.ndarray, " points"]) -> Filters:
    """The filters and a new one at the peak of the smoothed residual."""
    octaves = np.log2(freq_hz)
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2) * weight
    smooth_db = kernel @ fit.residual_db / kernel.sum(axis=1)
    peak = int(np.argmax(np.abs(smooth_db) * np.sqrt(weight)))
    filters = Filters(*(values.copy() for values in fit.filters))
    for values, value in zip(filters, (freq_hz[peak], smooth_db[peak], _START_Q, 1.0), strict=True):
        values[fit.num_filters] = value
    return filters


def _to_bands(filters: Filters) -> Bands:
    """The filters with an audible gain in order of frequency; a flat one if there are none."""
    order = np.argsort(filters.freq_hz, kind="stable")
    order = order[np.abs(filters.gain_db[order]) >= _NEGLIGIBLE_DB]
    if not len(order):
        filters, order = Filters(*(np.array([value]) for value in _PADDING)), np.array([0])
    rows: Any = _as_float32([x[order][None] for x in filters[:3]])
    return Bands(*rows)
