"""`nmjax infer`: the options of mastering one or many tracks."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.mastering.early_scan import start_early_scans
from nmjax.mastering.network_names import networks_help
from nmjax.mastering.request import REFERENCE_GROUP, MasteringRequest
from nmjax.runtime.blas_threads import use_one_blas_thread
from nmjax.runtime.import_pause import without_collection
from nmjax.runtime.options import option, read_float_or, read_int, read_path, read_text

MAX_WORKERS = 1000
WHOLE = "whole"  # of the track, in the report
_FILES = "further files of a single track"
_MANY = "many tracks, see docs/how-to/many.md"


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferOptions(MasteringRequest):
    """Options of `nmjax infer`: what to master, how, and where to."""

    inputs: tuple[str, ...] = option(
        positional=True, metavar="TRACK", help="WAV, FLAC, OGG, Opus, MP3 or AIFF; or folders and globs"
    )
    out: Path | None = option(
        None,
        short="-o",
        metavar="PATH",
        parse=read_path,
        help="file of the master, or a folder; for many tracks a folder",
    )
    force: bool = option(False, help="overwrite existing outputs")
    quiet: bool = option(False, help="print errors only")
    json: bool = option(False, help="print results as JSON, and nothing else")
    save_target: Path | None = option(
        None,
        group=REFERENCE_GROUP,
        metavar="FILE",
        parse=read_path,
        help="save the features of the references (.json)",
    )
    plot: Path | None = option(None, group=_FILES, metavar="FILE", parse=read_path, help="EQ curve (.png)")
    export: Path | None = option(
        None,
        group=_FILES,
        metavar="FILE",
        parse=read_path,
        help="EQ for other programs: .txt (Equalizer APO, REW), .csv, .rpl (ReaEQ), .yml (CamillaDSP), "
        ".json (EasyEffects), .sox, .ffmpeg",
    )
    report: Path | None = option(
        None, group=_FILES, metavar="FILE", parse=read_path, help="HTML page with curves, meters and players"
    )
    report_seconds: float | str | None = option(
        None,
        group=_FILES,
        metavar="S",
        parse=read_float_or(WHOLE),
        low=1.0,
        high=3600.0,
        help="length of the report's players, or 'whole' for the whole track (a large file); default: 30",
    )
    null_test: Path | None = option(
        None, group=_FILES, metavar="FILE", parse=read_path, help="level-matched difference to the input (.wav)"
    )
    album: bool = option(
        False, group=_MANY, help="one set of settings for all songs, which keep their relative loudness"
    )
    workers: int | None = option(
        None,
        group=_MANY,
        metavar="N",
        parse=read_int,
        low=1,
        high=MAX_WORKERS,
        help="master in N processes (pip install 'nmjax[dask]')",
    )
    scheduler: str | None = option(
        None, group=_MANY, metavar="ADDRESS", parse=read_text, help="a Dask scheduler, for several machines"
    )

    @property
    def mastering_request(self) -> MasteringRequest:
        """The options that decide what a master sounds like."""
        names = (field.name for field in dataclasses.fields(MasteringRequest))
        return MasteringRequest(**{name: getattr(self, name) for name in names})

    @property
    def is_batch(self) -> bool:
        """Whether the inputs may be more than one track."""
        first = self.inputs[0]
        is_glob = glob.has_magic(first) and not Path(first).exists()
        return self.album or len(self.inputs) > 1 or Path(first).is_dir() or is_glob


def _run(options: InferOptions) -> int:
    use_one_blas_thread()
    with contextlib.ExitStack() as stack:
        watches_source = options.report or options.null_test or options.plot
        is_elsewhere = options.scheduler or options.workers
        is_single, early_scans = not options.is_batch, None
        if not (watches_source or is_elsewhere):
            early_scans = start_early_scans(is_single, with_features=is_single and options.has_reference)
        if early_scans:
            stack.callback(early_scans.close)
            if is_single:
                early_scans.request(Path(options.inputs[0]))
        with without_collection():
            from nmjax.cli.infer_run import run_infer  # NumPy and all that follows, while the track is measured
            from nmjax.runtime.compilation_cache import enable_compilation_cache

        enable_compilation_cache()
        return run_infer(options, early_scans=early_scans)


COMMAND = Command(
    name="infer",
    summary="Master a track, or many.",
    examples=(
        "infer track.wav  # writes track-mastered.wav",
        "infer verse.wav --reference chorus.wav --same-song  # the strongest feature: match a finished part or mix",
        "infer music -o masters --deliver streaming,cd  # a folder, two masters for each track",
    ),
    details=networks_help(),
    options=InferOptions,
    run=_run,
)
