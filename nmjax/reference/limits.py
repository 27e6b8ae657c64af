"""What a reference may do to a track at most: boosts and cuts of the EQ, expansion, narrower bass.

Another song can differ from a track by tens of decibels. A boost of that size raises noise and overloads loudspeakers,
below 60 Hz most of all; a cut of that size takes a range of the track away. An expander and a narrower bass undo what
nobody complained about. So they need to be allowed.

A master is delivered at a loudness, so gains count at equal loudness: relative to what the EQ does to the track's
K-weighted loudness. A curve of −14 to +6 dB can boost as much as one of 0 to +20 dB.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from nmjax.audio.k_weighting import k_weighting_power
from nmjax.reference.bands import CENTERS_HZ
from nmjax.reference.features import SAMPLE_RATE, TrackFeatures

DEFAULT_MAX_BOOST_DB, SAME_SONG_MAX_BOOST_DB = 6.0, 12.0
SUB_BASS_HZ, BASS_HZ = 60.0, 150.0
SUB_BASS_SHARE = 0.5  # of the largest boost, below SUB_BASS_HZ
CUT_SHARE, MAX_CUT_DB = 2.0, 18.0  # of the largest boost: a dip is less audible than a peak
MIN_BAND_DISTANCE_OCTAVES = 1.0 / 6.0
EMPTY_BOOST_DB = 1.0  # the skirts of filters, where a track holds nothing
_BISECTIONS = 12
EXPANSION, NARROW_BASS = "expansion", "narrow_bass"


class ResponseLimits(NamedTuple):
    """Limits of an EQ's summed response in dB.

    Attributes:
        sub_bass_db: largest gain below `SUB_BASS_HZ`, at equal loudness.
        above_db: largest gain above it, at equal loudness.
        cut_db: largest cut, at equal loudness.
        mid_share: share of each band of mid at `CENTERS_HZ` in the track's K-weighted power.
        side_share: the same of the side. What both lack to 1 is not changed by the EQ; with 0 gains count as they are.
        min_bass_db: smallest gain below `BASS_HZ`, as it is.
        lowest_hz: where the track's sound begins; below it filters boost by at most `EMPTY_BOOST_DB`.
        highest_hz: where it ends, such as the low-pass of a codec; the same above it.
    """

    sub_bass_db: float
    above_db: float
    cut_db: float = 1e3
    mid_share: Float[np.ndarray, " bands"] | float = 0.0
    side_share: Float[np.ndarray, " bands"] | float = 0.0
    min_bass_db: float = -1e3
    lowest_hz: float = 0.0
    highest_hz: float = 1e6

    def loudness_change_db(
        self, response_db: Float[np.ndarray, " bands"], side_response_db: Float[np.ndarray, " bands"] | float = 0.0
    ) -> float:
        """What an EQ does to the track's K-weighted loudness.

        Args:
            response_db: its response at `CENTERS_HZ`.
            side_response_db: response of the side's own filters, in addition.
        """
        mid, side = (10.0 ** (x / 10.0) - 1.0 for x in (response_db, response_db + side_response_db))
        return float(10.0 * np.log10(1.0 + np.sum(self.mid_share * mid + self.side_share * side)))

    def at(self, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The largest gain at each frequency, at equal loudness."""
        return np.where(np.asarray(freq_hz) < SUB_BASS_HZ, self.sub_bass_db, self.above_db)

    def filters_at(self, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The largest gain of the filters themselves: no limit where the track holds anything."""
        return np.where(self.has_sound(freq_hz), np.inf, EMPTY_BOOST_DB)

    def has_sound(self, freq_hz: Float[np.ndarray, " points"]) -> Bool[np.ndarray, " points"]:
        """Whether the track holds anything at each frequency."""
        return (np.asarray(freq_hz) >= self.lowest_hz) & (np.asarray(freq_hz) <= self.highest_hz)

    def smallest_at(self, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The smallest gain of the filters themselves."""
        return np.where(np.asarray(freq_hz) < BASS_HZ, self.min_bass_db, -np.inf)


NO_LIMITS = ResponseLimits(np.inf, np.inf)


@dataclasses.dataclass(frozen=True)
class MatchLimits:
    """Limits of a match.

    Attributes:
        max_boost_db: largest gain of the EQ's summed response at equal loudness; half of it below 60 Hz, and cuts are
            at most twice as large, and at most 18 dB.
        allowed: some of EXPANSION and NARROW_BASS.
    """

    max_boost_db: float = DEFAULT_MAX_BOOST_DB
    allowed: frozenset[str] = frozenset()

    @property
    def max_cut_db(self) -> float:
        """Largest cut of the EQ's summed response at equal loudness."""
        return min(CUT_SHARE * self.max_boost_db, MAX_CUT_DB)

    def response(self, track: TrackFeatures) -> ResponseLimits:
        """The limits of the EQ's summed response for a track."""
        mid_share, side_share = _power_shares(track)
        return ResponseLimits(
            sub_bass_db=SUB_BASS_SHARE * self.max_boost_db,
            above_db=self.max_boost_db,
            cut_db=self.max_cut_db,
            mid_share=mid_share,
            side_share=side_share,
        )


DEFAULT_LIMITS = MatchLimits()
# Another section or mix of the same song: what it asks for is shrunk already, and is what the track has lost.
SAME_SONG_LIMITS = MatchLimits(SAME_SONG_MAX_BOOST_DB, frozenset({EXPANSION, NARROW_BASS}))


def match_limits(same_song: bool, max_boost_db: float | None, allowed: Iterable[str]) -> MatchLimits:
    """The limits for a reference, with those that the user gives.

    Args:
        same_song: whether the reference is the track's own song.
        max_boost_db: largest boost; None for the default.
        allowed: some of EXPANSION and NARROW_BASS, in addition to what is allowed by default.
    """
    limits = SAME_SONG_LIMITS if same_song else DEFAULT_LIMITS
    max_boost_db = limits.max_boost_db if max_boost_db is None else max_boost_db
    return MatchLimits(max_boost_db, limits.allowed | frozenset(allowed))


def largest_factor(fits: Callable[[float], bool]) -> float:
    """The largest factor from 0 to 1 that fits, to 1/4096, where smaller ones fit too; 0 where none does."""
    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _power_shares(track: TrackFeatures) -> tuple[Float[np.ndarray, " bands"], Float[np.ndarray, " bands"]]:
    """Share of each band of mid and of side in a track's K-weighted power; all together are 1."""
    mid, side = (10.0 ** ((levels_db + _k_weighting_db()) / 10.0) for levels_db in (track.mid_db, track.side_db))
    total = np.sum(mid) + np.sum(side)
    return mid / total, side / total


@functools.cache
def _k_weighting_db() -> Float[np.ndarray, " bands"]:
    return 10.0 * np.log10(k_weighting_power(CENTERS_HZ, SAMPLE_RATE))
