"""Repair of narrow resonances by peaking filters of the opposite gain."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from nmjax.audio.streams import AudioChunks
from nmjax.dsp import Bands
from nmjax.mastering.diagnosis.resonance import fit_resonances
from nmjax.mastering.repair.base import Diagnosis, Proposal, Repair
from nmjax.mastering.settings.ranges import Range, StrictModel
from nmjax.runtime.number_format import format_fixed

_HIGHEST = 0.49  # of the sample rate


class Cut(StrictModel):
    """A peaking filter (Audio EQ Cookbook) that undoes one of the same frequency and Q and of the opposite gain."""

    freq_hz: Annotated[float, Range(20.0, 40_000.0, "Hz")]
    gain_db: Annotated[float, Range(-40.0, 0.0, "dB")]
    q: Annotated[float, Range(0.5, 200.0)]


class ResonanceRepair(Repair):
    """Cuts at resonances.

    Attributes:
        cuts: a filter for each resonance, in series.
    """

    label: ClassVar[str] = "resonances"
    repaired_findings: ClassVar[tuple[str, ...]] = ("resonance",)
    cuts: Annotated[list[Cut], Field(min_length=1, max_length=16)]

    @classmethod
    def needs_name(cls, diagnosis: Diagnosis) -> bool:
        """Always: a note that is held on looks the same."""
        return True

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Cuts as deep as the resonances seem high; never certain, because a note that is held on is like them."""
        if "resonance" not in diagnosis.findings:
            return None
        found = fit_resonances(diagnosis.statistics.spectrum)
        cuts = [Cut(freq_hz=round(x.freq_hz, 2), gain_db=-round(x.gain_db, 1), q=round(x.q, 1)) for x in found]
        return Proposal(cls(cuts=cuts), is_certain=False)

    def fits(self, sample_rate: int, channels: int) -> bool:
        """Whether a cut is below half of the rate."""
        return bool(self._audible(sample_rate))

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream through the cuts, bit-identical where all of them have 0 dB."""
        if not (cuts := self._audible(sample_rate)):
            return chunks
        from nmjax.mastering.render import equalize_stream  # imports Flax (half a second), which a plan does not need

        values = np.array([[(cut.freq_hz, cut.gain_db, cut.q) for cut in cuts]])
        return equalize_stream(chunks, Bands(*np.moveaxis(values, 2, 0)), sample_rate)

    @property
    def sentence(self) -> str:
        """The cuts."""
        listed = ", ".join(
            f"{cut.freq_hz:,.0f} Hz ({format_fixed(cut.gain_db, 'dB')}, Q {cut.q:g})" for cut in self.cuts
        )
        return f"Narrow cuts were set at {listed}."

    def _audible(self, sample_rate: int) -> list[Cut]:
        return [cut for cut in self.cuts if cut.freq_hz < _HIGHEST * sample_rate]
