"""What a reference may do to a track at most: boosts of the EQ, expansion, narrower bass.

Another song can differ from a track by tens of decibels. A boost of that size raises noise and overloads loudspeakers,
below 60 Hz most of all; an expander and a narrower bass undo what nobody complained about. So they need to be allowed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

DEFAULT_MAX_BOOST_DB, SAME_SONG_MAX_BOOST_DB = 6.0, 12.0
SUB_BASS_HZ, BASS_HZ = 60.0, 150.0
SUB_BASS_SHARE = 0.5  # of the largest boost, below SUB_BASS_HZ
MIN_BAND_DISTANCE_OCTAVES = 1.0 / 6.0
EMPTY_BOOST_DB = 1.0  # the skirts of filters, where a track holds nothing
EXPANSION, NARROW_BASS = "expansion", "narrow_bass"


class ResponseLimits(NamedTuple):
    """Limits of an EQ's summed response in dB.

    Attributes:
        sub_bass_db: largest gain below `SUB_BASS_HZ`.
        above_db: largest gain above it.
        min_bass_db: smallest gain below `BASS_HZ`.
        lowest_hz: where the track's sound begins; below it there is at most `EMPTY_BOOST_DB`.
        highest_hz: where it ends, such as the low-pass of a codec; the same above it.
    """

    sub_bass_db: float
    above_db: float
    min_bass_db: float = -1e3
    lowest_hz: float = 0.0
    highest_hz: float = 1e6

    def at(self, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The largest gain at each frequency."""
        limit_db = np.where(np.asarray(freq_hz) < SUB_BASS_HZ, self.sub_bass_db, self.above_db)
        return np.where(self.has_sound(freq_hz), limit_db, np.minimum(limit_db, EMPTY_BOOST_DB))

    def has_sound(self, freq_hz: Float[np.ndarray, " points"]) -> Bool[np.ndarray, " points"]:
        """Whether the track holds anything at each frequency."""
        return (np.asarray(freq_hz) >= self.lowest_hz) & (np.asarray(freq_hz) <= self.highest_hz)

    def smallest_at(self, freq_hz: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """The smallest gain at each frequency."""
        return np.where(np.asarray(freq_hz) < BASS_HZ, self.min_bass_db, -np.inf)


NO_LIMITS = ResponseLimits(np.inf, np.inf)


@dataclasses.dataclass(frozen=True)
class MatchLimits:
    """Limits of a match.

    Attributes:
        max_boost_db: largest gain of the EQ's summed response; half of it below 60 Hz.
        allowed: some of EXPANSION and NARROW_BASS.
    """

    max_boost_db: float = DEFAULT_MAX_BOOST_DB
    allowed: frozenset[str] = frozenset()

    @property
    def response(self) -> ResponseLimits:
        """The limits of the EQ's summed response."""
        return ResponseLimits(SUB_BASS_SHARE * self.max_boost_db, self.max_boost_db)


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
