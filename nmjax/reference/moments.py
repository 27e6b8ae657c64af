"""Like compared with like: the moments at which two parts of a song play the same, and by how much they differ there.

Two parts of a song differ in tone mostly because other instruments play. But its notes and sounds come again, often to
the sample. So pairs of moments, one of each part, are weighed by how alike they are, whatever smooth curve lies
between them: each moment's levels in 24ths of an octave less their mean over an octave are a vector, and the weight is
exp(35 × the cosine of both). The difference of the levels, each moment's about its own mean, is averaged over all
pairs; that of the side over mid likewise. What it is worth is measured in docs/reference.md.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from nmjax.dsp.auditory import band_shares

_FINE_HZ = 110.0 * 2.0 ** (np.arange(150) / 24.0)  # to 8.1 kHz
_SMOOTH_OCTAVES = 1.0  # what a shape is freed of
_RANGE_DB, _FINE_RANGE_DB = 70.0, 60.0  # levels further below a moment's loudest are held there
_SHARPNESS = 35.0
_OF_LOUDNESS = 0.2  # the weight grows with this power of a moment's own
_MOST = 2000  # moments; of more every second, third …
_PARTS = 10  # that are left out in turn
_LEAST_SHARE = 1e-3  # of the weights, without a part
_WIDTHS_DB = (-40.0, 20.0)  # of a moment; what is narrower is mono


@dataclasses.dataclass(frozen=True)
class Moments:
    """What is kept of moments, in their order. levels_db: of mid in the profile's bands, at the signal's own level.
    shapes: vectors of length 1, of what is fine in mid's spectrum (0 for silence). width_db: the side's power over
    mid's, −40 to 20."""

    levels_db: Float[np.ndarray, "frames bands"]
    shapes: Float[np.ndarray, "frames fine"]
    width_db: Float[np.ndarray, "frames"]

    @property
    def enough(self) -> bool:
        """Whether there are so many that they can be compared."""
        return len(self.levels_db) >= _PARTS

    def moved(self, change_db: Float[np.ndarray, "bands"]) -> Moments:
        """The same after a smooth curve, which leaves shapes as they are."""
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
    held = np.maximum(fine_db, fine_db.max(axis=1, keepdims=True, initial=-np.inf) - _FINE_RANGE_DB)
    shape = held - held @ _smoother().T
    length = np.linalg.norm(shape, axis=1, keepdims=True)
    return Moments(levels_db, shape / np.maximum(length, 1e-6), np.clip(width_db, *_WIDTHS_DB))


def together(many: list[Moments]) -> Moments:
    """Those of several pieces, one after the other; of more than 2000 an even choice."""
    return Moments(*(_evenly(np.concatenate([getattr(x, f.name) for x in many])) for f in dataclasses.fields(Moments)))


def _evenly(values: np.ndarray) -> np.ndarray:
    return values[:: -(-len(values) // _MOST) or 1]


def tone_apart(track: Moments, reference: Moments) -> tuple[Float[np.ndarray, "bands"], Float[np.ndarray, "bands"]]:
    """How much louder the reference is in each band where both play alike, dB about some level; and the variance of it,
    dB², by the jackknife: tenths of the track left out in turn, then of the reference (Efron 1982).

    Args:
        track, reference: `enough` moments each.
    """
    return _apart(_weights(track, reference), _about_mean(track.levels_db), _about_mean(reference.levels_db))


def width_apart(track: Moments, reference: Moments) -> tuple[float, float]:
    """The same of the side's power over mid's, dB and dB²."""
    found, variance = _apart(_weights(track, reference), track.width_db[:, None], reference.width_db[:, None])
    return float(found[0]), float(variance[0])


def _weights(track: Moments, reference: Moments) -> Float[np.ndarray, "track reference"]:
    """How much each pair counts, 1 in all."""
    alike = track.shapes @ reference.shapes.T
    weight = np.exp(_SHARPNESS * (alike - alike.max()))
    weight *= _loudness(track) * _loudness(reference).T
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


def _loudness(heard: Moments) -> Float[np.ndarray, "frames 1"]:
    power = np.sum(10.0 ** (heard.levels_db / 10.0), axis=1, keepdims=True)
    return (power / power.max()) ** _OF_LOUDNESS


def _smoother() -> Float[np.ndarray, "fine fine"]:
    octaves = np.log2(_FINE_HZ)
    near = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2)
    return near / near.sum(axis=1, keepdims=True)
