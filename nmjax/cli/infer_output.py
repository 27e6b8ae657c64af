"""What `nmjax infer` prints: tables for the terminal, and one JSON layout for single and many tracks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nmjax.audio.units import amplitude_to_db, json_number
from nmjax.batch.batch_summary import BatchSummary
from nmjax.batch.manifest import DONE, FAILED, ManifestEntry, file_stamp
from nmjax.cli.inspect_run import describe_levels
from nmjax.mastering.json_models import InferOutput, Levels, MasteredTrack, levels_record, to_json
from nmjax.mastering.output_paths import OutputPaths
from nmjax.mastering.render import active_processors
from nmjax.mastering.request_readers import SIDE_PREFIX
from nmjax.mastering.residual_level import describe_residual
from nmjax.mastering.settings.labels import describe_closed_bands, describe_settings, is_closed, is_fully_open
from nmjax.mastering.settings.overrides import Overrides
from nmjax.mastering.summary import summary_sentences
from nmjax.mastering.types import MasteringResult
from nmjax.models.parameters import EqSettings
from nmjax.models.processors import PROCESSORS
from nmjax.runtime.console import print_line
from nmjax.runtime.number_format import format_signed
from nmjax.runtime.text import to_printable

SKIPPED = "skipped"  # status of a track that an earlier run has mastered
_SETTINGS_KEYS = ("model", "reference", "input_gain_db", "residual_amount", "repair", "eq", "eq_side", *PROCESSORS)


def print_result(result: MasteringResult, title: str, overrides: Overrides, console: Console) -> None:
    """Print what was done, settings, measurements, notes and files of a track.

    Silence has no settings, since they do not change it.

    Args:
        result: the mastered track.
        title: what the settings are called.
        overrides: what was set by hand; it is marked.
        console: where to.
    """
    is_silent = result.input_scan.true_peak == 0.0
    if not is_silent:
        for sentence in summary_sentences(result):
            print_line(console, to_printable(sentence))
        _print_settings(result, title, overrides, console)
    for delivery in result.delivery_results:
        print_line(console, f"{delivery.spec.name}: {delivery.compliance.summary}")
    if not is_silent:
        print_line(console, f"Input: {describe_levels(result.original.lufs, result.original.true_peak)}.")
        if result.repair_sentences:
            print_line(
                console, f"After repair: {describe_levels(result.input_scan.lufs, result.input_scan.true_peak)}."
            )
    for sentence in result.unreported_repairs:
        print_line(console, f"Repaired: {sentence}")
    for note in result.notes:
        print_line(console, to_printable(note))
    for label, path in _labeled_files(result.outputs):
        print_line(console, f"{label + ':':11}{to_printable(path)}")


def _print_settings(result: MasteringResult, title: str, overrides: Overrides, console: Console) -> None:
    plan, eq_bypassed = result.render_plan, overrides.eq_scale == 0.0
    residual_label = (
        "" if plan.residual_amount in (0.0, 1.0, plan.eq_scale) else f", residual × {plan.residual_amount:g}"
    )
    print_line(console, f"{title}{residual_label}:{' the EQ is bypassed.' if eq_bypassed else ''}")
    if not eq_bypassed:
        _print_bands(result, overrides, console)
    settings = plan.prediction.settings
    for name in active_processors(settings, result.info.channels):
        by_hand = overrides.processors.get(name, ())
        text = describe_settings(name, getattr(settings, name), by_hand)
        print_line(console, f"{name.capitalize() + ':':12}{text}")
    if result.residual_level_db is not None:
        print_line(console, describe_residual(result.residual_level_db))


def _labeled_files(outputs: OutputPaths) -> list[tuple[str, Path]]:
    has_several_masters = len(outputs.masters) > 1
    files: list[tuple[str, Path | None]] = [
        (f"Master {i}" if has_several_masters else "Master", path) for i, path in enumerate(outputs.masters, 1)
    ]
    files += [("Settings", outputs.settings), *((_label(kind), path) for kind, path in _extra_files(outputs).items())]
    return [(label, path) for label, path in files if path]


def _extra_files(outputs: OutputPaths) -> dict[str, Path | None]:
    return {kind: getattr(outputs, kind) for kind in ("plot", "export", "report", "null_test")}


def _label(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


def _print_bands(result: MasteringResult, overrides: Overrides, console: Console) -> None:
    """Print the rendered bands, with their values at the model's sample rate; closed bands are counted."""
    settings = result.render_plan.prediction.settings
    rows = [(str(number), *row) for number, row in enumerate(_band_values(settings.eq), 1)]
    if settings.eq_side is not None:
        rows += [(f"{SIDE_PREFIX}{number}", *row) for number, row in enumerate(_band_values(settings.eq_side), 1)]
    by_hand = {*map(str, overrides.bands), *(f"{SIDE_PREFIX}{number}" for number in overrides.side_bands)}
    open_rows = [row for row in rows if not is_closed(row[-1])]
    has_gates = any(not is_fully_open(gate) for *_, gate in open_rows)
    table = Table()
    for name in ("band", "frequency", "gain", "Q", *(("gate", "rendered gain") if has_gates else ())):
        table.add_column(name, justify="right")
    if by_hand:
        table.add_column("set by hand")
    for number, freq_hz, gain_db, q, gate in open_rows:
        gate_columns = (f"{gate:.2f}", format_signed(gain_db * gate, "dB", digits=2)) if has_gates else ()
        gain = format_signed(gain_db, "dB", digits=2)
        hand_column = ("yes" if number in by_hand else "",) if by_hand else ()
        table.add_row(number, f"{freq_hz:,.0f} Hz", gain, f"{q:.2f}", *gate_columns, *hand_column)
    console.print(table)
    if closed := describe_closed_bands(len(rows) - len(open_rows), len(rows)):
        print_line(console, closed)


