"""Like compared with like: the moments at which two parts of a song play the same, and by how much they differ there.

Two parts of a song differ in tone mostly because other instruments play. But its notes and sounds come again, often to
the sample. So pairs of moments, one of each part, are weighed by how alike they are, whatever smooth curve lies
between them: each moment's levels in 24ths of an octave less their mean over an octave are a vector, and the weight is
exp(35 × the cosine of both) × the 0.2nd power of how loud each is in its piece. The difference of the levels, each
moment's about its own mean, is averaged over all pairs; that of the side over mid likewise. What it is worth is
measured in docs/reference.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from nmjax.dsp.auditory import band_shares

CENTRES_HZ = 1000.0 * 2.0 ** (np.arange(-32, 24) / 6.0)  # sixths of an octave, 24.8 Hz to 14.3 kHz: codecs end at 16
_FINE_HZ = 110.0 * 2.0 ** (np.arange(150) / 24.0)  # to 8.1 kHz
_SMOOTH_OCTAVES = 1.0  # what a shape is freed of
_RANGE_DB, _FINE_RANGE_DB = 70.0, 60.0  # levels further below a moment's loudest are held there
_SHARPNESS = 35.0
_OF_LOUDNESS = 0.2  # the weight grows with this power of a moment's own
_MOST = 2000  # moments; of more every second, third …
_PARTS = 10  # that are left out in turn
_LEAST_SHARE = 1e-3  # of the weights, without a part
_WIDTHS_DB = (-40.0, 20.0)  # of a moment; what is narrower is mono, and has none


@dataclasses.dataclass(frozen=True)
class Moments:
    """What is kept of moments, in their order. levels_db: of mid in the profile's bands, at the signal's own level.
    fine_db: the same in 24ths of an octave. width_db: the side's power over mid's, −40 to 20; NaN for mono. say: how
    much each counts."""

    levels_db: Float[np.ndarray, "frames bands"]
    fine_db: Float[np.ndarray, "frames fine"]
    width_db: Float[np.ndarray, "frames"]
    say: Float[np.ndarray, "frames"]

    @property
    def enough(self) -> bool:
        """Whether there are so many that they can be compared."""
        return len(self.levels_db) >= _PARTS

    def some(self, which: np.ndarray) -> Moments:
        """Those that are chosen, by number or as booleans."""
        return Moments(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))

    def moved(self, change_db: Float[np.ndarray, "bands"]) -> Moments:
        """The same after a smooth curve, which leaves fine shapes as they are."""
        return dataclasses.replace(self, levels_db=self.levels_db + change_db)


def fine_shares(window: int, sample_rate: float) -> Float[np.ndarray, "bins fine"]:
    """How much of each bin of a spectrum lies in each 24th of an octave."""
    reach = 2.0 ** (1.0 / 48.0)
    return band_shares(_FINE_HZ / reach, _FINE_HZ * reach, window, sample_rate)


def moments_of(
    levels_db: Float[np.ndarray, "frames bands"],
    fine_db: Float[np.ndarray, "frames fine"],
    width_db: Float[np.ndarray, "frames"],
) -> Moments:
    """Moments from levels in the profile's bands and in 24ths of an octave, and from their widths; of more than 2000 an
    even choice."""
    levels_db, fine_db, width_db = (_evenly(x).astype(np.float64) for x in (levels_db, fine_db, width_db))
    wide_db = np.where(width_db > _WIDTHS_DB[0], np.minimum(width_db, _WIDTHS_DB[1]), np.nan)
    power = np.sum(10.0 ** ((levels_db - levels_db.max()) / 10.0), axis=1)
    return Moments(levels_db, fine_db, wide_db, (power / power.max()) ** _OF_LOUDNESS)


def together(many: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Those of several pieces, one after the other, each piece with its weight; of more than 2000 an even choice."""
    many = [
        dataclasses.replace(x, say=x.say * (weight / (max(weights) * np.sum(x.say))))
        for x, weight in zip(many, weights, strict=True)
    ]
    return Moments(*(_evenly(np.concatenate([getattr(x, f.name) for x in many])) for f in dataclasses.fields(Moments)))


