"""`nmjax inspect` at work: the findings of each track as text or JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from nmjax.audio import reader
from nmjax.audio.units import amplitude_to_db
from nmjax.cli.inspect import InspectOptions
from nmjax.mastering.diagnosis.diagnosis import LoudnessMeasures
from nmjax.mastering.diagnosis.finding import Finding, Severity
from nmjax.mastering.diagnosis.inspection import inspect_file
from nmjax.mastering.diagnosis.tonal_balance import describe_balance
from nmjax.mastering.json_models import InspectedTrack, InspectOutput, levels_record, to_json
from nmjax.runtime.console import print_line
from nmjax.runtime.number_format import format_fixed, format_time
from nmjax.runtime.text import to_printable

_LABEL_WIDTH = max(len(severity) for severity in Severity) + 2


def run_inspect(options: InspectOptions, console: Console | None = None) -> None:
    """Inspect the tracks and print what was found.

    Raises:
        BadInputError: a track cannot be read; headers are checked before the first track is inspected.
    """
    console = console or Console()
    infos = [reader.probe(track) for track in options.tracks]
    tracks = []
    for info in infos:
        _, loudness, findings, measures = inspect_file(info.path)
        tracks.append(_track_record(info.path, loudness, findings))
        if options.json:
            continue
        seconds = format_time(info.frames / info.sample_rate)
        true_peak_db = amplitude_to_db(loudness.true_peak)
        levels = f"{format_fixed(loudness.lufs, 'LUFS')}, {format_fixed(true_peak_db, 'dBTP')}"
        print_line(console, f"{to_printable(info.path)}: {seconds}, {info.sample_rate:,} Hz, {levels}")
        if measures_text := _describe_measures(measures):
            print_line(console, measures_text)
        print_findings(findings, console)
    if options.json:
        print(to_json(InspectOutput(tracks=tracks)))


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
