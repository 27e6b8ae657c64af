"""Repair of peaks that were cut off flat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float
from pydantic import Field

from nmjax.audio.reader import MAX_CHANNELS
from nmjax.audio.streams import AudioChunks
from nmjax.audio.units import amplitude_to_db
from nmjax.dsp.declip import declip_chunks
from nmjax.mastering.diagnosis.clipping import CONSTANT_SHARE
from nmjax.mastering.repair.base import Diagnosis, Proposal, Repair
from nmjax.mastering.settings.ranges import Range
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.number_format import format_fixed

_MAX_CERTAIN_OVERSHOOT_DB = 12.0  # more is expected of square waves, which are meant to be flat
_MAX_OVER = 1.12  # of samples over the level: 1 dB; what is cut off ends at its level
_Levels = Annotated[
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
    is_slow: ClassVar[bool] = True
    positive: _Levels
    negative: _Levels

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Restoration at the levels of the flat tops; certain where nearly all of them share the highest level."""
        clipping = diagnosis.statistics.clipping
        if "clipping" not in diagnosis.findings or not np.isfinite(clipping.levels).any():
            return None
        positive, negative = (
            [round(float(level), 6) if np.isfinite(level) else None for level in half] for half in clipping.levels.T
        )
        is_certain = clipping.constant_share >= CONSTANT_SHARE and clipping.overshoot_db <= _MAX_CERTAIN_OVERSHOOT_DB
        return Proposal(cls(positive=positive, negative=negative), is_certain)

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream with its peaks restored; they may exceed full scale."""
        for name, values in (("positive", self.positive), ("negative", self.negative)):
            if len(values) != channels:
                raise BadInputError(
                    f"repair.clip.{name} has {len(values)} numbers, the track {channels} channels; give one each."
                )
        halves = [[np.inf if level is None else level for level in half] for half in (self.positive, self.negative)]
        levels = np.array(halves, np.float32)
        return declip_chunks(_checked(chunks, levels), levels.T, sample_rate)

    @property
    def sentence(self) -> str:
        """At what level the peaks were cut off."""
        levels_db = sorted(amplitude_to_db(level) for level in (*self.positive, *self.negative) if level is not None)
        if not levels_db:
            return "No peaks were restored."
        low, high = (format_fixed(level_db, "dBFS") for level_db in (levels_db[0], levels_db[-1]))
        levels = high if low == high else f"{low} to {high}"
        return f"Peaks cut off at {levels} were restored."


def _checked(chunks: AudioChunks, levels: Float[np.ndarray, "half channel"]) -> Iterator[np.ndarray]:
    """The chunks, unless they exceed the levels that should cut them off."""
    for chunk in chunks:
        peaks = np.stack([chunk.max(axis=0, initial=0.0), -chunk.min(axis=0, initial=0.0)])
        for half, channel in np.argwhere(peaks > _MAX_OVER * levels):
            name, level, peak = ("positive", "negative")[half], levels[half, channel], peaks[half, channel]
            raise BadInputError(
                f"repair.clip.{name} is {level:.4g} for channel {channel + 1}, but the track reaches {peak:.4g} there;"
                " give the level of its flat tops, or delete repair.clip."
            )
        yield chunk
