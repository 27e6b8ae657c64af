"""`nmjax targets`: list and plot reference features."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import Options, option, read_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetsOptions(Options):
    """Options of `nmjax targets`."""

    files: tuple[Path, ...] = option(
        positional=True, metavar="FILE", parse=read_path, help="target files, written by infer --save-target"
    )
    plot: Path | None = option(None, metavar="FILE", parse=read_path, help="plot of their spectra (.png)")
    force: bool = option(False, help="overwrite the plot")


def _run(options: TargetsOptions) -> None:
    if options.force and not options.plot:
        raise BadInputError("--force has no effect without --plot; leave it out.")
    from nmjax.cli.targets_run import show_targets

    show_targets(options)


COMMAND = Command(
    name="targets",
    summary="List and plot reference features.",
    examples=("targets house.json", "targets house.json other.json --plot targets.png"),
    options=TargetsOptions,
    run=_run,
)
