"""Masters a track: analyze the input, plan the settings, render, deliver, write all files at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from nmjax.audio import reader
from nmjax.audio.formats import choose_format
from nmjax.audio.reader import AudioInfo
from nmjax.audio.streams import AudioChunks
from nmjax.mastering.deliveries import common_limiting_db, identical_delivery_notes, write_deliveries
from nmjax.mastering.early_scan import EarlyScans
from nmjax.mastering.network import Network
from nmjax.mastering.observer import MasteringObserver
from nmjax.mastering.output_paths import OutputPaths
from nmjax.mastering.rendered_track import render_track
from nmjax.mastering.result_settings import delivery_to_dict, settings_json
from nmjax.mastering.settings import exports
from nmjax.mastering.source import StreamTap, input_signal, no_tap
from nmjax.mastering.track_analysis import EarlyDelivery, analyze_track
from nmjax.mastering.types import (
    MasteringOptions,
    MasteringResult,
)
from nmjax.runtime import atomic_files

_CODEC_PADDING_FRAMES = 4 * 1152  # by how much a lossy file may be shorter than its header says


def master(
    track: Path,
    outputs: OutputPaths,
    network: Network | None,
    options: MasteringOptions,
    progress: StreamTap = no_tap,
    observers: Sequence[MasteringObserver] = (),
    report_findings: bool = False,
    early_scans: EarlyScans | None = None,
) -> MasteringResult:
    """Masters a track; all its files appear together, or none does.

    Args:
        track: the file to master.
        outputs: where the files go; `observers` write the plot, the report and the null test.
        network: None where settings are given and rendered without a residual.
        options: the same for every track.
        progress: called with a name and the chunks of each pass over the audio, which it returns unchanged.
        observers: follow the audio of every stage and write further files.
        report_findings: diagnose also where no repair needs it.
        early_scans: has the measurements of the track, where it was requested; observers then do not see the source.

    Raises:
        BadInputError: the track or the settings cannot be used, or an output cannot be written.
    """
    info = reader.probe(track)
    formats = [choose_format(path, info, options.bits) for path in outputs.masters]

    def tap(stage: str, chunks: AudioChunks) -> AudioChunks:
        for observer in observers:
            chunks = observer.tap(stage, chunks)
        return chunks

    folder = next(folder for folder in outputs.masters[0].parents if folder.is_dir())  # of temporary files
    signal = input_signal(info, progress, early_scans)
    limiting_db = common_limiting_db(options, formats, info.sample_rate)
    with contextlib.ExitStack() as stack:
        early = None if observers else EarlyDelivery(stack, limiting_db)  # observers follow one rendering
        analyzed_track = analyze_track(signal, network, options, tap, report_findings, folder, early)
        notes = [*analyzed_track.notes, *_truncation_notes(info, analyzed_track.input_scan.frames)]
        temporary_paths = {path: stack.enter_context(atomic_files.temporary_sibling(path)) for path in outputs.files()}
        done = analyzed_track.early_result
        rendered = (
            done.rendered
            if done
            else stack.enter_context(
                render_track(analyzed_track, network, options.album_gain_db, folder=folder, tap=tap)
            )
        )
        delivery_results = write_deliveries(
            open_stream=lambda: progress("Delivering", rendered.open_stream()),
            info=info,
            input_lufs=analyzed_track.original.lufs,
            formats=formats,
            masters=outputs.masters,
            temporary_paths=temporary_paths,
            options=options,
            limiting_db=limiting_db,
            scan=done.delivery_scan if done else None,
        )
        if analyzed_track.input_scan.true_peak == 0.0:
            notes.append("The track is silent, and so is the master.")
        else:
            notes += dict.fromkeys(note for delivery in delivery_results for note in delivery.notes)
            notes += identical_delivery_notes(delivery_results)
        if outputs.export and (
            note := exports.missing_side_note(outputs.export, analyzed_track.render_plan.rendered_side_bands)
        ):
            notes.append(note)
        result = MasteringResult(
            outputs=outputs,
            info=info,
            network=network,
            original=analyzed_track.original,
            input_scan=analyzed_track.input_scan,
            render_plan=analyzed_track.render_plan,
            delivery_results=delivery_results,
            residual_level_db=rendered.residual_level_db,
            notes=notes,
            findings=analyzed_track.findings,
            has_given_settings=options.settings is not None,
        )
        _write_settings_files(result, temporary_paths, options)
        for observer in observers:
            observer.write_files(result, rendered.open_stream, temporary_paths)
        # The first master last: where it exists, all other files do.
        atomic_files.commit_files([(temporary_paths[path], path) for path in reversed(outputs.files())])
    return result


def _truncation_notes(info: AudioInfo, num_frames: int) -> list[str]:
    """A message where fewer frames could be read than the header promises."""
    expected_frames = info.frames - (_CODEC_PADDING_FRAMES if info.is_lossy else 0)
    if not info.truncated and num_frames >= expected_frames:
        return []
    seconds = num_frames / info.sample_rate
    return [f"The file is truncated or damaged: only its first {seconds:.1f} s could be read. Check the original."]


def _write_settings_files(
    result: MasteringResult, temporary_paths: dict[Path, Path], options: MasteringOptions
) -> None:
    """Writes the settings and the EQ export to their temporary files."""
    outputs, sample_rate, track_name = result.outputs, result.info.sample_rate, result.info.path.name
    text = settings_json(
        track_name=track_name,
        render_plan=result.render_plan,
        sample_rate=sample_rate,
        network=result.network,
        options=options,
        delivery_by_name={
            x.spec.name: delivery_to_dict(x.spec, x.plan, x.compliance, result.original.lufs)
            for x in result.delivery_results
        },
    )
    temporary_paths[outputs.settings].write_text(text, encoding="utf-8")
    if outputs.export:
        plan = result.render_plan
        path, side_bands = temporary_paths[outputs.export], plan.rendered_side_bands
        exports.export_eq(plan.rendered_bands, sample_rate, path, track_name, side_bands)
