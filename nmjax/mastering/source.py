"""The track before mastering: measured, diagnosed and repaired."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from nmjax.audio import reader
from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks, watch_in_thread
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.diagnosis.diagnosis import LoudnessMeasures, diagnose
from nmjax.mastering.diagnosis.finding import Finding
from nmjax.mastering.diagnosis.inspection import container_bits, loudness_measures
from nmjax.mastering.diagnosis.scan import TrackScan, TrackStatistics
from nmjax.mastering.early_scan import EarlyScans
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import NO_REPAIRS, RepairPlan, mark_findings, plan_repairs, repaired_opener
from nmjax.mastering.request import NONE
from nmjax.mastering.types import InputSignal, MasteringOptions
from nmjax.runtime.errors import BadInputError

MIN_FRAMES = 2
StreamTap = Callable[[str, AudioChunks], AudioChunks]  # returns the chunks of a named signal unchanged


def no_tap(name: str, chunks: AudioChunks) -> AudioChunks:
    """Returns the chunks: a `StreamTap` that observes nothing."""
    return chunks


def input_signal(info: AudioInfo, progress: StreamTap = no_tap, early_scans: EarlyScans | None = None) -> InputSignal:
    """A file as the signal to master.

    Args:
        info: its header.
        progress: called with "Reading" and the chunks of each pass.
        early_scans: has the measurements of the file, where it was requested.
    """

    def watch(chunks: AudioChunks) -> AudioChunks:
        return progress("Reading", chunks)

    return InputSignal(
        read_chunks=lambda: watch(reader.read_chunks(info.path)),
        sample_rate=info.sample_rate,
        channels=info.channels,
        name=f"'{info.path}'",
        bits=container_bits(info),
        wait_for_loudness=(lambda: early_scans.wait_for_loudness(info.path)) if early_scans else None,
        wait_for_features=(lambda: early_scans.wait_for_features(info.path)) if early_scans else None,
        wait_for_scan=(lambda: early_scans.wait(info.path, watch)) if early_scans else None,
    )


@dataclasses.dataclass(frozen=True)
class MeasuredSource:
    """A track, ready to be analyzed.

    Attributes:
        read_chunks: opens the repaired track.
        original: loudness and peak before the repair.
        scan: measurements of the repaired track.
        repairs: what was repaired.
        findings: of the diagnosis before the repair; empty where the track was not diagnosed.
        statistics: of the diagnosis before the repair; None where the track was not diagnosed.
    """

    read_chunks: StreamOpener
    original: LoudnessMeasures
    scan: LoudnessScan
    repairs: RepairPlan
    findings: list[Finding]
    statistics: TrackStatistics | None = None


def measure_source(
    signal: InputSignal,
    options: MasteringOptions,
    tap: StreamTap = no_tap,
    report_findings: bool = False,
    folder: Path | None = None,
    suggest_options: bool = True,
) -> MeasuredSource:
    """Measures a track and plans its repair, in one pass where nothing is repaired, otherwise in two.

    Args:
        signal: the track.
        options: `repair` plans from the diagnosis; `settings` have their repairs, and need no diagnosis.
        tap: called with "source" and the track, and with "repaired" and the repaired track where there are repairs.
        report_findings: diagnose also where no repair needs it.
        folder: for temporary files; None for the system's.
        suggest_options: let findings name the option of the command line that repairs them.

    Raises:
        BadInputError: the track is too short, or settings do not fit it.
    """
    rate, channels = signal.sample_rate, signal.channels
    known_plan = _known_plan(options)
    if known_plan is not None:
        known_plan = known_plan.fitting(rate, channels)
    scan, statistics = _measure(signal, tap, needs_statistics=known_plan is None or report_findings)
    plan, original, findings = known_plan or NO_REPAIRS, loudness_measures(scan), []
    if statistics:
        findings = diagnose(statistics, original, signal.bits)
        if known_plan is None:
            track = DiagnosedTrack(signal.read_chunks, rate, original.lufs)
            plan = plan_repairs(statistics, findings, track, options.repair)
    read_chunks = repaired_opener(signal.read_chunks, plan, rate, channels, folder)
    if plan.active():
        scan = _loudness_scan(tap("repaired", read_chunks()), signal)
    tried = options.repair if suggest_options and known_plan is None else None
    findings = mark_findings(findings, plan, tried)
    return MeasuredSource(read_chunks, original, scan, plan, findings, statistics)


def _measure(
    signal: InputSignal, tap: StreamTap, needs_statistics: bool
) -> tuple[LoudnessScan, TrackStatistics | None]:
    """Measures a track in one pass, unless that has been done."""
    measurements = signal.wait_for_scan() if signal.wait_for_scan else None
    if measurements:
        scan, statistics = measurements.scan, measurements.statistics
    else:
        track_scan = TrackScan(signal.sample_rate, signal.channels) if needs_statistics else None
        chunks = tap("source", signal.read_chunks())
        scan = _loudness_scan(watch_in_thread(chunks, track_scan.update) if track_scan else chunks, signal)
        statistics = track_scan.result() if track_scan and scan.frames >= MIN_FRAMES else None
    if scan.frames < MIN_FRAMES:
        raise BadInputError(f"{signal.name} has fewer than {MIN_FRAMES} samples; there is nothing to master.")
    return scan, statistics


def _known_plan(options: MasteringOptions) -> RepairPlan | None:
    """The repairs that need no diagnosis: those of settings, or none; otherwise None."""
    if options.settings:
        return options.settings.repairs.select(options.repair)
    return NO_REPAIRS if NONE in options.repair else None


def _loudness_scan(chunks: AudioChunks, signal: InputSignal) -> LoudnessScan:
    return LoudnessScan(chunks, signal.sample_rate, signal.channels, max_limiting_db=None)
