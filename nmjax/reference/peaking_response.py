"""The response of peaking filters in dB and its derivatives, as a fit of filters to a curve needs them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.models import SAMPLE_RATE

_DB = 10.0 / np.log(10.0)


class Filters(NamedTuple):
    """Peaking filters."""

    freq_hz: Float[np.ndarray, " filters"]
    gain_db: Float[np.ndarray, " filters"]
    q: Float[np.ndarray, " filters"]


class PeakingResponse(NamedTuple):
    """The response of filters in series.

    Attributes:
        response_db: their sum at each point.
        slopes: its derivatives by each filter's ln frequency, gain in dB and ln Q.
        point_slopes: its derivative by the ln frequency of each point.
    """

    response_db: Float[np.ndarray, " points"]
    slopes: Float[np.ndarray, "3 filters points"]
    point_slopes: Float[np.ndarray, " points"]


def peaking_response(filters: Filters, points_hz: Float[np.ndarray, " points"]) -> PeakingResponse:
    """The response of filters in series, as `dsp.response_db` has it, and its derivatives.

    |H|² = (x² + (A/Q)²) / (x² + 1/(A Q)²) with x = w/w₀ − w₀/w, w = tan(π f / rate), A = 10^(gain/40)
    (R. Bristow-Johnson).

    Args:
        filters: the filters.
        points_hz: above 0, below half the sample rate.
    """
    warped, centers = (np.tan(np.pi / SAMPLE_RATE * x) for x in (points_hz, filters.freq_hz))
    ratio = (warped / centers[:, None]) ** 2
    inverse = 1.0 / ratio
    power, q2 = 10.0 ** (filters.gain_db / 20.0), filters.q**2
    boost, cut = (power / q2)[:, None], (1.0 / (power * q2))[:, None]
    x2 = ratio + inverse - 2.0
    numerator, denominator = x2 + boost, x2 + cut
    boost_share, cut_share = boost / numerator, cut / denominator
    by_log_warped = (ratio - inverse) * (1.0 / numerator - 1.0 / denominator) * (2.0 * _DB)
    slopes = np.empty((3, *ratio.shape))
    slopes[0] = by_log_warped * -_warping_slopes(filters.freq_hz)[:, None]
    slopes[1] = 0.5 * (boost_share + cut_share)
    slopes[2] = (cut_share - boost_share) * (2.0 * _DB)
    return PeakingResponse(
        response_db=_DB * np.log(numerator / denominator).sum(axis=0),
        slopes=slopes,
        point_slopes=by_log_warped.sum(axis=0) * _warping_slopes(points_hz),
    )


def _warping_slopes(freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """The derivatives of ln tan(π f / rate) by ln f."""
    angle = 2.0 * np.pi / SAMPLE_RATE * freq_hz
    return angle / np.sin(angle)