def _band_values(eq: EqSettings) -> list[tuple[float, float, float, float]]:
    """Frequency, gain, Q and gate of each band."""
    return list(zip(*(np.asarray(x)[0].tolist() for x in (eq.freq_hz, eq.gain_db, eq.q, eq.gate)), strict=True))


def results_to_json(tracks: Sequence[MasteredTrack], stop_reason: str = "") -> str:
    """The output of `--json`, in ASCII since a file name may hold bytes that are not text."""
    return to_json(InferOutput(tracks=list(tracks), stop_reason=stop_reason))


def result_record(result: MasteringResult) -> MasteredTrack:
    """A track that was mastered alone, with the findings of its diagnosis."""
    reasons = [x.compliance.failure_reason for x in result.delivery_results if x.compliance.failure_reason]
    original = result.original
    return _track_record(
        track=result.info.path,
        status=DONE,
        masters=result.outputs.masters,
        settings_file=result.outputs.settings,
        extra_files=_extra_files(result.outputs),
        levels=levels_record(original.lufs, amplitude_to_db(original.true_peak), original.loudness_range_lu),
        residual_level_db=json_number(result.residual_level_db),
        notes=[*reasons, *result.notes],
        summary=summary_sentences(result),
        reference=outcome.to_dict() if (outcome := result.render_plan.match_outcome) else None,
        findings=[finding.to_dict() for finding in result.findings],
    )


def summary_records(summary: BatchSummary) -> list[MasteredTrack]:
    """All tracks of a batch: mastered by this run, by an earlier one, and failed."""
    return [
        *(_entry_record(entry, DONE) for entry in summary.done),
        *(_entry_record(entry, SKIPPED) for entry in summary.skipped),
        *(_entry_record(entry, FAILED) for entry in summary.failed),
    ]


def _entry_record(entry: ManifestEntry, status: str) -> MasteredTrack:
    folder = Path(entry.out).parent
    *masters, settings_file = (folder / name for name in entry.files) if entry.files else (None,)
    is_unchanged = settings_file is not None and file_stamp(settings_file) == entry.files[settings_file.name]
    return _track_record(
        track=Path(entry.track),
        status=status,
        error=entry.error,
        masters=masters,
        settings_file=settings_file if is_unchanged else None,  # edited settings are not those of the master
        levels=levels_record(entry.input_lufs, entry.input_true_peak_db, entry.input_loudness_range_lu),
        residual_level_db=entry.residual_level_db,
        notes=entry.notes,
        summary=entry.summary,
        reference=entry.reference,
        findings=entry.findings,
    )


def _track_record(
    *,
    track: Path,
    status: str,
    masters: Sequence[Path],
    settings_file: Path | None,
    levels: Levels,
    residual_level_db: float | None,
    notes: Sequence[str],
    summary: Sequence[str],
    reference: Mapping[str, Any] | None,
    findings: Sequence[Mapping[str, Any]],
    extra_files: Mapping[str, Path | None] | None = None,
    error: str = "",
) -> MasteredTrack:
    settings = json.loads(settings_file.read_text(encoding="utf-8")) if settings_file else {}
    deliveries = zip(masters, settings.get("delivery", {}).items(), strict=False)
    files = {"settings": settings_file, **(extra_files or {})}
    values: dict[str, Any] = {
        "track": os.path.abspath(track),
        "status": status,
        "error": error,
        "summary": summary,
        "reference": reference,
        "findings": findings,
        "input": levels,
        "residual": None
        if residual_level_db is None
        else {"level_db": residual_level_db, "summary": describe_residual(residual_level_db)},
        "deliveries": [
            {"name": name, "file": os.path.abspath(path), **measurements} for path, (name, measurements) in deliveries
        ],
        "files": {kind: os.path.abspath(path) for kind, path in files.items() if path},
        "settings": {key: settings[key] for key in _SETTINGS_KEYS if key in settings} or None,
        "notes": notes,
    }
    return MasteredTrack(**values)
