"""`nmjax inspect`: what is wrong with a track."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.runtime.options import Options, option, read_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectOptions(Options):
    """Options of `nmjax inspect`."""

    tracks: tuple[Path, ...] = option(
        positional=True, metavar="TRACK", parse=read_path, help="WAV, FLAC, OGG, Opus, MP3 or AIFF; or folders"
    )
    json: bool = option(False, help="print the findings as JSON, and nothing else")


def _run(options: InspectOptions) -> int:
    from nmjax.cli.inspect_run import run_inspect

    return run_inspect(options)


COMMAND = Command(
    name="inspect",
    summary="Report clipping, hum, phase problems and other defects of a track, and what to do about them.",
    examples=("inspect mix.wav", "inspect mixes other.flac --json"),
    options=InspectOptions,
    run=_run,
)
