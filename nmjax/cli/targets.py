"""`nmjax targets`: list, compare, plot and make target files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.mastering.request_readers import WeightedFile, read_weighted_file
from nmjax.reference.styles import STYLE_NAMES
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import Options, option, read_float, read_path, read_text

_MAX_TILT_DB = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetsOptions(Options):
    """Options of `nmjax targets`."""

    files: tuple[WeightedFile, ...] = option(
        (),
        positional=True,
        metavar="TARGET",
        parse=read_weighted_file,
        help=f"target files, styles ({', '.join(STYLE_NAMES)}) or music, each also with =WEIGHT; default: all styles",
    )
    plot: Path | None = option(None, metavar="FILE", parse=read_path, help="plot of their spectra (.png)")
    save: Path | None = option(
        None, metavar="FILE", parse=read_path, help="save their average as a target file (.json), for infer --target"
    )
    name: str | None = option(
        None, metavar="TEXT", parse=read_text, help="name of the saved target in messages; default: the files' names"
    )
    tilt: float = option(
        0.0,
        metavar="DB",
        parse=read_float,
        low=-_MAX_TILT_DB,
        high=_MAX_TILT_DB,
        help="tilt the saved target by so many dB per octave; below 0 is warmer, above 0 brighter",
    )
    force: bool = option(False, help="overwrite the plot and the saved target")


def _run(options: TargetsOptions) -> None:
    if options.force and not (options.plot or options.save):
        raise BadInputError("--force has no effect without --plot or --save; leave it out.")
    for name in ("name", "tilt"):
        if options.is_given(name) and not options.save:
            raise BadInputError(f"--{name} has no effect without --save; leave it out.")
    if options.save and not options.files:
        raise BadInputError("--save needs targets or music; name some.")
    from nmjax.cli.targets_run import show_targets

    show_targets(options)


COMMAND = Command(
    name="targets",
    summary="List, compare, plot and make targets: reference features and styles.",
    examples=(
        "targets warm house.json --plot targets.png  # compare a style with a target file",
        "targets liked/*.flac --save house.json  # a house curve from music, for infer --target",
        "targets house.json --tilt -0.5 --save warmer.json",
    ),
    options=TargetsOptions,
    run=_run,
)
