"""`nmjax studio`: the local web app."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from nmjax.cli.parser import Command
from nmjax.runtime.errors import BadInputError
from nmjax.runtime.options import Options, option, read_float, read_int, read_path


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudioOptions(Options):
    """Options of `nmjax studio`."""

    tracks: tuple[Path, ...] = option(
        (),
        positional=True,
        metavar="TRACK",
        parse=read_path,
        help="WAV, FLAC, OGG, Opus, MP3 or AIFF, to open at once; more can be dropped on the page",
    )
    new: bool = option(False, help="start with an empty session instead of the last one")
    port: int = option(0, metavar="N", parse=read_int, low=0, high=65_535, help="port on 127.0.0.1; 0 takes a free one")
    upload_limit: float = option(
        2.0, metavar="GB", parse=read_float, low=0.001, high=1000.0, help="largest file that the page can drop"
    )
    no_browser: bool = option(False, help="print the address, but do not open it")


def _run(options: StudioOptions) -> None:
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise BadInputError(f"The studio needs {' and '.join(missing)}; run: pip install 'nmjax[studio]'")
    for track in options.tracks:
        if not track.is_file():
            raise BadInputError(f"'{track}' is {'a folder' if track.is_dir() else 'missing'}. Give an audio file.")
    from rich.console import Console

    from nmjax.runtime.compilation_cache import enable_compilation_cache
    from nmjax.runtime.malloc_arenas import limit_malloc_arenas
    from nmjax.studio.server import run_studio

    limit_malloc_arenas()
    enable_compilation_cache()
    run_studio(
        options.tracks,
        port=options.port,
        new=options.new,
        upload_limit_bytes=round(options.upload_limit * 1e9),
        open_browser=not options.no_browser,
        console=Console(),
    )


COMMAND = Command(
    name="studio",
    summary="Master in the browser: change anything, compare at equal loudness, deliver. Offline.",
    examples=("studio  # opens the page; drop a track on it", "studio track.wav other.flac"),
    options=StudioOptions,
    run=_run,
)
