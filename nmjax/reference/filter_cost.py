"""The cost of peaking filters that shall have a curve as their response, as a sum of squares with its Jacobian.

The cost is the weighted mean squared residual, up to a constant, with terms for gains, for the number of filters, for
filters close to each other, and for a response above the limits. A term that is no square is that of its root.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp.least_squares import minimize_squares, predicted_cost
from nmjax.reference.limits import BASS_HZ, EMPTY_BOOST_DB, MIN_BAND_DISTANCE_OCTAVES, SUB_BASS_HZ, ResponseLimits
from nmjax.reference.peaking_response import Filters, PeakingResponse, peaking_response

_MIN_HZ, _MAX_HZ = 20.0, 20_000.0
_MAX_GAIN_DB = 12.0
_Q_RANGE = (0.5, 5.0)
_LOW = np.array([np.log(_MIN_HZ), -_MAX_GAIN_DB, np.log(_Q_RANGE[0])])
_HIGH = np.array([np.log(_MAX_HZ), _MAX_GAIN_DB, np.log(_Q_RANGE[1])])
_FILTER_PENALTY_DB = 0.3  # each filter costs as much as this gain, so that two filters at one frequency are merged
_SMOOTH_GAIN_DB = 0.1  # a gain's cost is that of |gain|, rounded within about this
# Where limits hold beyond a curve's own grid, and where they change.
_MORE_POINTS_HZ = np.array([12.0, 15.0, 18.0, 21.0, 0.999 * SUB_BASS_HZ, 0.999 * BASS_HZ, 16_000.0, 18_000.0, 20_000.0])
_LIMIT_WEIGHT = 100.0  # cost of the sum of squared excesses over the limits, by the number of the curve's points
_LIMIT_MARGIN_DB = 0.55  # a little more than the margin of the scaling, since a penalty gives way a little
_FITTED_EMPTY_DB = 0.4 * EMPTY_BOOST_DB  # the same where a track holds nothing, so that no gain is scaled down for it
_DISTANCE_WEIGHT_DB2 = 2.0  # cost of two filters at one frequency; 0 from 1.3 times the smallest distance on
_CLOSE_OCTAVES = 1.3 * MIN_BAND_DISTANCE_OCTAVES

Rows = tuple[Float[np.ndarray, " residuals"], Float[np.ndarray, "params residuals"]]


class TargetCurve(NamedTuple):
    """A curve at evenly spaced points in octaves, and the weight of each point."""

    freq_hz: Float[np.ndarray, " points"]
    curve_db: Float[np.ndarray, " points"]
    weight: Float[np.ndarray, " points"]


class _Bounds(NamedTuple):
    """Bounds of the response at some points: relative to the change of the loudness, and of the filters themselves."""

    highest_db: Float[np.ndarray, " points"]
    lowest_db: Float[np.ndarray, " points"]
    highest_filters_db: Float[np.ndarray, " points"]
    lowest_filters_db: Float[np.ndarray, " points"]


class FilterFit(NamedTuple):
    """Fitted filters and their cost."""

    filters: Filters
    cost: float


@dataclasses.dataclass(frozen=True)
class FilterCost:
    """The cost of filters.

    Attributes:
        target: what their response shall be.
        gain_penalty: cost of 1 dB of a gain, in dB² of the mean squared residual.
        limits: of the response.
    """

    target: TargetCurve
    gain_penalty: float
    limits: ResponseLimits

    def minimize(self, start: Filters, tolerance: float) -> FilterFit:
        """The filters near `start` with the smallest cost: 20 Hz to 20 kHz, ±12 dB, Q 0.5 to 5.

        Args:
            start: where the search begins.
            tolerance: relative decrease of the cost at which it ends.
        """
        params = _to_params(start)
        fitted = minimize_squares(self.residuals, params, *_bounds(params), tolerance)
        return FilterFit(to_filters(fitted.params), fitted.cost + self._cost_of_number(params))

    def residual_db(self, filters: Filters) -> Float[np.ndarray, " points"]:
        """The curve minus the response of the filters, without its weighted mean."""
        residual_db = self.target.curve_db - peaking_response(filters, self.target.freq_hz).response_db
        return residual_db - self._shares @ residual_db

    def predict(self, start: Filters) -> float:
        """About the cost after the first step from `start`."""
        params = _to_params(start)
        return predicted_cost(self.residuals, params, *_bounds(params)) + self._cost_of_number(params)

    def _cost_of_number(self, params: Float[np.ndarray, " params"]) -> float:
        return self.gain_penalty * _FILTER_PENALTY_DB * len(params) / 3.0

    def residuals(
        self, params: Float[np.ndarray, " params"]
    ) -> tuple[Float[np.ndarray, " residuals"], Float[np.ndarray, "residuals params"]]:
        """Residuals, whose sum of squares is the cost but for that of the number of filters, and their Jacobian.

        Args:
            params: ln of the frequencies in Hz, gains in dB and ln Q.
        """
        filters = to_filters(params)
        response = self._response(filters)
        slopes = response.slopes.reshape(len(params), len(response.response_db))
        rows = [self._errors(response.response_db, slopes), self._penalties(params)]
        if self._has_limits:
            rows.append(self._excesses(response.response_db, slopes, filters.freq_hz))
        rows.append(_closeness(params[: len(filters.q)], len(params)))
        values, slopes = zip(*rows, strict=True)
        return np.concatenate(values), np.concatenate(slopes, axis=1).T

    @functools.cached_property
    def _has_limits(self) -> bool:
        limits = self.limits
        bounds = (limits.sub_bass_db, limits.above_db, limits.cut_db, -limits.min_bass_db)
        return min(bounds) < 1e3 or limits.lowest_hz > 0.0 or limits.highest_hz < _MAX_HZ

    @functools.cached_property
    def _fixed_hz(self) -> Float[np.ndarray, " points"]:
        return np.concatenate([self.target.freq_hz, _MORE_POINTS_HZ])

    @functools.cached_property
    def _shares(self) -> Float[np.ndarray, " points"]:
        return self.target.weight / np.sum(self.target.weight)

    def _response(self, filters: Filters) -> PeakingResponse:
        """The response at the points of the curve; with limits also at more points and at the filters' frequencies,
        which move with the parameters."""
        if not self._has_limits:
            return peaking_response(filters, self.target.freq_hz)
        response = peaking_response(filters, np.concatenate([self._fixed_hz, filters.freq_hz]))
        own = np.arange(len(filters.q))
        response.slopes[0, own, len(self._fixed_hz) + own] += response.point_slopes[len(self._fixed_hz) :]
        return response

    def _errors(self, response_db: np.ndarray, slopes: np.ndarray) -> Rows:
        """The weighted residuals without their mean."""
        points, shares = len(self.target.freq_hz), self._shares
        errors_db, slopes = response_db[:points] - self.target.curve_db, slopes[:, :points]
        scale = np.sqrt(shares)
        return scale * (errors_db - shares @ errors_db), scale * (slopes - (slopes @ shares)[:, None])

    def _penalties(self, params: Float[np.ndarray, " params"]) -> Rows:
        """What the gains cost, and filters whose Q is not 1: roots of smooth |gain| and of ln(Q)² / 4."""
        _, gain_db, log_q = params.reshape(3, -1)
        count, scale = len(gain_db), np.sqrt(self.gain_penalty)
        smooth = np.sqrt(gain_db**2 + _SMOOTH_GAIN_DB**2)
        root = np.sqrt(smooth + _SMOOTH_GAIN_DB)
        slopes, index = np.zeros((len(params), 2 * count)), np.arange(count)
        slopes[count + index, index] = scale * (1.0 / root - 0.5 * gain_db**2 / (smooth * root**3))
        slopes[2 * count + index, count + index] = 0.5 * scale
        return scale * np.concatenate([gain_db / root, 0.5 * log_q]), slopes

    def _excesses(self, response_db: np.ndarray, slopes: np.ndarray, own_hz: Float[np.ndarray, " filters"]) -> Rows:
        """What exceeds the limits, the nearer one of two on a side."""
        points, shares = len(self.target.freq_hz), self._power_shares
        bounds = _Bounds(*np.concatenate([self._fixed_bounds, self._bounds_db(own_hz)], axis=1))
        power = shares * 10.0 ** (response_db[:points] / 10.0)
        total = 1.0 + np.sum(power - shares)
        level_db = 10.0 * np.log10(total)
        over_db = response_db - np.minimum(bounds.highest_db + level_db, bounds.highest_filters_db)
        under_db = np.maximum(bounds.lowest_db + level_db, bounds.lowest_filters_db) - response_db
        excess_db = np.maximum(over_db, under_db)
        exceeds = np.flatnonzero(excess_db > 0.0)
        if not len(exceeds):
            return excess_db[exceeds], slopes[:, exceeds]
        is_over = over_db > under_db
        follows_level = np.where(
            is_over,
            bounds.highest_db + level_db < bounds.highest_filters_db,
            bounds.lowest_db + level_db > bounds.lowest_filters_db,
        )
        scale, sign = np.sqrt(_LIMIT_WEIGHT / points), np.where(is_over[exceeds], 1.0, -1.0)
        level_slopes = slopes[:, :points] @ (power / total)
        excess_slopes = slopes[:, exceeds] - np.outer(level_slopes, follows_level[exceeds])
        return scale * excess_db[exceeds], scale * sign * excess_slopes

    @functools.cached_property
    def _power_shares(self) -> Float[np.ndarray, " points"]:
        return np.broadcast_to(self.limits.mid_share + self.limits.side_share, self.target.freq_hz.shape)

    @functools.cached_property
    def _fixed_bounds(self) -> _Bounds:
        return self._bounds_db(self._fixed_hz)

    def _bounds_db(self, points_hz: Float[np.ndarray, " points"]) -> _Bounds:
        limits = self.limits
        return _Bounds(
            highest_db=limits.at(points_hz) - _LIMIT_MARGIN_DB,
            lowest_db=np.full(len(points_hz), _LIMIT_MARGIN_DB - limits.cut_db),
            highest_filters_db=np.where(limits.has_sound(points_hz), np.inf, _FITTED_EMPTY_DB),
            lowest_filters_db=limits.smallest_at(points_hz) + _LIMIT_MARGIN_DB,
        )


def to_filters(params: Float[np.ndarray, " params"]) -> Filters:
    """Filters with the parameters of `FilterCost.residuals`."""
    log_freq, gain_db, log_q = params.reshape(3, -1)
    return Filters(np.exp(log_freq), gain_db, np.exp(log_q))


def _to_params(filters: Filters) -> Float[np.ndarray, " params"]:
    return np.concatenate([np.log(filters.freq_hz), filters.gain_db, np.log(filters.q)])


def _bounds(params: Float[np.ndarray, " params"]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(_LOW, len(params) // 3), np.repeat(_HIGH, len(params) // 3)


def _closeness(log_freq: Float[np.ndarray, " filters"], num_params: int) -> Rows:
    """How far pairs of filters are within the smallest distance; the root of the cost's weight for two at one place."""
    if not len(log_freq) or np.diff(np.sort(log_freq)).min(initial=np.inf) > np.log(2.0) * _CLOSE_OCTAVES:
        return np.zeros(0), np.zeros((num_params, 0))
    distance = (log_freq[:, None] - log_freq) / np.log(2.0) / _CLOSE_OCTAVES
    first, second = np.nonzero(np.triu(np.abs(distance) < 1.0, k=1))
    distance, scale = distance[first, second], np.sqrt(_DISTANCE_WEIGHT_DB2)
    slopes, pairs = np.zeros((num_params, len(first))), np.arange(len(first))
    slopes[first, pairs] = -scale / np.log(2.0) / _CLOSE_OCTAVES * np.sign(distance)
    slopes[second, pairs] = -slopes[first, pairs]
    return scale * (1.0 - np.abs(distance)), slopes
