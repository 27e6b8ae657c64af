"""Repair of peaks that were cut off flat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nmjax.audio.reader import MAX_CHANNELS
from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import amplitude_to_db
from nmjax.dsp.declip import declip_chunks
from nmjax.mastering.repair.base import Diagnosis, Proposal, Repair
from nmjax.mastering.settings.ranges import Range
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_fixed

_MAX_CERTAIN_OVERSHOOT_DB = 12.0  # more is expected of square waves, which are meant to be flat
_MAX_OVER = 1.12  # of samples over the level: 1 dB; what is cut off ends at its level
HalfLevels = Annotated[
    list[Annotated[float, Range(0.001, 1_000.0)] | None], Field(max_length=MAX_CHANNELS, default_factory=list)
]


class ClipRepair(Repair):
    """Restores peaks that were cut off at a constant level; all other samples stay as they are.

    Attributes:
        positive, negative: magnitude from which the positive and the negative half of each channel are cut off, full
            scale ±1; None for a half that is not.
    """

    label: ClassVar[str] = "clipped peaks"
    repaired_findings: ClassVar[tuple[str, ...]] = ("clipping",)
    positive: HalfLevels
    negative: HalfLevels

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Restoration at the levels of the flat tops; certain where nearly all of them share the highest level."""
        clipping = diagnosis.statistics.clipping
        if "clipping" not in diagnosis.findings or not np.isfinite(clipping.levels).any():
            return None
        positive, negative = map(level_list, clipping.levels.T)
        is_certain = clipping.is_constant and clipping.overshoot_db <= _MAX_CERTAIN_OVERSHOOT_DB
        return Proposal(cls(positive=positive, negative=negative), is_certain)

    @property
    def is_slow(self) -> bool:
        """Always."""
        return True

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream with its peaks restored; they may exceed full scale."""
        levels = level_array({"clip.positive": self.positive, "clip.negative": self.negative}, channels)
        return declip_chunks(checked_levels(chunks, levels.T, "clip.", _MAX_OVER), levels, sample_rate)

    @property
    def sentence(self) -> str:
        """At what level the peaks were cut off."""
        levels = describe_levels(self.positive, self.negative)
        return f"Peaks cut off at {levels} were restored." if levels else "No peaks were restored."


def level_array(halves: Mapping[str, Sequence[float | None]], channels: int) -> Float[np.ndarray, "channel half"]:
    """The levels of both halves of each channel; infinite where one has none.

    Args:
        halves: by their place in the section `repair` of a settings file.
        channels: of the track.

    Raises:
        BadInputError: there is not one level for each channel.
    """
    for name, levels in halves.items():
        if len(levels) != channels:
            raise BadInputError(
                f"repair.{name} needs one number for each channel: {channels} for this track, not {len(levels)}."
            )
    return np.array([[np.inf if x is None else x for x in levels] for levels in halves.values()], np.float32).T


def level_list(levels: Iterable[float]) -> list[float | None]:
    """Levels as a settings file has them: None where there is none."""
    return [round(float(level), 6) if np.isfinite(level) else None for level in levels]


def describe_levels(*halves: Sequence[float | None]) -> str:
    """The range of all levels in dBFS; empty where there is none."""
    levels_db = sorted(amplitude_to_db(level) for half in halves for level in half if level is not None)
    if not levels_db:
        return ""
    low, high = (format_fixed(level_db, "dBFS") for level_db in (levels_db[0], levels_db[-1]))
    return high if low == high else f"{low} to {high}"


def checked_levels(
    chunks: AudioChunks, levels: Float[np.ndarray, "half channel"], name: str, max_over: float
) -> Iterator[np.ndarray]:
    """The chunks, unless they exceed the levels that should cut them off.

    Args:
        chunks: `[frames, channel]`.
        levels: infinite where nothing is cut off.
        name: of the levels in the section `repair`, but for the half.
        max_over: by which factor samples may exceed their level.

    Raises:
        BadInputError: a sample exceeds it by more.
    """
    for chunk in chunks:
        peaks = np.stack([chunk.max(axis=0, initial=0.0), -chunk.min(axis=0, initial=0.0)])
        for half, channel in np.argwhere(peaks > max_over * levels):
            half_name, level, peak = ("positive", "negative")[half], levels[half, channel], peaks[half, channel]
            raise BadInputError(
                f"repair.{name}{half_name} is {level:.4g} for channel {channel + 1}, but the track reaches {peak:.4g}"
                f" there; give the level of its flat tops, or delete repair.{name.split('.')[0]}."
            )
        yield chunk
