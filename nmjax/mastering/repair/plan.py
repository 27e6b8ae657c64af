"""All repairs: which ones a track gets, and the stream through them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from nmjax.audio.spool import StoredStream
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.scan import TrackStatistics
from nmjax.mastering.repair.base import DiagnosedTrack, Diagnosis, Repair
from nmjax.mastering.repair.bass_polarity import BassPolarityRepair
from nmjax.mastering.repair.clip import ClipRepair
from nmjax.mastering.repair.offset import DcRepair
from nmjax.mastering.repair.resonance import ResonanceRepair
from nmjax.mastering.repair.saturation import SaturationRepair
from nmjax.mastering.repair.stereo import BassMonoRepair, DelayRepair, PolarityRepair
from nmjax.mastering.repair.tones import HumRepair, ToneRepair
from nmjax.mastering.request import AUTO
from nmjax.mastering.settings.ranges import StrictModel


class RepairPlan(StrictModel):
    """The section `repair` of a settings file: a field for each repair, None where it is not made.

    They are applied in this order. The names are also those of `--repair`.
    """

    clip: ClipRepair | None = None
    saturation: SaturationRepair | None = None
    dc: DcRepair | None = None
    hum: HumRepair | None = None
    tone: ToneRepair | None = None
    resonance: ResonanceRepair | None = None
    delay: DelayRepair | None = None
    polarity: PolarityRepair | None = None
    bass_polarity: BassPolarityRepair | None = None
    bass_mono: BassMonoRepair | None = None

    def active(self) -> dict[str, Repair]:
        """The repairs that are made, in their order."""
        return {name: repair for name in REPAIRS if (repair := getattr(self, name)) is not None}

    def select(self, names: Sequence[str]) -> RepairPlan:
        """The repairs of a plan that `--repair` names; all for `auto`, none for `none`."""
        left_out = [name for name in REPAIRS if name not in names and AUTO not in names]
        return self.model_copy(update=dict.fromkeys(left_out))

    def fitting(self, sample_rate: int, channels: int) -> RepairPlan:
        """The repairs that have an effect on a signal of this rate (Hz) and number of channels."""
        unfit = [name for name, repair in self.active().items() if not repair.fits(sample_rate, channels)]
        return self.model_copy(update=dict.fromkeys(unfit))

    def to_dict(self) -> dict[str, Any]:
        """The repairs for JSON, without those that are not made."""
        return self.model_dump(exclude_none=True)


REPAIRS: dict[str, type[Repair]] = {
    name: get_args(field.annotation)[0] for name, field in RepairPlan.model_fields.items()
}
NO_REPAIRS = RepairPlan()
_SUGGESTED = {"clipping": "clip,saturation"}  # one of them is made, by whether the flat tops share a level


def plan_repairs(
    statistics: TrackStatistics, findings: Sequence[Finding], track: DiagnosedTrack, names: Sequence[str]
) -> RepairPlan:
    """The repairs of a diagnosed track.

    Args:
        statistics: of the track.
        findings: of its diagnosis.
        track: it is read again where a repair depends on more than its statistics.
        names: those of `--repair`. `auto` makes every repair that is certain; a repair that is named is made where one
            of its findings is reported.
    """
    diagnosis = Diagnosis(statistics, {finding.name: finding for finding in findings}, track)
    repairs: dict[str, Any] = {}
    for name, repair in REPAIRS.items():
        if name not in names and (AUTO not in names or repair.needs_name(diagnosis)):
            continue
        proposal = repair.propose(diagnosis)
        if proposal and (proposal.is_certain or name in names):
            repairs[name] = proposal.repair
    return RepairPlan(**repairs)


def unneeded_repair_notes(names: Sequence[str], plan: RepairPlan, findings: Sequence[Finding]) -> list[str]:
    """A message for each repair that `--repair` names and that was not made.

    Args:
        names: those of `--repair`.
        plan: what was repaired.
        findings: of the diagnosis, marked.
    """
    notes = []
    for name in [name for name in REPAIRS if name in names and name not in plan.active()]:
        found = [finding for finding in findings if finding.name in REPAIRS[name].repaired_findings]
        open_names = [finding.name.replace("_", " ") for finding in found if not finding.repaired]
        if open_names:
            reason = f"it cannot undo the {' and '.join(open_names)} of this track."
        elif found:
            reason = "another repair did its work."
        else:
            reason = "the track has no defect that it repairs."
        notes.append(f"--repair {name} changed nothing: {reason}")
    return notes


def unfit_repair_notes(given: RepairPlan, made: RepairPlan) -> list[str]:
    """A message for each repair of a settings file that has no effect on the track.

    Args:
        given: the repairs of the settings.
        made: those that fit the track.
    """
    unfit = [name for name in given.active() if name not in made.active()]
    return [
        f"The repair '{name}' of the settings is left out: this track has nothing that it acts on." for name in unfit
    ]


def mark_findings(findings: Sequence[Finding], plan: RepairPlan, tried: Sequence[str] | None) -> list[Finding]:
    """The findings with what was done about each, or with the option that does it.

    Args:
        findings: of the diagnosis.
        plan: the repairs that were made.
        tried: those that `--repair` names, which are not proposed again; None where the option cannot be given.
    """
    active, marked = plan.active(), []
    for finding in findings:
        repairs = [name for name in REPAIRS if finding.name in REPAIRS[name].repaired_findings]
        solving = [*repairs, *(name for name in REPAIRS if finding.name in REPAIRS[name].solved_findings)]
        made = " ".join(active[name].sentence for name in solving if name in active)
        if made:
            finding = dataclasses.replace(finding, repaired=made)
        elif tried is not None and not set(repairs) <= set(tried):
            names = _SUGGESTED.get(finding.name, repairs[0])
            finding = dataclasses.replace(finding, remedy=f"{finding.remedy} Or add --repair auto,{names}.")
        marked.append(finding)
    return marked


def repair_stream(chunks: AudioChunks, plan: RepairPlan, sample_rate: int, channels: int) -> AudioChunks:
    """The stream through all repairs of a plan; the chunks themselves where there is none.

    Args:
        chunks: `[frames, channel]` float32.
        plan: the repairs.
        sample_rate: Hz.
        channels: number of channels.
    """
    for repair in plan.active().values():
        chunks = repair.apply(chunks, sample_rate, channels)
    return chunks


def repaired_opener(
    read_chunks: StreamOpener, plan: RepairPlan, sample_rate: int, channels: int, folder: Path | None = None
) -> StreamOpener:
    """Opens the repaired signal; `read_chunks` itself where nothing is repaired.

    Args:
        read_chunks: opens the signal.
        plan, sample_rate, channels: as in `repair_stream`.
        folder: for the temporary file that holds the result of slow repairs; None for the system's.
    """
    if not plan.active():
        return read_chunks

    def open_repaired() -> AudioChunks:
        return repair_stream(read_chunks(), plan, sample_rate, channels)

    is_slow = any(repair.is_slow for repair in plan.active().values())
    return StoredStream(open_repaired, channels, folder).read_chunks if is_slow else open_repaired
