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

from nmjax import io
from nmjax.errors import BadInputError
from nmjax.inference.decibels import finite, of_amplitude
from nmjax.inference.many.jobs import shown
from nmjax.inference.master import Mastered, Options, facts_of, master
from nmjax.inference.outputs import Outputs, check, outputs_of
from nmjax.inference.progress import Bars, say
from nmjax.inference.render import active_stages
from nmjax.inference.wish import Wish
from nmjax.models import Settings
from nmjax.models.stages import settings_of
from nmjax.reference import target


@dataclasses.dataclass(frozen=True)
class Request:
    """What `infer.py` was asked for.

    inputs: a track; or several, folders, globs. wish: what is to be done with each. out: the master's file; of many,
    their folder. picture, export, report, null_test: further files of a single track. force: overwrite. album: one set
    of settings and one gain for all. scheduler, workers: of Dask. quiet: say nothing but errors; as_json: print what
    was done as JSON. save_target: where the references' features are kept.
    """

    inputs: tuple[str, ...]
    wish: Wish
    out: Path | None = None
    picture: Path | None = None
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
    def many(self) -> bool:
        """Whether it is about more than one track."""
        first = self.inputs[0]
        glob_of_some = glob.has_magic(first) and not Path(first).exists()
        return self.album or len(self.inputs) > 1 or Path(first).is_dir() or glob_of_some


def run(request: Request, console: Console | None = None) -> int:
    """Master; returns the exit code.

    Raises:
        BadInputError: whatever of the request cannot be used.
    """
    console = console or Console(quiet=request.quiet or request.as_json)
    if request.many:
        from nmjax.inference.many.batch import run_many

        return run_many(request, console)
    if request.scheduler or request.workers is not None:
        raise BadInputError("--scheduler and --workers are for many tracks; give a folder or several files.")
    return _run_one(request, console)


def options_of(request: Request, console: Console) -> Options:
    """The options; references are heard.

    Raises:
        BadInputError: as `Wish.options`; a target that cannot be kept where it is wanted, or no reference to keep.
    """
    kept, references = request.save_target, request.wish.references
    if kept:
        if not references.given:
            raise BadInputError("There is nothing for --save-target to keep; add --reference FILE.")
        if kept.suffix.lower() != ".json":
            raise BadInputError(f"'{kept}' must end in .json; that is what --save-target writes.")
        if kept.resolve() in {path.resolve() for path, _ in references.weighted()}:
            raise BadInputError(f"'{kept}' is what is mastered towards; keep the target under another name.")
    with console.status("Listening to the reference …") if references.given else contextlib.nullcontext():
        options = request.wish.options()
    if kept:
        if kept.exists() and not request.force and not target.same(kept, options.aim.profile, options.aim.name):
            raise BadInputError(f"'{kept}' exists already; add --force to overwrite it, or name another file.")
        with io.temporary_beside(kept):
            pass  # a place that cannot be written is named now, and not after the work
    return options


def check_target_beside(kept: Path | None, files: Iterable[Path]) -> None:
    """Raises BadInputError where a target would take the place of another file of the run."""
    if kept and kept.resolve() in {file.resolve() for file in files}:
        raise BadInputError(f"'{kept}' is another file of this run; keep the target under another name.")


def keep_target(request: Request, options: Options, console: Console) -> None:
    """Write what was heard of the references, where that is asked for; once nothing else can be wrong."""
    if request.save_target:
        target.save(request.save_target, options.aim.profile, options.aim.name)
        say(console, f"{'Target:':11}{shown(request.save_target)}")


