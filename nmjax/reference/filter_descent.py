"""Peaking filters of a fixed number, fitted to a curve by Adam on frequency, gain and Q, as one compiled program.

The cost is the weighted mean squared residual, up to a constant, with terms for gains, for the number of filters, for
filters close to each other, and for a response above the limits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp.numerics import smooth_abs
from nmjax.models import SAMPLE_RATE
from nmjax.reference.gradient_descent import minimize
from nmjax.reference.limits import (
    BASS_HZ,
    EMPTY_BOOST_DB,
    MIN_BAND_DISTANCE_OCTAVES,
    SUB_BASS_HZ,
    ResponseLimits,
)
from nmjax.runtime.lazy_jax import Array, jax, jnp
from nmjax.runtime.stored_programs import stored_jit

MAX_GAIN_DB = 12.0
_MIN_HZ, _MAX_HZ = 20.0, 20_000.0
_Q_RANGE = (0.5, 5.0)
_LEARNING_RATE = 0.05
_FILTER_PENALTY_DB = 0.3  # each filter costs as much as this gain, so that two filters at one frequency are merged
_END_GRID_HZ = (12.0, 15.0, 18.0, 21.0, 16_000.0, 18_000.0, 20_000.0)  # where limits hold beyond a curve's own grid
_LIMIT_WEIGHT = 30.0  # cost of the mean squared excess over the limits, relative to that of the residual
_UNLIMITED_DB = 1e3
_LIMIT_MARGIN_DB = 0.45  # a little more than the margin of the scaling, since a penalty gives way a little
_FITTED_EMPTY_DB = 0.4 * EMPTY_BOOST_DB  # the same where a track holds nothing, so that no gain is scaled down for it
_DISTANCE_WEIGHT_DB2 = 2.0  # cost of two filters at one frequency; 0 from 1.3 times the smallest distance on
_DISTANCE_MARGIN = 1.3


class Filters(NamedTuple):
    """Peaking filters, padded to a fixed number; `active` is 1 for a filter and 0 for padding, which comes last."""

    freq_hz: Float[np.ndarray, " filters"]
    gain_db: Float[np.ndarray, " filters"]
    q: Float[np.ndarray, " filters"]
    active: Float[np.ndarray, " filters"]


class TargetCurve(NamedTuple):
    """A curve at evenly spaced points in octaves, and the weight of each point."""

    freq_hz: Float[np.ndarray, " points"]
    curve_db: Float[np.ndarray, " points"]
    weight: Float[np.ndarray, " points"]


class _Decoded(NamedTuple):
    """Settings of the filters within their ranges; padding has a gain of 0."""

    freq_hz: Array
    gain_db: Array
    q: Array


@stored_jit()
def run_adam(filters: Filters, target: TargetCurve, limits: ResponseLimits, gain_penalty, steps):
    """Optimize the active filters: (frequency, gain, Q), the residual in dB without its weighted mean, and the cost.

    gain_penalty: dB² per dB of a gain, a float32; steps: of gradient descent, an int32.
    """
    start_hz, start_gain_db, start_q, active = (jnp.asarray(x) for x in filters)
    curve = jax.tree.map(jnp.asarray, target)

    def cost(raw):
        decoded = _decode(raw, active)
        residual, excess = _residual_and_excess(decoded, curve, limits)
        error = jnp.sum(curve.weight * residual**2) / jnp.sum(curve.weight) + gain_penalty * _penalty(decoded, active)
        return error + _LIMIT_WEIGHT * excess + _DISTANCE_WEIGHT_DB2 * _closeness(decoded.freq_hz, active)

    position = jnp.log(start_hz / _MIN_HZ) / np.log(_MAX_HZ / _MIN_HZ)
    gain = jnp.arctanh(jnp.clip(start_gain_db / MAX_GAIN_DB, -0.97, 0.97))
    raw = jnp.stack([_logit(position), gain, _logit((start_q - _Q_RANGE[0]) / (_Q_RANGE[1] - _Q_RANGE[0]))])
    best, best_cost = minimize(cost, raw, steps, _LEARNING_RATE)
    decoded = _decode(best, active)
    return tuple(decoded), _residual_and_excess(decoded, curve, limits)[0], best_cost


def _decode(raw: Array, active: Array) -> _Decoded:
    return _Decoded(
        freq_hz=_MIN_HZ * (_MAX_HZ / _MIN_HZ) ** jax.nn.sigmoid(raw[0]),
        gain_db=active * MAX_GAIN_DB * jnp.tanh(raw[1]),
        q=_Q_RANGE[0] + (_Q_RANGE[1] - _Q_RANGE[0]) * jax.nn.sigmoid(raw[2]),
    )


def _residual_and_excess(filters: _Decoded, target: TargetCurve, limits: ResponseLimits) -> tuple[Array, Array]:
    """The target minus the response, without its weighted mean, and the mean squared excess over the limits."""
    points_hz = jnp.concatenate([target.freq_hz, jnp.asarray(_END_GRID_HZ, jnp.float32), filters.freq_hz])
    response = _peaking_response_db(filters, points_hz)
    curve_db = response[: len(target.freq_hz)]
    power_share = limits.mid_share + limits.side_share
    level_db = 10.0 * jnp.log10(1.0 + jnp.sum(power_share * (10.0 ** (curve_db / 10.0) - 1.0)))
    limit_db = jnp.where(points_hz < SUB_BASS_HZ, limits.sub_bass_db, limits.above_db) + level_db - _LIMIT_MARGIN_DB
    has_sound = (points_hz >= limits.lowest_hz) & (points_hz <= limits.highest_hz)
    limit_db = jnp.where(has_sound, limit_db, jnp.minimum(limit_db, _FITTED_EMPTY_DB))
    residual = jnp.asarray(target.curve_db) - curve_db
    mean_db = jnp.sum(target.weight * residual) / jnp.sum(target.weight)
    smallest_db = jnp.where(points_hz < BASS_HZ, limits.min_bass_db + _LIMIT_MARGIN_DB, -_UNLIMITED_DB)
    smallest_db = jnp.maximum(smallest_db, level_db - limits.cut_db + _LIMIT_MARGIN_DB)
    excess_db = jnp.maximum(jnp.maximum(response - limit_db, smallest_db - response), 0.0)
    return residual - mean_db, jnp.mean(excess_db**2)


def _penalty(filters: _Decoded, active: Array) -> Array:
    """What the gains cost in dB, and each filter: more the further its Q is from 1."""
    return jnp.sum(smooth_abs(filters.gain_db)) + jnp.sum(active * (_FILTER_PENALTY_DB + jnp.log(filters.q) ** 2 / 4.0))


def _closeness(freq_hz: Array, active: Array) -> Array:
    """How far pairs of filters are within the smallest distance; 1 for two at one frequency."""
    octaves = jnp.log2(freq_hz)
    smallest = _DISTANCE_MARGIN * MIN_BAND_DISTANCE_OCTAVES
    closeness = jnp.maximum(1.0 - jnp.abs(octaves[:, None] - octaves[None]) / smallest, 0.0) ** 2
    return jnp.sum(jnp.triu(closeness * active[:, None] * active[None], k=1))


def _peaking_response_db(filters: _Decoded, points_hz: Array) -> Array:
    """The response of peaking filters in series at `points_hz`, as `dsp.response_db` in a third of the time.

    |H|² = (x² + (A/Q)²) / (x² + 1/(A Q)²) with x = w/w₀ − w₀/w, w = tan(π f / rate), A = 10^(gain/40)
    (R. Bristow-Johnson).
    """
    warped, centers = (jnp.tan(jnp.pi / SAMPLE_RATE * x) for x in (points_hz[:, None], filters.freq_hz[None]))
    x2 = (warped / centers - centers / warped) ** 2  # [points, filters]: the sum over the last axis is twice as fast
    amplitude = jnp.exp(filters.gain_db * (np.log(10.0) / 40.0))
    boost, cut = (amplitude / filters.q)[None] ** 2, (1.0 / (amplitude * filters.q))[None] ** 2
    return jnp.sum(jnp.log((x2 + boost) / (x2 + cut)), axis=1) * (10.0 / np.log(10.0))


def _logit(fraction: Array) -> Array:
    fraction = jnp.clip(fraction, 0.01, 0.99)
    return jnp.log(fraction / (1.0 - fraction))
