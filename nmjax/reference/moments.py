"""Like compared with like: the moments at which two parts of a song play the same, and by how much they differ there.

Two parts of a song differ in tone mostly because other instruments play. But its notes and sounds come again, often to
the sample. So pairs of moments, one of each part, are weighed by how alike they are, whatever smooth curve lies
between them: each moment's levels in 24ths of an octave less their mean over an octave are a vector, and the weight is
exp(35 × the cosine of both). The difference of the levels, each moment's about its own mean, is averaged over all
pairs. What it is worth is measured in docs/reference.md.
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
_MOST = 2000  # moments of one piece; of more every second, third …
_PARTS = 10  # that are left out in turn
LEAST = _PARTS  # moments that can be compared
_LEAST_SHARE = 1e-3  # of the weights, without a part


@dataclasses.dataclass(frozen=True)
class Moments:
    """What is kept of moments, in their order. levels_db: of mid in the profile's bands, at the signal's own level.
    shapes: vectors of length 1, of what is fine in mid's spectrum (0 for silence)."""

    levels_db: Float[np.ndarray, "moments bands"]
    shapes: Float[np.ndarray, "moments fine"]

    def moved(self, change_db: Float[np.ndarray, "bands"]) -> Moments:
        """The same after a smooth curve, which leaves shapes as they are."""
        return dataclasses.replace(self, levels_db=self.levels_db + change_db)


def fine_shares(window: int, sample_rate: float) -> Float[np.ndarray, "bins fine"]:
    """How much of each bin of a spectrum lies in each 24th of an octave."""
    reach = 2.0 ** (1.0 / 48.0)
    return band_shares(_FINE_HZ / reach, _FINE_HZ * reach, window, sample_rate)


def moments_of(levels_db: Float[np.ndarray, "all bands"], fine_db: Float[np.ndarray, "all fine"]) -> Moments:
    """Moments from levels in the profile's bands and in 24ths of an octave; of more than 2000 an even choice."""
    step = -(-len(levels_db) // _MOST) or 1
    levels_db, fine_db = levels_db[::step].astype(np.float64), fine_db[::step].astype(np.float64)
    held = np.maximum(fine_db, fine_db.max(axis=1, keepdims=True, initial=-np.inf) - _FINE_RANGE_DB)
    shape = held - held @ _smoother().T
    length = np.linalg.norm(shape, axis=1, keepdims=True)
    return Moments(levels_db, shape / np.maximum(length, 1e-6))


def together(many: list[Moments]) -> Moments:
    """Those of several pieces, one after the other."""
    return Moments(*(np.concatenate([getattr(x, field) for x in many]) for field in ("levels_db", "shapes")))


def apart(track: Moments, reference: Moments) -> tuple[Float[np.ndarray, "bands"], Float[np.ndarray, "bands"]]:
    """How much louder the reference is in each band where both play alike, dB about some level; and the variance of it,
    dB², by the jackknife: tenths of the track left out in turn, then of the reference (Efron 1982).

    Args:
        track, reference: at least `LEAST` moments each.
    """
    alike = track.shapes @ reference.shapes.T
    weight = np.exp(_SHARPNESS * (alike - alike.max()))
    weight *= _loudness(track) * _loudness(reference).T
    weight /= weight.sum()
    levels = [_about_mean(x.levels_db) for x in (track, reference)]
    difference_db = weight.sum(axis=0) @ levels[1] - weight.sum(axis=1) @ levels[0]
    variance = _jackknife(weight, *levels) + _jackknife(weight.T, *levels[::-1])
    return difference_db, variance


def _jackknife(
    weight: Float[np.ndarray, "one other"], one_db: Float[np.ndarray, "one bands"], other_db: np.ndarray
) -> Float[np.ndarray, "bands"]:
    """Variance of the weighted mean of `other_db` − `one_db`, parts of the first left out in turn."""
    own = weight.sum(axis=1)
    by_moment = weight @ other_db - own[:, None] * one_db  # what each contributes
    starts = np.linspace(0, len(own), _PARTS + 1).astype(int)[:-1]
    parts, shares = np.add.reduceat(by_moment, starts), np.add.reduceat(own, starts)
    without = (parts.sum(axis=0) - parts) / np.maximum(shares.sum() - shares, _LEAST_SHARE)[:, None]
    without -= without.mean(axis=1, keepdims=True)
    return (_PARTS - 1.0) * np.mean((without - without.mean(axis=0)) ** 2, axis=0)


def _about_mean(levels_db: Float[np.ndarray, "moments bands"]) -> Float[np.ndarray, "moments bands"]:
    held = np.maximum(levels_db, levels_db.max(axis=1, keepdims=True) - _RANGE_DB)
    return held - held.mean(axis=1, keepdims=True)


def _loudness(heard: Moments) -> Float[np.ndarray, "moments 1"]:
    power = np.sum(10.0 ** (heard.levels_db / 10.0), axis=1, keepdims=True)
    return (power / power.max()) ** _OF_LOUDNESS


def _smoother() -> Float[np.ndarray, "fine fine"]:
    octaves = np.log2(_FINE_HZ)
    near = np.exp(-0.5 * ((octaves[:, None] - octaves) / _SMOOTH_OCTAVES) ** 2)
    return near / near.sum(axis=1, keepdims=True)
