"""Compressor settings whose gain follows the difference in level of two mixes of the same passage, moment by moment.

The target gain is the level of the reference minus that of the equalized track, both over 0.2 s. Where a track was
compressed or expanded, a compressor's gain explains most of it; what it does not explain stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from nmjax.dsp import Compressor, detector_level_db
from nmjax.dsp.compressor import control_hop
from nmjax.models import SAMPLE_RATE
from nmjax.reference.compressor_fit import (
    compressor_from_raw,
    fit_raw_parameters,
    gains_db,
    hop_powers,
    level_db,
    raw_parameters,
    with_slopes,
)

_SMOOTH_SECONDS = 0.2
_RANGE_DB = 40.0  # moments further below the loudest one are ignored
_PROXIMITY_WEIGHT = 0.002  # dB² for changing a raw parameter by 1
_AUDIBLE_DB2 = 0.04  # a target gain with less variance is none
_MIN_EXPLAINED = 0.3  # of the variance of the target gain; less can be a chance fit to what the EQ leaves


class _Moments(NamedTuple):
    """What the fit needs of the excerpts, `[blocks, points]` each.

    Attributes:
        power: mean square of each hop.
        detector_db: the level that a compressor compares with its threshold.
        target_db: the gain that leads to the reference.
        weight: of each moment; the sum is 1.
    """

    power: Float[np.ndarray, "blocks points"]
    detector_db: Float[np.ndarray, "blocks points"]
    target_db: Float[np.ndarray, "blocks points"]
    weight: Float[np.ndarray, "blocks points"]


def fit_compressor_to_mix(
    audio: Float[np.ndarray, "blocks time channel"],
    reference: Float[np.ndarray, "blocks reference_time reference_channel"],
    current: Compressor | None,
    strength: float,
) -> Compressor | None:
    """Fit threshold, ratio, attack and release so that the levels vary as in the reference; the level is unchanged.

    Args:
        audio: excerpts of the equalized track at the model's sample rate and level.
        reference: the same excerpts of the reference, at any level; the longer one is cut.
        current: settings to start from; None starts from the middle of each range.
        strength: share of the target gain to apply, above 0.

    Returns:
        Settings with fields `[1]`; None where no compressor explains the difference.
    """
    moments = _measure(audio, reference, strength)

    def errors(raw: Float[np.ndarray, "sets settings"]) -> Float[np.ndarray, "sets errors"]:
        """Errors whose sum of squares is the variance that remains of the target gain."""
        remaining_db = moments.target_db - _smooth(gains_db(moments.detector_db, raw))
        return _deviations(remaining_db, moments.weight).reshape(len(raw), -1)

    raw = fit_raw_parameters(lambda raw: with_slopes(errors, raw), raw_parameters(current), _PROXIMITY_WEIGHT)
    remaining, variance = (
        float(np.sum(x**2)) for x in (errors(raw[None]), _deviations(moments.target_db, moments.weight))
    )
    if (variance - remaining) / max(variance, _AUDIBLE_DB2) < _MIN_EXPLAINED:
        return None
    gain = 10.0 ** (gains_db(moments.detector_db, raw[None])[0] / 10.0)
    change = np.mean(moments.power * gain, keepdims=True)[0] / max(float(np.mean(moments.power)), 1e-20)
    return compressor_from_raw(raw[None], -level_db(change))


def _measure(
    audio: Float[np.ndarray, "blocks time channel"],
    reference: Float[np.ndarray, "blocks reference_time reference_channel"],
    strength: float,
) -> _Moments:
    hop, frames = control_hop(SAMPLE_RATE), min(audio.shape[1], reference.shape[1])
    audio, reference = (x[:, : frames // hop * hop] for x in (audio, reference))
    powers = [hop_powers(x, hop) for x in (audio, reference)]
    level, target_level = (level_db(_smooth(x)) for x in powers)
    active = (level > level.max() - _RANGE_DB) & (target_level > target_level.max() - _RANGE_DB)
    return _Moments(
        power=powers[0],
        detector_db=detector_level_db(audio, SAMPLE_RATE),
        target_db=strength * (target_level - level),
        weight=active / max(float(np.sum(active)), 1.0),
    )


def _deviations(
    values: Float[np.ndarray, "*sets blocks points"], weight: Float[np.ndarray, "blocks points"]
) -> Float[np.ndarray, "*sets blocks points"]:
    """Deviations from the weighted mean, whose squares add up to the weighted variance."""
    return np.sqrt(weight) * (values - np.sum(weight * values, axis=(-2, -1), keepdims=True))


def _smooth(values: Float[np.ndarray, "*sets blocks hops"]) -> Float[np.ndarray, "*sets blocks hops"]:
    """Moving average over 0.2 s; the ends repeat."""
    size = max(1, round(_SMOOTH_SECONDS * SAMPLE_RATE / control_hop(SAMPLE_RATE)))
    no_padding = [(0, 0)] * (values.ndim - 1)
    padded = np.pad(values, [*no_padding, (size // 2, size - 1 - size // 2)], mode="edge")
    total = np.cumsum(np.pad(padded, [*no_padding, (1, 0)]), axis=-1, dtype=np.float64)
    return (total[..., size:] - total[..., :-size]) / size
