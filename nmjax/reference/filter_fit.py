"""Peaking filters of a fixed number, fitted to a curve by least squares on frequency, gain and Q.

The cost is the weighted mean squared residual, up to a constant, with terms for gains, for the number of filters, for
filters close to each other, and for a response above the limits. Each term is written as a sum of squares.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from nmjax.dsp.least_squares import minimize_squares
from nmjax.models import SAMPLE_RATE
from nmjax.reference.limits import (
    EMPTY_BOOST_DB,
    MIN_BAND_DISTANCE_OCTAVES,
    ResponseLimits,
)

_HZ_RANGE, _MAX_GAIN_DB, _Q_RANGE = (20.0, 20_000.0), 12.0, (0.5, 5.0)
_FILTER_PENALTY_DB = 0.3  # each filter costs as much as this gain, so that two filters at one frequency are merged
_SOFT_GAIN_DB = 0.1  # below it a gain costs less than in proportion
_END_GRID_HZ = (12.0, 15.0, 18.0, 21.0, 16_000.0, 18_000.0, 20_000.0)  # where limits hold beyond a curve's own grid
_LIMIT_MARGIN_DB = 0.45  # a little more than the margin of the scaling, since a penalty gives way a little
_FITTED_EMPTY_DB = 0.4 * EMPTY_BOOST_DB  # the same where a track holds nothing, so that no gain is scaled down for it
_DISTANCE_WEIGHT_DB2 = 2.0  # cost of two filters at one frequency; 0 from 1.3 times the smallest distance on
_FREE_DISTANCE_OCTAVES = 1.3 * MIN_BAND_DISTANCE_OCTAVES
_TOLERANCE = 1e-3  # relative decrease of the cost at which a fit ends
_DB = 10.0 / np.log(10.0)


class Filters(NamedTuple):
    """Peaking filters."""

    freq_hz: Float[np.ndarray, " filters"]
    gain_db: Float[np.ndarray, " filters"]
    q: Float[np.ndarray, " filters"]

    def params(self) -> Float[np.ndarray, " params"]:
        """What is optimized: octaves above 1 Hz, gains in dB, and natural logarithms of Q."""
        return np.concatenate([np.log2(self.freq_hz), self.gain_db, np.log(self.q)])


def filters_from_params(params: Float[np.ndarray, " params"]) -> Filters:
    """The inverse of `Filters.params`."""
    octaves, gain_db, log_q = params.reshape(3, -1)
    return Filters(2.0**octaves, gain_db, np.exp(log_q))


@dataclasses.dataclass(frozen=True)
class FilterFit:
    """Optimized filters, target minus their response without its weighted mean, and the cost."""

    filters: Filters
    residual_db: Float[np.ndarray, " points"]
    cost: float

    @property
    def num_filters(self) -> int:
        """Number of filters."""
        return len(self.filters.q)


@dataclasses.dataclass(frozen=True, eq=False)
class FilterCost:
    """What filters are fitted to.

    Attributes:
        freq_hz: grid, evenly spaced in octaves.
        target_db: curve on the grid.
        weight: weight of each point.
        gain_penalty: cost of 1 dB of a filter's gain, in dB² of the mean squared residual.
        limits: of the response.
        limit_weight: cost of the mean squared excess over the limits, relative to that of the residual.
    """

    freq_hz: Float[np.ndarray, " points"]
    target_db: Float[np.ndarray, " points"]
    weight: Float[np.ndarray, " points"]
    gain_penalty: float
    limits: ResponseLimits
    limit_weight: float = 30.0

    def optimize(self, filters: Filters, max_steps: int) -> FilterFit:
        """The best filters near these, within their ranges: 20 Hz to 20 kHz, ±12 dB, Q 0.5 to 5.

        Args:
            filters: where the search starts.
            max_steps: after which it ends, if it has not before.
        """
        count = len(filters.q)
        low = Filters(*(np.full(count, x) for x in (_HZ_RANGE[0], -_MAX_GAIN_DB, _Q_RANGE[0]))).params()
        high = Filters(*(np.full(count, x) for x in (_HZ_RANGE[1], _MAX_GAIN_DB, _Q_RANGE[1]))).params()
        params = minimize_squares(self.errors_and_jacobian, filters.params(), low, high, _TOLERANCE, max_steps)
        fitted = filters_from_params(params)
        residual_db = self.target_db - _response_db(fitted, self.freq_hz)[0]
        residual_db = residual_db - np.average(residual_db, weights=self.weight)
        return FilterFit(fitted, residual_db, self.of(fitted))

    def of(self, filters: Filters) -> float:
        """The cost of filters."""
        errors, _ = self.errors_and_jacobian(filters.params())
        return float(errors @ errors) + self.gain_penalty * _FILTER_PENALTY_DB * len(filters.q)

    def errors_and_jacobian(
        self, params: Float[np.ndarray, " params"]
    ) -> tuple[Float[np.ndarray, " errors"], Float[np.ndarray, "errors params"]]:
        """Errors whose squares add up to the cost, but for the constant cost of each filter, and their derivatives."""
        filters = filters_from_params(params)
        points_hz = np.concatenate([self._points_hz, filters.freq_hz])
        response_db, slopes = _response_db(filters, points_hz)
        _add_slopes_of_moving_points(slopes, filters)
        parts = [
            self._residuals(response_db, slopes),
            self._excess(points_hz, response_db, slopes),
            _closeness(params),
            self._penalties(params),
        ]
        errors, jacobians = zip(*parts, strict=True)
        return np.concatenate(errors), np.concatenate(jacobians)

    @functools.cached_property
    def _points_hz(self) -> Float[np.ndarray, " points"]:
        return np.concatenate([self.freq_hz, _END_GRID_HZ])

    @functools.cached_property
    def _share(self) -> Float[np.ndarray, " points"]:
        return self.weight / np.sum(self.weight)

    def _residuals(self, response_db: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share, size = self._share, len(self.freq_hz)
        residual_db, change = self.target_db - response_db[:size], -slopes[:size]
        scale = np.sqrt(share)
        return scale * (residual_db - share @ residual_db), scale[:, None] * (change - share @ change)

    def _excess(
        self, points_hz: np.ndarray, response_db: np.ndarray, slopes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How far the response is beyond its limits."""
        limits, size, count = self.limits, len(self.freq_hz), len(points_hz)
        if not np.isfinite(limits.above_db) and limits.min_bass_db < -_MAX_GAIN_DB and limits.lowest_hz == 0.0:
            return np.zeros(0), np.zeros((0, slopes.shape[1]))
        power_share = np.broadcast_to(limits.mid_share + limits.side_share, size)
        gained = power_share * 10.0 ** (response_db[:size] / 10.0)
        total = 1.0 + np.sum(gained) - np.sum(power_share)
        level_db, level_slope = 10.0 * np.log10(total), gained @ slopes[:size] / total
        limit_db = limits.at(points_hz) + level_db - _LIMIT_MARGIN_DB
        is_empty = ~limits.has_sound(points_hz) & (limit_db > _FITTED_EMPTY_DB)
        limit_db = np.where(is_empty, _FITTED_EMPTY_DB, limit_db)
        smallest_db, cut_db = (
            limits.smallest_at(points_hz) + _LIMIT_MARGIN_DB,
            level_db - limits.cut_db + _LIMIT_MARGIN_DB,
        )
        above_db, below_db = response_db - limit_db, np.maximum(smallest_db, cut_db) - response_db
        errors, derivative = np.zeros(count), np.zeros_like(slopes)
        above, below = above_db > np.maximum(below_db, 0.0), below_db > np.maximum(above_db, 0.0)
        errors[above], errors[below] = above_db[above], below_db[below]
        derivative[above] = slopes[above] - np.where(is_empty[above, None], 0.0, level_slope)
        derivative[below] = np.where((cut_db >= smallest_db)[below, None], level_slope, 0.0) - slopes[below]
        active = above | below
        scale = np.sqrt(self.limit_weight / count)
        return scale * errors[active], scale * derivative[active]

    def _penalties(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the gains cost, √(g² + s²) − s, and each filter: more the further its Q is from 1."""
        _, gain_db, log_q = params.reshape(3, -1)
        count, scale = len(gain_db), np.sqrt(self.gain_penalty)
        length = np.sqrt(gain_db**2 + _SOFT_GAIN_DB**2)
        root = np.sqrt(length + _SOFT_GAIN_DB)
        slope = 1.0 / root - gain_db**2 / (2.0 * length * root**3)
        jacobian = np.zeros((2 * count, 3 * count))
        filters = np.arange(count)
        jacobian[filters, count + filters] = scale * slope
        jacobian[count + filters, 2 * count + filters] = 0.5 * scale
        return scale * np.concatenate([gain_db / root, 0.5 * log_q]), jacobian


def _closeness(params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far pairs of filters are within the smallest distance; 1 for two at one frequency."""
    octaves, count = params[: len(params) // 3], len(params) // 3
    first, second = _pairs(count)
    distance = octaves[second] - octaves[first]
    close = np.flatnonzero(np.abs(distance) < _FREE_DISTANCE_OCTAVES)
    if not len(close):
        return np.zeros(0), np.zeros((0, len(params)))
    jacobian, scale = np.zeros((len(close), len(params))), np.sqrt(_DISTANCE_WEIGHT_DB2)
    slope = scale * np.sign(distance[close]) / _FREE_DISTANCE_OCTAVES
    jacobian[np.arange(len(close)), second[close]] = -slope
    jacobian[np.arange(len(close)), first[close]] = slope
    return scale * (1.0 - np.abs(distance[close]) / _FREE_DISTANCE_OCTAVES), jacobian


@functools.cache
def _pairs(count: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    return np.triu_indices(count, 1)


def _response_db(
    filters: Filters, points_hz: Float[np.ndarray, " points"]
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points params"]]:
    """The response of peaking filters in series, and its derivatives by `Filters.params`.

    |H|² = (x² + (A/Q)²) / (x² + 1/(A Q)²) with x = w/w₀ − w₀/w, w = tan(π f / rate), A = 10^(gain/40)
    (R. Bristow-Johnson).
    """
    angles = np.pi / SAMPLE_RATE * filters.freq_hz
    ratio = np.tan(np.pi / SAMPLE_RATE * points_hz)[:, None] / np.tan(angles)
    x, amplitude = ratio - 1.0 / ratio, 10.0 ** (filters.gain_db / 40.0)
    boost, cut = (amplitude / filters.q) ** 2, (1.0 / (amplitude * filters.q)) ** 2
    x2 = x * x
    above, below = 1.0 / (x2 + boost), 1.0 / (x2 + cut)
    response_db = _DB * np.sum(np.log(below / above), axis=1)
    by_log_center = 2.0 * _DB * x * (ratio + 1.0 / ratio) * (below - above)
    boost_share, cut_share = boost * above, cut * below
    by_gain, by_log_q = 0.5 * (boost_share + cut_share), 2.0 * _DB * (cut_share - boost_share)
    return response_db, np.concatenate([_log_per_octave(angles) * by_log_center, by_gain, by_log_q], axis=1)


def _log_per_octave(angles: Float[np.ndarray, " filters"]) -> Float[np.ndarray, " filters"]:
    """Derivative of ln tan(angle) by the octave of the frequency."""
    return np.log(2.0) * 2.0 * angles / np.sin(2.0 * angles)


def _add_slopes_of_moving_points(slopes: Float[np.ndarray, "points params"], filters: Filters) -> None:
    """Adds what the last points, the filters' own frequencies, see as they move: the response depends on w/w₀ only."""
    count, per_octave = len(filters.q), _log_per_octave(np.pi / SAMPLE_RATE * filters.freq_hz)
    moved = -per_octave * np.sum(slopes[-count:, :count] / per_octave, axis=1)
    own = np.arange(count)
    slopes[len(slopes) - count + own, own] += moved
