"""`analyze.py`: the settings of a collection, what can be said of them, and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from nmjax import io
from nmjax.analysis import answers, bands, behaviour, settling, stages, tables
from nmjax.analysis.collection import collected
from nmjax.analysis.page import write_page
from nmjax.analysis.study import Study
from nmjax.errors import BadInputError
from nmjax.inference.network import Network

PARTS = {
    "usage": bands.usage_section,
    "groups": bands.groups_section,
    "curves": behaviour.curves_section,
    "stages": stages.stages_section,
    "stability": behaviour.stability_section,
    "latent": behaviour.latent_section,
    "sensitivity": behaviour.sensitivity_section,
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What `analyze.py` was asked for.

    data: folders and CSV files. groups, only, count: see `collected`. windows: seconds of a window, None keeps none.
    parts: keys of PARTS; None for all that the network allows. threshold: above it a gate is open.
    """

    data: tuple[Path, ...]
    out: Path
    groups: Path | None = None
    only: Sequence[str] = ()
    count: int | None = None
    windows: float | None = None
    parts: Sequence[str] | None = None
    threshold: float = 0.5
    seed: int = 0


def run(request: Request, network: Network, console: Console | None = None) -> None:
    """Analyse; tables, pictures and `index.html` go to `request.out`. The same command goes on where it was stopped.

    Raises:
        BadInputError: music, groups, parts or the folder cannot be used.
    """
    console = console or Console()
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    parts = _parts(request, network)
    tracks = collected(request.data, request.groups, request.only, request.count, say)
    with io.temporary_beside(request.out / "index.html"):
        pass  # a place that cannot be written is named now, and not after the work
    say(f"{len(tracks)} tracks, {sum(t.sound.seconds for t in tracks) / 3600:.2f} h.")
    with console.status("Listening …"):
        answers.ask(tracks, network, request.out, request.windows, say)
    found = answers.read(tracks, network, request.out)
    tables.save_settings(found, request.out, request.out / "settings.parquet")
    tables.save_tracks(found, request.out / "tracks.parquet")
    study = Study(found, network, request.out, request.threshold, request.windows is not None, request.seed)
    written = []
    for name in parts:
        with console.status(f"{name} …"):
            section = PARTS[name](study)
        say(f"\n{section.title}")
        for sentence in section.sentences:
            say(f"  {sentence}")
        written.append(section)
    about = (
        f"Phase {network.config.phase}, step {network.step}, checkpoint {network.identity}; {len(found.tracks)} "
        "tracks. All settings: settings.parquet; a row a track with z: tracks.parquet."
    )
    write_page(request.out / "index.html", "What the network does", about, written)
    say(f"\nWritten: {request.out / 'index.html'}")


def _parts(request: Request, network: Network) -> list[str]:
    shape = settling.shape_of(network)
    gated, staged = shape.gate_logit is not None, bool(settling.stages(shape.settings))
    if request.parts is None:
        return [name for name in PARTS if {"usage": gated, "stages": staged}.get(name, True)]
    for name in request.parts:
        if name not in PARTS:
            raise BadInputError(f"There is no part '{name}'; there are: {', '.join(PARTS)}.")
    if "usage" in request.parts and not gated:
        others = ",".join(name for name in request.parts if name != "usage") or "groups,curves"
        raise BadInputError(
            f"A network of phase {network.config.phase} has no gates whose usage could be told; give a checkpoint of "
            f"phase 1c, or --parts {others}."
        )
    return list(dict.fromkeys(request.parts))
