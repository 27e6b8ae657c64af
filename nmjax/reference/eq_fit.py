"""Bells that draw a curve: gradient descent on frequency, gain and Q, a bell more and a bell less at a time, as few as
will do."""

from __future__ import annotations

import dataclasses
from functools import partial

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
_TOLERANCE_DB = 0.25  # RMS of what is left; nearer than this nobody needs another bell
_MIN_COST_REDUCTION = 0.02  # by this share a bell must lower the cost
_FILTER_PENALTY_DB = 0.3  # that a bell costs as much as, so that two which lie on one another cost more than one
_NEGLIGIBLE_DB = 0.1  # a bell that moves nothing by so much is left out
_SMOOTH_OCTAVES = 0.33  # over which what is left is smoothed before the next bell is placed
_UNUSED_FILTER = (1000.0, 0.0, _START_Q, 0.0)  # a slot that is not in use
_MERGE_OCTAVES = 0.5  # nearer than this a bell is given the gain of one that is left out


@dataclasses.dataclass(frozen=True)
class _EqFit:
    """slots: frequency, gain, Q and whether in use, `[most]` each, those in use first. left_db: `[points]`."""

    filters: list[np.ndarray]
    residual_db: np.ndarray
    cost: float

    @property
    def num_filters(self) -> int:
        return int(self.filters[3].sum())


def fit_bands(
    initial: Bands,
    freq_hz: Float[np.ndarray, " points"],
    target_db: Float[np.ndarray, " points"],
    weight: Float[np.ndarray, " points"],
    gain_penalty: float = 0.0,
    max_bands: int = MAX_BANDS,
) -> Bands:
    """Bells (`[1, bands]`, ±12 dB, Q 0.5 to 5, 20 Hz to 20 kHz) whose curve is near to a wanted one but for a constant.

    From those of `start` that do something on, bell after bell is put where most is left, and all descend together;
    until 0.25 dB RMS are left, or another bell would take less than a fiftieth off the cost, or there are `most`. Each
    time, whichever bells are worth less than that are left out.

    Args:
        start: `[1, bands]`; of more than `most` the strongest.
        freq_hz: evenly spaced in octaves.
        wanted_db: dB there.
        weight: how much each point counts.
        restraint: what a dB of a bell's gain costs, in dB² of the mean square.
    """
    fit_args = [*(jnp.asarray(x, jnp.float32) for x in (freq_hz, target_db, weight)), gain_penalty]
    best = _prune(_optimize(_initial_filters(initial, max_bands), fit_args), fit_args)
    while best.num_filters < max_bands and np.average(best.residual_db**2, weights=weight) > _TOLERANCE_DB**2:
        filters = _add_filter(best.filters, best.num_filters, freq_hz, best.residual_db, weight)
        candidate = _prune(_optimize(filters, fit_args), fit_args)
        if candidate.cost > (1.0 - _MIN_COST_REDUCTION) * best.cost:
            break
        best = candidate
    return _to_bands(best.filters)


def fit_fixed_count(
    freq_hz: Float[np.ndarray, " points"], target_db: Float[np.ndarray, " points"], count: int
) -> Bands:
    """`count` bells, evenly spaced to begin with and without restraint: about the best that so many can do."""
    start_hz = np.geomspace(56.0, 10_000.0, count)
    gain_db = np.interp(np.log(start_hz), np.log(freq_hz), target_db - np.mean(target_db))
    fit_args = [start_hz, gain_db, np.full(count, _START_Q), np.ones(count), freq_hz, target_db, np.ones(len(freq_hz))]
    fitted, _, _ = _run_adam(*(jnp.asarray(x, jnp.float32) for x in fit_args), 0.0)
    return Bands(*(x[None] for x in fitted))


def _optimize(filters: list[np.ndarray], fit_args: list) -> _EqFit:
    fitted, residual_db, cost = _run_adam(*(jnp.asarray(x, jnp.float32) for x in filters), *fit_args)
    return _EqFit(
        [*(np.array(x, np.float64) for x in fitted), filters[3]], np.asarray(residual_db, np.float64), float(cost)
    )


def _prune(fit: _EqFit, fit_args: list) -> _EqFit:
    """Without the bells that the others can do without, the least of them first."""
    while fit.num_filters > 1:
        candidates = [_optimize(_remove_filter(fit.filters, index), fit_args) for index in range(fit.num_filters)]
        best = min(candidates, key=lambda x: x.cost)
        if (1.0 - _MIN_COST_REDUCTION) * best.cost > fit.cost:
            break
        fit = best
    return fit


