"""Repair of a DC offset, and of rumble below the lowest notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from nmjax.audio.reader import MAX_CHANNELS
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.diagnosis.file_quality import SUBSONIC_HZ, SampleStatistics
from nmjax.mastering.repair.base import Diagnosis, Proposal, Repair
from nmjax.mastering.repair.linear_phase import add_filtered, low_pass_taps
from nmjax.mastering.settings.ranges import Range
from nmjax.runtime.errors import BadInputError

_TRANSITION_HZ = 10.0  # of the high-pass: from 10 to 20 Hz around 15
_MIN_BLOCKS = 8  # of 1.5 s
_TOLERANCE = 0.3  # a block whose mean is within this share of the track's mean has the same offset
_MIN_CONSTANT_SHARE = 0.95
_MIN_CERTAIN_SUBSONIC_DB = 3.0  # music itself reaches 0 dB: synthesizers wander around zero


class DcRepair(Repair):
    """Subtracts a constant from each channel; high-pass filters where the offset wanders.

    Attributes:
        offset: of each channel, full scale ±1; empty for none.
        highpass_hz: corner of a linear-phase high-pass; None for none.
    """

    label: ClassVar[str] = "an offset"
    repaired_findings: ClassVar[tuple[str, ...]] = ("dc_offset", "subsonic")
    offset: Annotated[list[Annotated[float, Range(-1.0, 1.0)]], Field(max_length=MAX_CHANNELS, default_factory=list)]
    highpass_hz: Annotated[float, Range(2.0, 40.0, "Hz")] | None = None

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """Subtraction of an offset that stays the same, otherwise the high-pass."""
        samples, offset, highpass_hz, is_certain = diagnosis.statistics.samples, [], None, False
        if "dc_offset" in diagnosis.findings:
            if _is_constant(samples):
                offset = [round(float(mean), 6) for mean in samples.mean]
                is_certain = True
            else:
                highpass_hz = SUBSONIC_HZ
        if subsonic := diagnosis.findings.get("subsonic"):
            highpass_hz = SUBSONIC_HZ
            is_certain |= subsonic.value >= _MIN_CERTAIN_SUBSONIC_DB
        if not offset and highpass_hz is None:
            return None
        return Proposal(cls(offset=offset, highpass_hz=highpass_hz), is_certain)

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The stream without offset and rumble."""
        if self.offset:
            if len(self.offset) != channels:
                raise BadInputError(
                    f"repair.dc.offset needs one number for each channel: {channels} for this track, not"
                    f" {len(self.offset)}."
                )
            chunks = _subtract(chunks, np.array(self.offset))
        if self.highpass_hz is None:
            return chunks
        taps = low_pass_taps(self.highpass_hz, min(_TRANSITION_HZ, self.highpass_hz), sample_rate)
        return add_filtered(chunks, -taps, np.eye(channels))

    @property
    def sentence(self) -> str:
        """What was subtracted and removed."""
        percents = ", ".join(f"{100.0 * value:+.2f}" for value in self.offset)
        parts = [f"the constant offset was subtracted ({percents} % of full scale)"] if self.offset else []
        if self.highpass_hz is not None:
            parts.append(f"everything below {self.highpass_hz:g} Hz was removed")
        sentence = ", and ".join(parts)
        return f"{sentence[:1].upper()}{sentence[1:]}."


def _subtract(chunks: AudioChunks, offset: np.ndarray) -> Iterator[np.ndarray]:
    for chunk in chunks:
        yield (chunk - offset).astype(np.float32)


def _is_constant(samples: SampleStatistics) -> bool:
    """Whether the offset is the same throughout, in all channels that have a considerable one."""
    blocks, mean = np.array(samples.block_means), samples.mean
    if len(blocks) < _MIN_BLOCKS:
        return False
    shifted = np.abs(mean) >= 0.25 * np.abs(mean).max()
    is_close = np.abs(blocks[:, shifted] - mean[shifted]) <= _TOLERANCE * np.abs(mean[shifted])
    return bool(is_close.mean(axis=0).min() >= _MIN_CONSTANT_SHARE)
