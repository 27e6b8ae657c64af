"""`nmjax inspect` at work: the findings of each track as text or JSON."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from nmjax.audio import reader
from nmjax.audio.units import amplitude_to_db
from nmjax.batch.jobs import find_jobs
from nmjax.cli.inspect import InspectOptions
from nmjax.mastering.diagnosis.diagnosis import LoudnessMeasures
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.inspection import Inspection, inspect_file
from nmjax.mastering.diagnosis.tonal_balance import describe_balance
from nmjax.mastering.json_models import InspectedTrack, InspectOutput, levels_record, to_json
from nmjax.mastering.repair.base import DiagnosedTrack
from nmjax.mastering.repair.plan import plan_repairs
from nmjax.mastering.request import AUTO
from nmjax.runtime.console import print_line
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.exit_codes import ExitCode
from nmjax.runtime.number_format import format_fixed, format_time
from nmjax.runtime.text import to_printable

_LABEL_WIDTH = max(len(severity) for severity in Severity) + 2


def run_inspect(options: InspectOptions, console: Console | None = None) -> int:
    """Inspect the tracks and print what was found; returns the exit code.

    A track that turns out to be damaged is reported, and the others are inspected nevertheless.

    Raises:
        BadInputError: a file is missing or is no audio; headers are checked before the first track is inspected.
    """
    console = console or Console()
    infos = [reader.probe(track) for track in _expand_folders(options.tracks)]
    tracks, exit_code = [], ExitCode.SUCCESS
    for info in infos:
        try:
            inspection = inspect_file(info.path)
        except BadInputError as error:
            print(f"nmjax: {error}", file=sys.stderr)
            exit_code = ExitCode.BAD_INPUT
            continue
        tracks.append(_track_record(info.path, inspection.loudness, inspection.findings))
        if not options.json:
            _print_inspection(inspection, console)
    if options.json:
        print(to_json(InspectOutput(tracks=tracks)))
    return exit_code


def _expand_folders(paths: Sequence[Path]) -> list[Path]:
    """The files, and the tracks in the folders."""
    if not any(path.is_dir() for path in paths):
        return list(paths)
    jobs = find_jobs(paths, lambda track: [track.with_suffix(".json")], report=lambda message: None)
    return [job.track for job in jobs]


def _print_inspection(inspection: Inspection, console: Console) -> None:
    info, loudness = inspection.info, inspection.loudness
    levels = describe_levels(loudness.lufs, loudness.true_peak)
    seconds = format_time(info.frames / info.sample_rate)
    print_line(console, f"{to_printable(info.path)}: {seconds}, {info.sample_rate:,} Hz, {levels}")
    if measures := _describe_measures(inspection.measures):
        print_line(console, measures)
    print_findings(inspection.findings, console)
    track = DiagnosedTrack(lambda: reader.read_chunks(info.path), info.sample_rate, loudness.lufs)
    planned = plan_repairs(inspection.statistics, inspection.findings, track, (AUTO,)).active().values()
    if planned:
        print_line(console, f"nmjax infer repairs {', '.join(repair.label for repair in planned)}.")


def describe_levels(lufs: float, true_peak: float) -> str:
    """Loudness and true peak, an amplitude."""
    loudness = format_fixed(lufs, "LUFS") if math.isfinite(lufs) else "no loudness"
    return f"{loudness}, {format_fixed(amplitude_to_db(true_peak), 'dBTP') if true_peak else 'silent'}"


def _describe_measures(measures: Mapping[str, float]) -> str:
    """Dynamics and tone of a track, whether or not something is wrong with them; empty for silence."""
    parts = []
    if "loudness_range_lu" in measures:
        parts.append(f"loudness range {format_fixed(measures['loudness_range_lu'], 'LU')}")
    if "plr_db" in measures:
        parts.append(f"peaks {format_fixed(measures['plr_db'], 'dB')} above the loudness")
    if balance := describe_balance(measures):
        parts.append(f"tone beside the median song: {balance}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """Print each finding in two lines: what was found, and what was or can be done."""
    if not findings:
        print_line(console, "No defects were found.")
    for finding in findings:
        print_line(console, f"{finding.severity + ':':{_LABEL_WIDTH}}{finding.ranked_sentence}")
        print_line(console, f"{'':{_LABEL_WIDTH}}{finding.advice}")


def _track_record(path: Path, loudness: LoudnessMeasures, findings: Sequence[Finding]) -> InspectedTrack:
    levels = levels_record(loudness.lufs, amplitude_to_db(loudness.true_peak), loudness.loudness_range_lu)
    values: dict[str, Any] = {"input": levels, "findings": [finding.to_dict() for finding in findings]}
    return InspectedTrack(track=os.path.abspath(path), **values)