def _remove_filter(filters: list[np.ndarray], index: int) -> list[np.ndarray]:
    """The slots without a bell, whose gain its neighbour takes over."""
    filters = [values.copy() for values in filters]
    freq_hz, gain_db, _, active = filters
    distance_octaves = np.where(active > 0.0, np.abs(np.log2(freq_hz / freq_hz[index])), np.inf)
    distance_octaves[index] = np.inf
    nearest = np.argmin(distance_octaves)
    if distance_octaves[nearest] < _MERGE_OCTAVES:
        gain_db[nearest] += gain_db[index]
    for values, unused in zip(filters, _UNUSED_FILTER, strict=True):
        values[index:] = np.append(values[index + 1 :], unused)
    return filters


def _initial_filters(initial: Bands, max_bands: int) -> list[np.ndarray]:
    """Those bells of `start` that do something."""
    columns = [np.asarray(x, np.float64)[0] for x in (initial.freq_hz, initial.gain_db, initial.q)]
    order = np.argsort(-np.abs(columns[1]), kind="stable")[:max_bands]
    order = order[np.abs(columns[1][order]) >= _NEGLIGIBLE_DB]
    filters = [np.full(max_bands, value) for value in _UNUSED_FILTER]
    for values, column in zip(filters, [*columns, np.ones_like(columns[0])], strict=True):
        values[: len(order)] = column[order]
    return filters


def _add_filter(
    filters: list[np.ndarray], index: int, freq_hz: np.ndarray, residual_db: np.ndarray, weight: np.ndarray
) -> list[np.ndarray]:
    """The slots with a new bell where the smoothed rest is largest."""
    octaves = np.log2(freq_hz)
    kernel = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2) * weight
    smooth_db = kernel @ residual_db / kernel.sum(axis=1)
    peak = int(np.argmax(np.abs(smooth_db) * np.sqrt(weight)))
    filters = [values.copy() for values in filters]
    for values, value in zip(filters, (freq_hz[peak], smooth_db[peak], _START_Q, 1.0), strict=True):
        values[index] = value
    return filters


def _to_bands(filters: list[np.ndarray]) -> Bands:
    """The bells that move something, from low to high; at least one."""
    order = np.argsort(filters[0], kind="stable")
    order = order[np.abs(filters[1][order]) >= _NEGLIGIBLE_DB]
    if not len(order):
        return Bands(*(jnp.full((1, 1), x, jnp.float32) for x in (1000.0, 0.0, _START_Q)))
    return Bands(*(jnp.asarray(x[order][None], jnp.float32) for x in filters[:3]))


@partial(jax.jit, static_argnames="gain_penalty")
def _run_adam(
    freq_hz: Float[Array, " bands"],
    gain_db: Float[Array, " bands"],
    q: Float[Array, " bands"],
    active: Float[Array, " bands"],
    grid_hz: Float[Array, " points"],
    target_db: Float[Array, " points"],
    weight: Float[Array, " points"],
    gain_penalty: float,
):
    """The bells after descending by Adam: (frequency, gain, Q), what is left in dB, and the cost."""

    def decode(raw):
        freq_hz = _MIN_HZ * (_MAX_HZ / _MIN_HZ) ** jax.nn.sigmoid(raw[0])
        return (
            freq_hz,
            active * MAX_GAIN_DB * jnp.tanh(raw[1]),
            _Q_RANGE[0] + (_Q_RANGE[1] - _Q_RANGE[0]) * jax.nn.sigmoid(raw[2]),
        )

    def residual_of(raw):
        bands = Bands(*(x[None] for x in decode(raw)))
        residual = target_db - response_db(bands, grid_hz, SAMPLE_RATE)[0]
        return residual - jnp.sum(weight * residual) / jnp.sum(weight)

    def objective(raw):
        _, gain_db, q = decode(raw)
        penalty = jnp.sum(smooth_abs(gain_db)) + jnp.sum(active * (_FILTER_PENALTY_DB + jnp.log(q) ** 2 / 4.0))
        return jnp.sum(weight * residual_of(raw) ** 2) / jnp.sum(weight) + gain_penalty * penalty

    position = jnp.log(freq_hz / _MIN_HZ) / np.log(_MAX_HZ / _MIN_HZ)
    gain = jnp.arctanh(jnp.clip(gain_db / MAX_GAIN_DB, -0.97, 0.97))
    raw = jnp.stack([_logit(position), gain, _logit((q - _Q_RANGE[0]) / (_Q_RANGE[1] - _Q_RANGE[0]))])
    best, cost = minimize(objective, raw, _STEPS, _LEARNING_RATE)
    return decode(best), residual_of(best), cost


def _logit(fraction: Array) -> Array:
    fraction = jnp.clip(fraction, 0.01, 0.99)
    return jnp.log(fraction / (1.0 - fraction))
