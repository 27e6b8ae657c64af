"""`infer.py`: master a track, or many, and say what was done."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nmjax.audio import reader
from nmjax.audio.reader import AudioInfo
from nmjax.audio.units import amplitude_to_db, json_number
from nmjax.batch.jobs import to_printable
from nmjax.mastering.master import delivery_to_dict, master
from nmjax.mastering.observer import MasteringObserver
from nmjax.mastering.output_paths import OutputPaths, check_outputs, resolve_output_paths
from nmjax.mastering.render import active_processors
from nmjax.mastering.request import MasteringRequest
from nmjax.mastering.types import MasteringOptions, MasteringResult
from nmjax.models import Settings
from nmjax.models.processors import processor_settings
from nmjax.reference import target_file
from nmjax.runtime import atomic_files
from nmjax.runtime.console import ProgressBars, print_line
from nmjax.runtime.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class InferArguments:
    """What `infer.py` was asked for.

    inputs: a track; or several, folders, globs. wish: what is to be done with each. out: the master's file; of many,
    their folder. picture, export, report, null_test: further files of a single track. force: overwrite. album: one set
    of settings and one gain for all. scheduler, workers: of Dask. quiet: say nothing but errors; as_json: print what
    was done as JSON. save_target: where the references' features are kept.
    """

    inputs: tuple[str, ...]
    mastering_request: MasteringRequest
    out: Path | None = None
    plot: Path | None = None
    export: Path | None = None
    report: Path | None = None
    null_test: Path | None = None
    force: bool = False
    album: bool = False
    scheduler: str | None = None
    workers: int | None = None
    quiet: bool = False
    as_json: bool = False
    save_target: Path | None = None

    @property
    def is_batch(self) -> bool:
        """Whether it is about more than one track."""
        first = self.inputs[0]
        is_glob = glob.has_magic(first) and not Path(first).exists()
        return self.album or len(self.inputs) > 1 or Path(first).is_dir() or is_glob


def run(arguments: InferArguments, console: Console | None = None) -> int:
    """Master; returns the exit code.

    Raises:
        BadInputError: whatever of the request cannot be used.
    """
    console = console or Console(quiet=arguments.quiet or arguments.as_json)
    if arguments.is_batch:
        from nmjax.batch.batch import run_batch

        return run_batch(arguments, console)
    if arguments.scheduler or arguments.workers is not None:
        raise BadInputError("--scheduler and --workers are for many tracks; give a folder or several files.")
    return _run_one(arguments, console)


def resolve_options(arguments: InferArguments, console: Console) -> MasteringOptions:
    """The options; references are heard.

    Raises:
        BadInputError: as `Wish.options`; a target that cannot be kept where it is wanted, or no reference to keep.
    """
    target_path, references = arguments.save_target, arguments.mastering_request.references
    if target_path:
        if not references.is_given:
            raise BadInputError("There is nothing for --save-target to keep; add --reference FILE.")
        if target_path.suffix.lower() != ".json":
            raise BadInputError(f"'{target_path}' must end in .json; that is what --save-target writes.")
        if target_path.resolve() in {path.resolve() for path, _ in references.weighted_paths()}:
            raise BadInputError(f"'{target_path}' is what is mastered towards; keep the target under another name.")
    with console.status("Listening to the reference …") if references.is_given else contextlib.nullcontext():
        options = arguments.mastering_request.resolve_options()
    if target_path:
        if (
            target_path.exists()
            and not arguments.force
            and not target_file.is_up_to_date(
                target_path, options.reference_target.features, options.reference_target.name
            )
        ):
            raise BadInputError(f"'{target_path}' exists already; add --force to overwrite it, or name another file.")
        with atomic_files.temporary_sibling(target_path):
            pass  # a place that cannot be written is named now, and not after the work
    return options


def check_target_path(target_path: Path | None, other_files: Iterable[Path]) -> None:
    """Raises BadInputError where a target would take the place of another file of the run."""
    if target_path and target_path.resolve() in {file.resolve() for file in other_files}:
        raise BadInputError(f"'{target_path}' is another file of this run; keep the target under another name.")


def write_target(arguments: InferArguments, options: MasteringOptions, console: Console) -> None:
    """Write what was heard of the references, where that is asked for; once nothing else can be wrong."""
    if arguments.save_target:
        target_file.save(arguments.save_target, options.reference_target.features, options.reference_target.name)
        print_line(console, f"{'Target:':11}{to_printable(arguments.save_target)}")


def _run_one(arguments: InferArguments, console: Console) -> int:
    track, mastering_request = Path(arguments.inputs[0]), arguments.mastering_request
    info = reader.probe(track)
    extra_paths = {name: getattr(arguments, name) for name in ("plot", "export", "report", "null_test")}
    outputs = resolve_output_paths(track, arguments.out, mastering_request.delivery_specs(), **extra_paths)
    settings = Path(mastering_request.settings) if mastering_request.settings else None
    check_outputs(
        track,
        outputs,
        arguments.force,
        settings,
        arguments.save_target,
        *(x for x, _ in mastering_request.references.weighted_paths()),
    )
    options = resolve_options(arguments, console)
    network = arguments.mastering_request.load_network(lambda sentence: print_line(console, sentence))
    with ProgressBars(console, info.frames) as bars:
        result = master(track, outputs, network, options, progress=bars, observers=_observers(info, outputs))
    write_target(arguments, options, console)
    if arguments.as_json:
        print(json.dumps(result_to_dict(result), indent=1))  # ASCII: a name may hold what no text can
    model = f"settings of {to_printable(settings.name)}" if settings else f"phase {network.config.phase}"
    console.print(eq_table(result, model))
    if processors_summary := processors_table(result.render_plan.prediction.settings):
        console.print(processors_summary)
    for delivery_result in result.delivery_results:
        print_line(console, f"{delivery_result.spec.name}: {delivery_result.compliance.summary}")
    print_line(
        console, f"It was {result.input_scan.lufs:.1f} LUFS, {amplitude_to_db(result.input_scan.true_peak):.1f} dBTP."
    )
    for note in result.notes:
        print_line(console, to_printable(note))
    for name, path in _labeled_outputs(outputs):
        print_line(console, f"{name + ':':11}{to_printable(path)}")
    return 0


def _observers(info: AudioInfo, outputs: OutputPaths) -> list[MasteringObserver]:
    """What writes the report, the null test and the plot; each is imported only where it is asked for."""
    observers: list[MasteringObserver] = []
    if outputs.report or outputs.null_test:
        from nmjax.report.recorder import ReportRecorder

        observers.append(ReportRecorder(info, outputs))
    if outputs.plot:
        from nmjax.report.eq_plot import EqPlotter  # matplotlib takes 0.7 s to import

        observers.append(EqPlotter())
    return observers


def result_to_dict(result: MasteringResult) -> dict:
    """What was done, for JSON."""
    return {
        "track": str(result.info.path),
        "files": {name.lower(): str(path) for name, path in _labeled_outputs(result.outputs)},
        "before": {
            "lufs": json_number(result.input_scan.lufs),
            "true_peak_db": json_number(amplitude_to_db(result.input_scan.true_peak)),
        },
        "deliveries": [
            {
                "name": delivery_result.spec.name,
                **delivery_to_dict(delivery_result.compliance, delivery_result.plan),
                "line": delivery_result.compliance.summary,
            }
            for delivery_result in result.delivery_results
        ],
        "notes": result.notes,
    }


def _labeled_outputs(outputs: OutputPaths) -> list[tuple[str, Path]]:
    has_several_masters = len(outputs.masters) > 1
    labeled_paths = [
        (f"Master {i}" if has_several_masters else "Master", path) for i, path in enumerate(outputs.masters, 1)
    ]
    labeled_paths += [("Settings", outputs.settings), ("Picture", outputs.plot), ("Export", outputs.export)]
    labeled_paths += [("Report", outputs.report), ("Null test", outputs.null_test)]
    return [(name, path) for name, path in labeled_paths if path]


def eq_table(result: MasteringResult, title: str) -> Table:
    """The bands that were rendered, as the model means them."""
    eq = result.render_plan.prediction.settings.eq
    rows = list(zip(*(np.asarray(x)[0] for x in (eq.freq_hz, eq.gain_db, eq.q, eq.gate)), strict=True))
    has_gates = any(gate != 1.0 for *_, gate in rows)
    residual_label = (
        f", residual × {result.render_plan.residual_amount:g}"
        if result.render_plan.residual_amount not in (0.0, 1.0)
        else ""
    )
    table = Table(title=Text(f"{title}{residual_label}"))
    for name in ("band", "frequency", "gain", "Q", *(("gate", "rendered") if has_gates else ())):
        table.add_column(name, justify="right")
    for band_number, (freq_hz, gain, q, gate) in enumerate(rows, 1):
        gate_columns = (f"{gate:.2f}", f"{gain * gate:+.2f} dB") if has_gates else ()
        table.add_row(str(band_number), f"{freq_hz:,.0f} Hz", f"{gain:+.2f} dB", f"{q:.2f}", *gate_columns)
    return table


def processors_table(settings: Settings) -> Table | None:
    """The stages behind the equaliser that change something, a row each; None where there is none."""
    rows = []
    for processor in active_processors(settings):
        values = [
            (setting, float(getattr(getattr(settings, processor), setting.name)[0]))
            for setting in processor_settings(processor)
        ]
        rows.append(
            (processor, ", ".join(f"{setting.name} {value:.3g} {setting.unit}".rstrip() for setting, value in values))
        )
    if not rows:
        return None
    table = Table()
    for name in ("stage", "settings"):
        table.add_column(name)
    for setting in rows:
        table.add_row(*setting)
    return table


def output_paths_from_master(track: Path, first_master: Path, request: MasteringRequest) -> OutputPaths:
    """The outputs whose first master is `audio`."""
    deliveries = request.delivery_specs()
    if len(deliveries) > 1:
        first_master = first_master.with_name(
            f"{first_master.stem.removesuffix('-' + deliveries[0].name)}{first_master.suffix}"
        )
    return resolve_output_paths(track, first_master, deliveries)


def default_output_files(track: Path, deliveries: Sequence) -> list[Path]:
    """All files that a master of a track writes, the audio first."""
    return resolve_output_paths(track, None, deliveries).files()
