"""What a track is matched to, and how closely."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from nmjax.reference.features import TrackFeatures
from nmjax.reference.limits import MatchLimits, match_limits
from nmjax.reference.posterior import OTHER_SONG_PRIOR, SAME_PASSAGE_PRIOR, SAME_SONG_PRIOR, STYLE_PRIOR, Prior


class ReferenceAudio(NamedTuple):
    """The audio of a reference. read_chunks: opens it, as `[frames, channel]` chunks."""

    read_chunks: Callable[[], Iterable[np.ndarray]]
    sample_rate: int


@dataclasses.dataclass(frozen=True)
class ReferenceTarget:
    """What a track is matched to, and how closely.

    Attributes:
        features: features of the reference, or the average of several.
        name: name of the reference for messages.
        strength: 0 leaves the predicted settings bit-identical, 1 applies the whole estimate.
        tone: further factor, 0 to 1, for the EQ.
        dynamics: the same for the compressor.
        width: the same for the stereo width.
        same_song: whether the reference is another section or mix of the track's song; then only differences larger
            than those between two sections of one song are corrected.
        same_passage: whether the reference is another mix of the track's own passage, with features of the same
            section; then all differences are corrected.
        is_style: whether the features are those of a kind of music: then a track moves part of the way.
        intensity: above 1, the noise of the measured differences counts as so many times smaller.
        max_boost_db: largest boost of the EQ; None for the default, which depends on `same_song`.
        audio: of a single reference, which is read again where it plays the track's passage at other times.
        allowed: what the match may do in addition, some of `limits.EXPANSION` and `limits.NARROW_BASS`.
    """

    features: TrackFeatures
    name: str
    strength: float = 1.0
    tone: float = 1.0
    dynamics: float = 1.0
    width: float = 1.0
    same_song: bool = False
    same_passage: bool = False
    is_style: bool = False
    intensity: float = 1.0
    max_boost_db: float | None = None
    allowed: frozenset[str] = frozenset()
    audio: ReferenceAudio | None = None

    @property
    def limits(self) -> MatchLimits:
        """What the match may do at most."""
        return match_limits(self.is_own_song, self.max_boost_db, self.allowed)

    @property
    def description(self) -> str:
        """Name, relation and strength, for settings files and reports."""
        relation = ", the same passage" if self.same_passage else ", the same song" if self.same_song else ""
        return f"{self.name}{relation}, strength {self.strength:g}"

    @property
    def is_own_song(self) -> bool:
        """Whether the reference is music of the track's own song."""
        return self.same_song or self.same_passage

    @property
    def prior(self) -> Prior:
        """Prior of the difference between track and reference."""
        prior = OTHER_SONG_PRIOR
        if self.same_passage:
            prior = SAME_PASSAGE_PRIOR
        elif self.same_song:
            prior = SAME_SONG_PRIOR
        elif self.is_style:
            prior = STYLE_PRIOR
        return dataclasses.replace(prior, noise_scale=prior.noise_scale / max(1.0, self.intensity))

    @property
    def matched_stages(self) -> frozenset[str]:
        """The stages that the reference decides."""
        shares = {"eq": self.tone, "compressor": self.dynamics, "width": self.width}
        return frozenset(stage for stage, share in shares.items() if self.strength * share > 0.0)
