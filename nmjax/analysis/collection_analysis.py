"""`analyze.py`: the settings of a collection, what can be said of them, and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from nmjax.analysis import band_sections, batched_decode, predictions, processor_section, sections, tables
from nmjax.analysis.collection import collect_tracks
from nmjax.analysis.context import AnalysisContext
from nmjax.analysis.page import write_page
from nmjax.mastering.network import Network
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError

SECTIONS = {
    "usage": band_sections.usage_section,
    "groups": band_sections.groups_section,
    "responses": sections.responses_section,
    "processors": processor_section.processor_statistics_section,
    "stability": sections.stability_section,
    "latent": sections.latent_section,
    "sensitivity": sections.sensitivity_section,
}


@dataclasses.dataclass(frozen=True)
class AnalysisRequest:
    """What `analyze.py` was asked for.

    data: folders and CSV files. groups, only, count: see `collected`. windows: seconds of a window, None keeps none.
    parts: keys of PARTS; None for all that the network allows. threshold: above it a gate is open.
    """

    data: tuple[Path, ...]
    out: Path
    groups_csv: Path | None = None
    only_groups: Sequence[str] = ()
    max_tracks: int | None = None
    window_seconds: float | None = None
    sections: Sequence[str] | None = None
    gate_threshold: float = 0.5
    seed: int = 0


def analyze_collection(request: AnalysisRequest, network: Network, console: Console | None = None) -> None:
    """Analyse; tables, pictures and `index.html` go to `request.out`. The same command goes on where it was stopped.

    Raises:
        BadInputError: music, groups, parts or the folder cannot be used.
    """
    console = console or Console()
    report = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    section_names = _select_sections(request, network)
    tracks = collect_tracks(request.data, request.groups_csv, request.only_groups, request.max_tracks, report)
    with atomic_files.temporary_sibling(request.out / "index.html"):
        pass  # a place that cannot be written is named now, and not after the work
    report(f"{len(tracks)} tracks, {sum(t.recording.seconds for t in tracks) / 3600:.2f} h.")
    with console.status("Listening …"):
        predictions.predict_tracks(tracks, network, request.out, request.window_seconds, report)
    predicted = predictions.load_predictions(tracks, network, request.out)
    tables.save_settings(predicted, request.out, request.out / "settings.parquet")
    tables.save_tracks(predicted, request.out / "tracks.parquet")
    context = AnalysisContext(
        predicted, network, request.out, request.gate_threshold, request.window_seconds is not None, request.seed
    )
    page_sections = []
    for name in section_names:
        with console.status(f"{name} …"):
            section = SECTIONS[name](context)
        report(f"\n{section.title}")
        for sentence in section.sentences:
            report(f"  {sentence}")
        page_sections.append(section)
    subtitle = (
        f"Phase {network.config.phase}, step {network.step}, checkpoint {network.checkpoint_digest}; {len(predicted.tracks)} "
        "tracks. All settings: settings.parquet; a row a track with z: tracks.parquet."
    )
    write_page(request.out / "index.html", "What the network does", subtitle, page_sections)
    report(f"\nWritten: {request.out / 'index.html'}")


def _select_sections(request: AnalysisRequest, network: Network) -> list[str]:
    shapes = batched_decode.prediction_shapes(network)
    has_gates, has_processors = shapes.gate_logit is not None, bool(batched_decode.flatten_processors(shapes.settings))
    if request.sections is None:
        return [name for name in SECTIONS if {"usage": has_gates, "processors": has_processors}.get(name, True)]
    for name in request.sections:
        if name not in SECTIONS:
            raise BadInputError(f"There is no section '{name}'; there are: {', '.join(SECTIONS)}.")
    if "usage" in request.sections and not has_gates:
        others = ",".join(name for name in request.sections if name != "usage") or "groups,responses"
        raise BadInputError(
            f"A network of phase {network.config.phase} has no gates whose usage could be told; give a checkpoint of "
            f"phase 1c, or --sections {others}."
        )
    return list(dict.fromkeys(request.sections))
