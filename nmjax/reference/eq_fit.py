"""Fit peaking filters to a target curve: Adam on frequency, gain and Q, with greedy insertion and pruning."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nmjax.dsp import Bands, response_db
from nmjax.dsp.numerics import smooth_abs
from nmjax.models import SAMPLE_RATE
from nmjax.reference.gradient_descent import minimize

MAX_BANDS = 10
MAX_GAIN_DB = 12.0
_MIN_HZ, _MAX_HZ = 20.0, 20_000.0
_Q_RANGE = (0.5, 5.0)
_START_Q = 1.0
_STEPS, _LEARNING_RATE = 600, 0.05
_TOLERANCE_DB = 0.25  # RMS residual at which no filter is added
_MIN_COST_REDUCTION = 0.02  # a filter must reduce the cost by at least this share
_FILTER_PENALTY_DB = 0.3  # each filter costs as much as this gain, so that two filters at one frequency are merged
_NEGLIGIBLE_DB = 0.1  # filters with less gain are dropped
_SMOOTH_OCTAVES = 0.33  # smoothing of the residual before a filter is inserted at its peak
_MERGE_OCTAVES = 0.5  # a removed filter's gain is added to a neighbor closer than this

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
) -> Bands:
    """Fit as few peaking filters as needed to a curve, up to a constant.

    Starting from the initial filters that have an audible gain, a filter is inserted at the peak of the residual and
    all are optimized together, until the residual is 0.25 dB RMS, another filter would reduce the cost by less than
    2 %, or there are `max_bands`. After each step, filters whose removal costs less than 2 % are removed.

    Args:
        initial: filters to start from, `[1, bands]`; of more than `max_bands` those with the largest gains.
        freq_hz: grid, evenly spaced in octaves.
        target_db: curve on the grid.
        weight: weight of each point.
        gain_penalty: cost of 1 dB of a filter's gain, in dB² of the mean squared residual.
        max_bands: largest number of filters.

    Returns:
        Filters `[1, bands]` in order of frequency: 20 Hz to 20 kHz, ±12 dB, Q 0.5 to 5.
    """
    target = _as_float32(_Target(freq_hz, target_db, weight))
    best = _prune(_optimize(_initial_filters(initial, max_bands), target, gain_penalty), target, gain_penalty)
    while best.num_filters < max_bands and np.average(best.residual_db**2, weights=weight) > _TOLERANCE_DB**2:
        filters = _insert_filter(best, freq_hz, weight)
        candidate = _prune(_optimize(filters, target, gain_penalty), target, gain_penalty)
        if candidate.cost > (1.0 - _MIN_COST_REDUCTION) * best.cost:
            break
        best = candidate
    return _to_bands(best.filters)


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
    fitted, _, _ = _run_adam(_as_float32(filters), _as_float32(target), 0.0)
    fitted_hz, fitted_gain_db, fitted_q = (x[None] for x in fitted)
    return Bands(freq_hz=fitted_hz, gain_db=fitted_gain_db, q=fitted_q)


def _as_float32(arrays: Arrays) -> Arrays:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), arrays)


def _optimize(filters: _Filters, target: _Target, gain_penalty: float) -> _EqFit:
    fitted, residual_db, cost = _run_adam(_as_float32(filters), target, gain_penalty)
    freq_hz, gain_db, q = (np.array(x, np.float64) for x in fitted)
    return _EqFit(_Filters(freq_hz, gain_db, q, filters.active), np.asarray(residual_db, np.float64), float(cost))


def _prune(fit: _EqFit, target: _Target, gain_penalty: float) -> _EqFit:
    """Remove filters as long as a removal costs less than `_MIN_COST_REDUCTION`, the least important first."""
    while fit.num_filters > 1:
        candidates = [
            _optimize(_remove_filter(fit.filters, index), target, gain_penalty) for index in range(fit.num_filters)
        ]
        best = min(candidates, key=lambda x: x.cost)
        if (1.0 - _MIN_COST_REDUCTION) * best.cost > fit.cost:
            break
        fit = best
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
    filters = _Filters(*(np.full(max_bands, value) for value in _PADDING))
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


@partial(jax.jit, static_argnames="gain_penalty")
def _run_adam(filters: _Filters, target: _Target, gain_penalty: float):
    """Optimize the active filters: (frequency, gain, Q), the residual in dB without its weighted mean, and the cost."""

    start_hz, start_gain_db, start_q, active = (jnp.asarray(x) for x in filters)
    grid_hz, target_db, weight = (jnp.asarray(x) for x in target)

    def decode(raw):
        freq_hz = _MIN_HZ * (_MAX_HZ / _MIN_HZ) ** jax.nn.sigmoid(raw[0])
        gain_db = active * MAX_GAIN_DB * jnp.tanh(raw[1])
        return freq_hz, gain_db, _Q_RANGE[0] + (_Q_RANGE[1] - _Q_RANGE[0]) * jax.nn.sigmoid(raw[2])

    def residual_of(raw):
        freq_hz, gain_db, q = decode(raw)
        bands = Bands(freq_hz=freq_hz[None], gain_db=gain_db[None], q=q[None])
        residual = target_db - response_db(bands, grid_hz, SAMPLE_RATE)[0]
        return residual - jnp.sum(weight * residual) / jnp.sum(weight)

    def objective(raw):
        _, gain_db, q = decode(raw)
        penalty = jnp.sum(smooth_abs(gain_db)) + jnp.sum(active * (_FILTER_PENALTY_DB + jnp.log(q) ** 2 / 4.0))
        return jnp.sum(weight * residual_of(raw) ** 2) / jnp.sum(weight) + gain_penalty * penalty

    position = jnp.log(start_hz / _MIN_HZ) / np.log(_MAX_HZ / _MIN_HZ)
    gain = jnp.arctanh(jnp.clip(start_gain_db / MAX_GAIN_DB, -0.97, 0.97))
    raw = jnp.stack([_logit(position), gain, _logit((start_q - _Q_RANGE[0]) / (_Q_RANGE[1] - _Q_RANGE[0]))])
    best, cost = minimize(objective, raw, _STEPS, _LEARNING_RATE)
    return decode(best), residual_of(best), cost


def _logit(fraction: Array) -> Array:
    fraction = jnp.clip(fraction, 0.01, 0.99)
    return jnp.log(fraction / (1.0 - fraction))