def _evenly(values: np.ndarray) -> np.ndarray:
    return values[:: -(-len(values) // _MOST) or 1]


def tone_apart(
    track: Moments, reference: Moments, usable: Bool[np.ndarray, "bands"]
) -> tuple[Float[np.ndarray, "bands"], Float[np.ndarray, "bands"]]:
    """How much louder the reference is in each band where both play alike, dB about some level; and the variance of it,
    dB², by the jackknife: tenths of the track left out in turn, then of the reference (Efron 1982).

    Args:
        track, reference: `enough` moments each.
        usable: bands in which both hold something, at least one; the others say nothing and read 0.
    """
    found = np.zeros((2, len(usable)))
    levels = [_about_mean(x.levels_db[:, usable]) for x in (track, reference)]
    found[:, usable] = _apart(_weights(track, reference, usable), *levels)
    return found[0], found[1]


def width_apart(track: Moments, reference: Moments, usable: Bool[np.ndarray, "bands"]) -> tuple[float, float]:
    """The same of the side's power over mid's, dB and dB²; NaN where fewer than `enough` moments of either have one."""
    track, reference = (x.some(np.isfinite(x.width_db)) for x in (track, reference))
    if not (track.enough and reference.enough):
        return math.nan, math.nan
    weight = _weights(track, reference, usable)
    found, variance = _apart(weight, track.width_db[:, None], reference.width_db[:, None])
    return float(found[0]), float(variance[0])


def _weights(
    track: Moments, reference: Moments, usable: Bool[np.ndarray, "bands"]
) -> Float[np.ndarray, "track reference"]:
    """How much each pair counts, 1 in all."""
    fine = usable[np.argmin(np.abs(np.log(CENTRES_HZ[:, None] / _FINE_HZ)), axis=0)]
    alike = _shapes(track.fine_db[:, fine], _FINE_HZ[fine]) @ _shapes(reference.fine_db[:, fine], _FINE_HZ[fine]).T
    weight = np.exp(_SHARPNESS * (alike - alike.max()))
    weight *= track.say[:, None] * reference.say
    return weight / weight.sum()


def _apart(
    weight: Float[np.ndarray, "track reference"], one: Float[np.ndarray, "track values"], other: np.ndarray
) -> tuple[Float[np.ndarray, "values"], Float[np.ndarray, "values"]]:
    """The weighted mean of `other` − `one` over all pairs, and its variance."""
    variance = _jackknife(weight, one, other) + _jackknife(weight.T, other, one)
    return weight.sum(axis=0) @ other - weight.sum(axis=1) @ one, variance


def _jackknife(
    weight: Float[np.ndarray, "one other"], one: Float[np.ndarray, "one values"], other: np.ndarray
) -> Float[np.ndarray, "values"]:
    """Variance of the weighted mean of `other` − `one`, parts of the first left out in turn."""
    own = weight.sum(axis=1)
    by_moment = weight @ other - own[:, None] * one  # what each contributes
    starts = np.linspace(0, len(own), _PARTS + 1).astype(int)[:-1]
    parts, shares = np.add.reduceat(by_moment, starts), np.add.reduceat(own, starts)
    without = (parts.sum(axis=0) - parts) / np.maximum(shares.sum() - shares, _LEAST_SHARE)[:, None]
    return (_PARTS - 1.0) * np.mean((without - without.mean(axis=0)) ** 2, axis=0)


def _about_mean(levels_db: Float[np.ndarray, "frames bands"]) -> Float[np.ndarray, "frames bands"]:
    held = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True) - _RANGE_DB)
    return held - held.mean(axis=1, keepdims=True)


def _shapes(levels_db: Float[np.ndarray, "frames fine"], freq_hz: np.ndarray) -> Float[np.ndarray, "frames fine"]:
    """Vectors of length 1, of what is fine in spectra; 0 for silence."""
    octaves = np.log2(freq_hz)
    near = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2)
    held = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True, initial=-np.inf) - _FINE_RANGE_DB)
    shape = held - held @ (near / near.sum(axis=1, keepdims=True)).T
    return shape / np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-6)