def _run_one(request: Request, console: Console) -> int:
    track, wish = Path(request.inputs[0]), request.wish
    info = io.probe(track)
    more = {name: getattr(request, name) for name in ("picture", "export", "report", "null_test")}
    outputs = outputs_of(track, request.out, wish.deliveries(), **more)
    settings = Path(wish.settings) if wish.settings else None
    check(track, outputs, request.force, settings, request.save_target, *(x for x, _ in wish.references.weighted()))
    options = options_of(request, console)
    network = request.wish.network(lambda sentence: say(console, sentence))
    with Bars(console, info.frames) as bars:
        result = master(track, outputs, network, options, bars)
    keep_target(request, options, console)
    if request.as_json:
        print(json.dumps(as_tree(result), indent=1))  # ASCII: a name may hold what no text can
    model = f"settings of {shown(settings.name)}" if settings else f"phase {network.config.phase}"
    console.print(settings_table(result, model))
    if stages := stages_table(result.chosen.prediction.settings):
        console.print(stages)
    for one in result.made:
        say(console, f"{one.wanted.name}: {one.verdict.line}")
    say(console, f"It was {result.before.lufs:.1f} LUFS, {of_amplitude(result.before.true_peak):.1f} dBTP.")
    for note in result.notes:
        say(console, shown(note))
    for name, path in _named(outputs):
        say(console, f"{name + ':':11}{shown(path)}")
    return 0


def as_tree(result: Mastered) -> dict:
    """What was done, for JSON."""
    return {
        "track": str(result.info.path),
        "files": {name.lower(): str(path) for name, path in _named(result.outputs)},
        "before": {"lufs": finite(result.before.lufs), "true_peak_db": finite(of_amplitude(result.before.true_peak))},
        "deliveries": [
            {"name": one.wanted.name, **facts_of(one.verdict, one.plan), "line": one.verdict.line}
            for one in result.made
        ],
        "notes": result.notes,
    }


def _named(outputs: Outputs) -> list[tuple[str, Path]]:
    several = len(outputs.audio) > 1
    named = [(f"Master {i}" if several else "Master", path) for i, path in enumerate(outputs.audio, 1)]
    named += [("Settings", outputs.settings), ("Picture", outputs.picture), ("Export", outputs.export)]
    named += [("Report", outputs.report), ("Null test", outputs.null_test)]
    return [(name, path) for name, path in named if path]


def settings_table(result: Mastered, title: str) -> Table:
    """The bands that were rendered, as the model means them."""
    eq = result.chosen.prediction.settings.eq
    rows = list(zip(*(np.asarray(x)[0] for x in (eq.freq_hz, eq.gain_db, eq.q, eq.gate)), strict=True))
    gated = any(gate != 1.0 for *_, gate in rows)
    residual = f", residual × {result.chosen.amount:g}" if result.chosen.amount not in (0.0, 1.0) else ""
    table = Table(title=Text(f"{title}{residual}"))
    for name in ("band", "frequency", "gain", "Q", *(("gate", "rendered") if gated else ())):
        table.add_column(name, justify="right")
    for number, (freq_hz, gain, q, gate) in enumerate(rows, 1):
        extra = (f"{gate:.2f}", f"{gain * gate:+.2f} dB") if gated else ()
        table.add_row(str(number), f"{freq_hz:,.0f} Hz", f"{gain:+.2f} dB", f"{q:.2f}", *extra)
    return table


def stages_table(settings: Settings) -> Table | None:
    """The stages behind the equaliser that change something, a row each; None where there is none."""
    rows = []
    for stage in active_stages(settings):
        values = [(row, float(getattr(getattr(settings, stage), row.name)[0])) for row in settings_of(stage)]
        rows.append((stage, ", ".join(f"{row.name} {value:.3g} {row.unit}".rstrip() for row, value in values)))
    if not rows:
        return None
    table = Table()
    for name in ("stage", "settings"):
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    return table


def outputs_from(track: Path, audio: Path, wish: Wish) -> Outputs:
    """The outputs whose first master is `audio`."""
    deliveries = wish.deliveries()
    if len(deliveries) > 1:
        audio = audio.with_name(f"{audio.stem.removesuffix('-' + deliveries[0].name)}{audio.suffix}")
    return outputs_of(track, audio, deliveries)


def names_of(track: Path, deliveries: Sequence) -> list[Path]:
    """All files that a master of a track writes, the audio first."""
    return outputs_of(track, None, deliveries).files()
