"""A repair: its settings as they stand in a settings file, when it is proposed, and what it does to a stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.scan import TrackStatistics
from nmjax.mastering.settings.ranges import Range, StrictModel

Side = Literal["left", "right"]
SIDES = ("left", "right")
CrossoverHz = Annotated[float, Range(20.0, 500.0, "Hz")]
BandwidthHz = Annotated[float, Range(0.1, 10.0, "Hz")]


@dataclasses.dataclass(frozen=True)
class DiagnosedTrack:
    """A track that can be read once more.

    Attributes:
        read_chunks: opens it, as `[frames, channel]` float32.
        sample_rate: Hz.
        lufs: its integrated loudness.
    """

    read_chunks: StreamOpener
    sample_rate: int
    lufs: float


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnosis:
    """What a repair is planned from. findings: by name."""

    statistics: TrackStatistics
    findings: Mapping[str, Finding]
    track: DiagnosedTrack


class Proposal(NamedTuple):
    """A repair for a track. is_certain: whether `auto` does it."""

    repair: Repair
    is_certain: bool


class Repair(StrictModel):
    """Settings of a repair. A subclass has a field for each amount.

    Attributes:
        label: what it repairs, in a list.
        repaired_findings: names of the findings that it repairs.
        solved_findings: names of findings that are over with it, too, and call for no repair of their own.
    """

    label: ClassVar[str] = ""
    repaired_findings: ClassVar[tuple[str, ...]] = ()
    solved_findings: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def needs_name(cls, diagnosis: Diagnosis) -> bool:
        """Whether it is surely not certain for a diagnosed track, so that `auto` need not plan it."""
        return False

    @classmethod
    def propose(cls, diagnosis: Diagnosis) -> Proposal | None:
        """The repair of a diagnosed track; None where none of its findings is reported."""
        raise NotImplementedError

    def fits(self, sample_rate: int, channels: int) -> bool:
        """Whether it has an effect on a signal of this rate (Hz) and number of channels."""
        return True

    @property
    def is_slow(self) -> bool:
        """Whether the repaired signal is stored, rather than computed again whenever it is read."""
        return False

    def apply(self, chunks: AudioChunks, sample_rate: int, channels: int) -> AudioChunks:
        """The repaired stream, of the same length.

        Args:
            chunks: `[frames, channel]` float32.
            sample_rate: Hz.
            channels: number of channels.
        """
        raise NotImplementedError

    @property
    def sentence(self) -> str:
        """What was done, for a musician."""
        raise NotImplementedError


class StereoRepair(Repair):
    """A repair of two channels."""

    def fits(self, sample_rate: int, channels: int) -> bool:
        """Whether there are two channels."""
        return channels == 2
