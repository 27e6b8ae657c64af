"""Fit peaking filters to a target curve: Adam on frequency, gain and Q, with greedy insertion and pruning."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands
from nmjax.dsp.numerics import smooth_abs
from nmjax.models import SAMPLE_RATE
from nmjax.reference.gradient_descent import minimize
from nmjax.reference.limits import (
    BASS_HZ,
    EMPTY_BOOST_DB,
    MIN_BAND_DISTANCE_OCTAVES,
    NO_LIMITS,
    SUB_BASS_HZ,
    ResponseLimits,
)
from nmjax.reference.response import MAX_BANDS, scale_into_limits
from nmjax.runtime.stored_programs import stored_jit

MAX_GAIN_DB = 12.0
_MIN_HZ, _MAX_HZ = 20.0, 20_000.0
_Q_RANGE = (0.5, 5.0)
_START_Q = 1.0
_STEPS, _LEARNING_RATE = 600, 0.05
_SCREENING_STEPS = 150  # to find the filter whose removal costs least
TOLERANCE_DB = 0.25  # RMS residual at which no filter is added
_MIN_COST_REDUCTION = 0.02  # a filter must reduce the cost by at least this share
_FILTER_PENALTY_DB = 0.3  # each filter costs as much as this gain, so that two filters at one frequency are merged
_NEGLIGIBLE_DB = 0.1  # filters with less gain are dropped
_SMOOTH_OCTAVES = 0.33  # smoothing of the residual before a filter is inserted at its peak
_MERGE_OCTAVES = 0.5  # a removed filter's gain is added to a neighbor closer than this
_END_GRID_HZ = (12.0, 15.0, 18.0, 21.0, 16_000.0, 18_000.0, 20_000.0)  # where limits hold beyond a curve's own grid
_LIMIT_WEIGHT = 30.0  # cost of the mean squared excess over the limits, relative to that of the residual
_UNLIMITED_DB = 1e3
_LIMIT_MARGIN_DB = 0.45  # a little more than the margin of the scaling, since a penalty gives way a little
_FITTED_EMPTY_DB = 0.4 * EMPTY_BOOST_DB  # the same where a track holds nothing, so that no gain is scaled down for it
_DISTANCE_WEIGHT_DB2 = 2.0  # cost of two filters at one frequency; 0 from 1.3 times the smallest distance on
_DISTANCE_MARGIN = 1.3

Arrays = TypeVar("Arrays")


class _Filters(NamedTuple):
    """Peaking filters, padded to a fixed number; `active` is 1 for a filter and 0 for padding, which comes last."""

    freq_hz: Float[np.ndarray, " filters"]
    gain_db: Float[np.ndarray, " filters"]
    q: Float[np.ndarray, " filters"]
    active: Float[np.ndarray, " filters"]


_PADDING = (1000.0, 0.0, _START_Q, 0.0)


class _Target(NamedTuple):
    """A curve at evenly spaced points in octaves, and the weight of each point."""

    freq_hz: Float[np.ndarray, " points"]
    curve_db: Float[np.ndarray, " points"]
    weight: Float[np.ndarray, " points"]


class _Fitting(NamedTuple):
    """What filters are fitted to."""

    target: _Target
    gain_penalty: float
    limits: ResponseLimits


@dataclasses.dataclass(frozen=True)
class _EqFit:
    """Optimized filters, target minus their response, and the cost."""

    filters: _Filters
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
    fitting = _Fitting(_as_float32(_Target(freq_hz, target_db, weight)), gain_penalty, limits)
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
    filters = _Filters(start_hz, gain_db, np.full(count, _START_Q), np.ones(count))
    target = _Target(freq_hz, target_db, np.ones(len(freq_hz)))
    fitted, _, _ = _run_adam(_as_float32(filters), _as_float32(target), _as_float32(NO_LIMITS), 0.0, _STEPS)
    fitted_hz, fitted_gain_db, fitted_q = (x[None] for x in fitted)
    return Bands(freq_hz=fitted_hz, gain_db=fitted_gain_db, q=fitted_q)


def _as_float32(arrays: Arrays) -> Arrays:
    return jax.tree.map(lambda x: np.asarray(x, np.float32), arrays)


def _optimize(filters: _Filters, fitting: _Fitting, steps: int = _STEPS) -> _EqFit:
    fitted, residual_db, cost = _run_adam(
        _as_float32(filters), fitting.target, _as_float32(fitting.limits), fitting.gain_penalty, steps
    )
    freq_hz, gain_db, q = (np.array(x, np.float64) for x in fitted)
    return _EqFit(_Filters(freq_hz, gain_db, q, filters.active), np.asarray(residual_db, np.float64), float(cost))


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


def _remove_filter(filters: _Filters, index: int) -> _Filters:
    """The filters without one, whose gain is added to its nearest neighbor."""
    gain_db = filters.gain_db.copy()
    distance_octaves = np.where(filters.active > 0.0, np.abs(np.log2(filters.freq_hz / filters.freq_hz[index])), np.inf)
    distance_octaves[index] = np.inf
    nearest = np.argmin(distance_octaves)
    if distance_octaves[nearest] < _MERGE_OCTAVES:
        gain_db[nearest] += gain_db[index]
    columns = zip(filters._replace(gain_db=gain_db), _PADDING, strict=True)
    return _Filters(*(np.append(np.delete(values, index), unused) for values, unused in columns))


def _initial_filters(initial: Bands, max_bands: int) -> _Filters:
    """The filters with an audible gain, at most `max_bands`, the largest gains first."""
    freq_hz, gain_db, q = (np.asarray(x, np.float64)[0] for x in (initial.freq_hz, initial.gain_db, initial.q))
    order = np.argsort(-np.abs(gain_db), kind="stable")[:max_bands]
    order = order[np.abs(gain_db[order]) >= _NEGLIGIBLE_DB]
    filters = _Filters(*(np.full(max(max_bands, MAX_BANDS), value) for value in _PADDING))  # one program for any number
    for values, column in zip(filters, (freq_hz, gain_db, q, np.ones_like(freq_hz)), strict=True):
        values[: len(order)] = column[order]
    return filters


def _insert_filter(
    fit: _EqFit, freq_hz: Float[np.ndarray, " points"], weight: Float[np.ndarray, " points"]
) -> _Filters:
    """The filters and a new one at the peak of the smoothed residual."""
    octaves = np.log2(freq_hz)
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2) * weight
    smooth_db = kernel @ fit.residual_db / kernel.sum(axis=1)
    peak = int(np.argmax(np.abs(smooth_db) * np.sqrt(weight)))
    filters = _Filters(*(values.copy() for values in fit.filters))
    for values, value in zip(filters, (freq_hz[peak], smooth_db[peak], _START_Q, 1.0), strict=True):
        values[fit.num_filters] = value
    return filters


def _to_bands(filters: _Filters) -> Bands:
    """The filters with an audible gain in order of frequency; a flat one if there are none."""
    order = np.argsort(filters.freq_hz, kind="stable")
    order = order[np.abs(filters.gain_db[order]) >= _NEGLIGIBLE_DB]
    if not len(order):
        filters, order = _Filters(*(np.array([value]) for value in _PADDING)), np.array([0])
    freq_hz, gain_db, q, _ = (jnp.asarray(x[order][None], jnp.float32) for x in filters)
    return Bands(freq_hz=freq_hz, gain_db=gain_db, q=q)


@stored_jit(static_argnums=(3, 4))
def _run_adam(filters: _Filters, target: _Target, limits: ResponseLimits, gain_penalty: float, steps: int):
    """Optimize the active filters: (frequency, gain, Q), the residual in dB without its weighted mean, and the cost."""

    start_hz, start_gain_db, start_q, active = (jnp.asarray(x) for x in filters)
    grid_hz, target_db, weight = (jnp.asarray(x) for x in target)

    def decode(raw):
        freq_hz = _MIN_HZ * (_MAX_HZ / _MIN_HZ) ** jax.nn.sigmoid(raw[0])
        gain_db = active * MAX_GAIN_DB * jnp.tanh(raw[1])
        return freq_hz, gain_db, _Q_RANGE[0] + (_Q_RANGE[1] - _Q_RANGE[0]) * jax.nn.sigmoid(raw[2])

    def residual_and_excess(raw):
        freq_hz, gain_db, q = decode(raw)
        points_hz = jnp.concatenate([grid_hz, jnp.asarray(_END_GRID_HZ, jnp.float32), freq_hz])
        response = _peaking_response_db(freq_hz, gain_db, q, points_hz)
        curve_db = response[: len(grid_hz)]
        power_share = limits.mid_share + limits.side_share
        level_db = 10.0 * jnp.log10(1.0 + jnp.sum(power_share * (10.0 ** (curve_db / 10.0) - 1.0)))
        limit_db = jnp.where(points_hz < SUB_BASS_HZ, limits.sub_bass_db, limits.above_db) + level_db - _LIMIT_MARGIN_DB
        has_sound = (points_hz >= limits.lowest_hz) & (points_hz <= limits.highest_hz)
        limit_db = jnp.where(has_sound, limit_db, jnp.minimum(limit_db, _FITTED_EMPTY_DB))
        residual = target_db - curve_db
        mean_db = jnp.sum(weight * residual) / jnp.sum(weight)
        smallest_db = jnp.where(points_hz < BASS_HZ, limits.min_bass_db + _LIMIT_MARGIN_DB, -_UNLIMITED_DB)
        smallest_db = jnp.maximum(smallest_db, level_db - limits.cut_db + _LIMIT_MARGIN_DB)
        excess_db = jnp.maximum(jnp.maximum(response - limit_db, smallest_db - response), 0.0)
        return residual - mean_db, jnp.mean(excess_db**2)

    def closeness_of(raw):
        octaves = jnp.log2(decode(raw)[0])
        smallest = _DISTANCE_MARGIN * MIN_BAND_DISTANCE_OCTAVES
        closeness = jnp.maximum(1.0 - jnp.abs(octaves[:, None] - octaves[None]) / smallest, 0.0) ** 2
        return jnp.sum(jnp.triu(closeness * active[:, None] * active[None], k=1))

    def objective(raw):
        _, gain_db, q = decode(raw)
        penalty = jnp.sum(smooth_abs(gain_db)) + jnp.sum(active * (_FILTER_PENALTY_DB + jnp.log(q) ** 2 / 4.0))
        residual, excess = residual_and_excess(raw)
        cost = jnp.sum(weight * residual**2) / jnp.sum(weight) + gain_penalty * penalty
        return cost + _LIMIT_WEIGHT * excess + _DISTANCE_WEIGHT_DB2 * closeness_of(raw)

    position = jnp.log(start_hz / _MIN_HZ) / np.log(_MAX_HZ / _MIN_HZ)
    gain = jnp.arctanh(jnp.clip(start_gain_db / MAX_GAIN_DB, -0.97, 0.97))
    raw = jnp.stack([_logit(position), gain, _logit((start_q - _Q_RANGE[0]) / (_Q_RANGE[1] - _Q_RANGE[0]))])
    best, cost = minimize(objective, raw, steps, _LEARNING_RATE)
    return decode(best), residual_and_excess(best)[0], cost


def _peaking_response_db(freq_hz: Array, gain_db: Array, q: Array, points_hz: Array) -> Array:
    """The response of peaking filters in series at `points_hz`, as `dsp.response_db` in a third of the time.

    |H|² = (x² + (A/Q)²) / (x² + 1/(A Q)²) with x = w/w₀ − w₀/w, w = tan(π f / rate), A = 10^(gain/40)
    (R. Bristow-Johnson).
    """
    warped, centers = (jnp.tan(jnp.pi / SAMPLE_RATE * x) for x in (points_hz[:, None], freq_hz[None]))
    x2 = (warped / centers - centers / warped) ** 2  # [points, filters]: the sum over the last axis is twice as fast
    amplitude = jnp.exp(gain_db * (np.log(10.0) / 40.0))
    boost, cut = (amplitude / q)[None] ** 2, (1.0 / (amplitude * q))[None] ** 2
    return jnp.sum(jnp.log((x2 + boost) / (x2 + cut)), axis=1) * (10.0 / np.log(10.0))


def _logit(fraction: Array) -> Array:
    fraction = jnp.clip(fraction, 0.01, 0.99)
    return jnp.log(fraction / (1.0 - fraction))
