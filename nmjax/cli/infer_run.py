"""`nmjax infer` at work: one track, or a batch."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from nmjax.audio import formats, reader
from nmjax.audio.reader import AudioInfo
from nmjax.cli.infer import InferOptions
from nmjax.cli.infer_output import print_result, result_record, results_to_json, summary_records
from nmjax.cli.inspect_run import print_findings
from nmjax.mastering.analysis import load_programs
from nmjax.mastering.early_scan import EarlyScans
from nmjax.mastering.master import master
from nmjax.mastering.observer import MasteringObserver
from nmjax.mastering.output_paths import OUTPUT_FLAGS, OutputPaths, check_outputs, resolve_output_paths
from nmjax.mastering.resolve import custom_delivery_note, load_network, resolve_delivery_specs, resolve_options
from nmjax.mastering.types import MasteringOptions
from nmjax.reference import target_file
from nmjax.reference.reference_target import ReferenceTarget
from nmjax.runtime import atomic_files
from nmjax.runtime.console import ProgressBars, print_line
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.exit_codes import ExitCode
from nmjax.runtime.text import to_printable


def run_infer(options: InferOptions, console: Console | None = None, early_scans: EarlyScans | None = None) -> int:
    """Master the inputs and print the results; returns the exit code.

    Args:
        options: of the command line.
        console: for the results; None for the standard output.
        early_scans: measures tracks in another process; a single input has been requested.

    Raises:
        BadInputError: an option or an input cannot be used.
    """
    console = console or Console(quiet=options.quiet or options.json)
    return _run_batch(options, console, early_scans) if options.is_batch else _run_single(options, console, early_scans)


def _run_single(options: InferOptions, console: Console, early_scans: EarlyScans | None) -> int:
    if options.scheduler or options.workers is not None:
        raise BadInputError("--scheduler and --workers are for many tracks; give a folder or several files.")
    if options.report_seconds is not None and options.report is None:
        raise BadInputError("--report-seconds has no effect without --report; add --report FILE.")
    track, request = Path(options.inputs[0]), options.mastering_request
    info = reader.probe(track)
    extra_files = {kind: getattr(options, kind) for kind in OUTPUT_FLAGS}
    outputs = resolve_output_paths(track, options.out, resolve_delivery_specs(request), **extra_files)
    settings = Path(request.settings) if request.settings else None
    references = (Path(file.path) for file in request.measured_files())
    check_outputs(track, outputs, options.force, settings, options.save_target, *references)
    names_file = options.out is not None and options.out.suffix.lower() in formats.WRITABLE_SUFFIXES
    if lossy_name := "" if names_file else formats.lossy_name(outputs.masters[0]):
        line = f"The master is {lossy_name}, like the track. To lose no more quality, name a lossless file: -o NAME.wav"
        print_line(console, f"{line} or .flac.")
    mastering_options = _resolve_options(options, console)
    with console.status("Loading the network …"):
        network = load_network(request, mastering_options, lambda message: print_line(console, message))
        if network and early_scans:  # while the track is measured
            load_programs(network)
    with ProgressBars(console, info.frames) as bars:
        observers = _make_observers(info, outputs, options)
        result = master(
            track,
            outputs,
            network,
            mastering_options,
            bars,
            observers,
            report_findings=True,
            early_scans=early_scans,
        )
    _save_target(options, mastering_options, console)
    if options.json:
        print(results_to_json([result_record(result)]))
    else:
        intensity = "" if mastering_options.intensity == 1.0 else f", intensity {mastering_options.intensity:g}"
        title = f"{network.label}{intensity}" if network else ""
        title = f"settings of {to_printable(settings.name)}" if settings else title
        print_findings(result.findings, console)
        print_result(result, title, mastering_options.overrides, console)
    failed = [delivery for delivery in result.delivery_results if not delivery.compliance.passed]
    for delivery in failed if options.quiet and not options.json else ():
        print(f"nmjax: {delivery.spec.name}: {delivery.compliance.summary}", file=sys.stderr)
    return ExitCode.OUT_OF_SPEC if failed else ExitCode.SUCCESS


def _make_observers(info: AudioInfo, outputs: OutputPaths, options: InferOptions) -> list[MasteringObserver]:
    """Observers that write the report, the null test and the plot, each imported only where it is needed."""
    observers: list[MasteringObserver] = []
    if outputs.report or outputs.null_test:
        from nmjax.report.audio_players import DEFAULT_EXCERPT_S
        from nmjax.report.recorder import ReportRecorder

        seconds = options.report_seconds or DEFAULT_EXCERPT_S
        observers.append(ReportRecorder(info, outputs, math.inf if isinstance(seconds, str) else seconds))
    if outputs.plot:
        from nmjax.report.eq_plot import EqPlotter  # matplotlib takes 0.7 s to import

        observers.append(EqPlotter())
    return observers


def _run_batch(options: InferOptions, console: Console, early_scans: EarlyScans | None) -> int:
    from nmjax.batch.batch import BatchRequest, find_batch_jobs, run_batch

    for kind, flag in OUTPUT_FLAGS.items():
        if getattr(options, kind):
            raise BadInputError(f"{flag} is for a single track; give one file.")
    if options.report_seconds is not None:
        raise BadInputError("--report-seconds is for the report of a single track; give one file.")
    out = options.out
    if out and not out.is_dir() and (out.exists() or out.suffix.lower() in reader.READABLE_SUFFIXES):
        raise BadInputError(f"'{out}' is a file or is named like one; for many tracks, -o names a folder.")
    if options.album and (options.scheduler or options.workers):
        raise BadInputError("--album runs on one machine; leave --scheduler and --workers out.")
    batch_request = BatchRequest(
        inputs=options.inputs,
        mastering=options.mastering_request,
        out_dir=out,
        force=options.force,
        album=options.album,
        workers=options.workers,
        scheduler=options.scheduler,
    )

    def log(message: str) -> None:
        print_line(console, message)

    jobs = find_batch_jobs(batch_request, log)
    mastering_options = _resolve_options(options, console, outputs=(file for job in jobs for file in job.files))
    network = load_network(batch_request.mastering, mastering_options, log)
    summary = run_batch(batch_request, jobs, network, mastering_options, console, early_scans)
    _save_target(options, mastering_options, console)
    if options.json:
        print(results_to_json(summary_records(summary), summary.stop_reason))
    return summary.exit_code


def _resolve_options(options: InferOptions, console: Console, outputs: Iterable[Path] = ()) -> MasteringOptions:
    """The checked options; a target file that cannot be saved is reported before any work."""
    request, target = options.mastering_request, options.save_target
    if target:
        if not request.has_reference:
            raise BadInputError("--save-target has nothing to save; add --reference FILE.")
        if request.style:
            raise BadInputError(
                "--save-target saves references; a style is saved by 'nmjax targets STYLE --save FILE'."
            )
        if target.suffix.lower() != ".json":
            raise BadInputError(f"'{target}' must end in .json; that is what --save-target writes.")
        if target.resolve() in {Path(file.path).resolve() for file in request.reference_files()}:
            raise BadInputError(f"'{target}' is a reference of this run; save the target under another name.")
        if target.resolve() in {file.resolve() for file in outputs}:
            raise BadInputError(f"'{target}' is another file of this run; save the target under another name.")
    if note := custom_delivery_note(request, resolve_delivery_specs(request)):
        print_line(console, note)
    with console.status("Analyzing the reference …") if request.has_reference else contextlib.nullcontext():
        mastering_options = resolve_options(request)
    if target and mastering_options.reference_target:
        _check_target_file(target, mastering_options.reference_target, options.force)
    return mastering_options


def _check_target_file(path: Path, target: ReferenceTarget, force: bool) -> None:
    if path.exists() and not force and not target_file.is_up_to_date(path, target.features, target.name):
        raise atomic_files.existing_file_error(path)
    with atomic_files.temporary_sibling(path):
        pass  # fails where the folder is not writable


def _save_target(options: InferOptions, mastering_options: MasteringOptions, console: Console) -> None:
    target = mastering_options.reference_target
    if options.save_target and target:
        target_file.save(options.save_target, target.features, target.name)
        print_line(console, f"{'Target:':11}{to_printable(options.save_target)}")
