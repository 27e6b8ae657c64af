"""The analysis of a collection: predicted settings, tables, figures and a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from nmjax.analysis.batched_decode import flatten_processors, prediction_shapes
from nmjax.analysis.collection import collect_tracks
from nmjax.analysis.context import AnalysisContext
from nmjax.analysis.page import write_page
from nmjax.analysis.predictions import load_predictions, predict_tracks
from nmjax.analysis.sections import SECTIONS
from nmjax.analysis.tables import save_settings, save_tracks
from nmjax.mastering.network import Network
from nmjax.runtime import atomic_files
from nmjax.runtime.errors import BadInputError


@dataclasses.dataclass(frozen=True)
class AnalysisRequest:
    """What to analyze.

    Attributes:
        data: folders and CSV files.
        out: folder of the page, the tables and the figures.
        groups_csv, only_groups, max_tracks: see `collect_tracks`.
        window_seconds: length of the windows whose settings are predicted too; None for whole tracks only.
        sections: keys of `SECTIONS`; None for all that the network supports.
        gate_threshold: a gate is open above it.
        seed: of confidence intervals, tests, clusters and probes.
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
    """Write tables, figures and `index.html` to `request.out`; resumes an interrupted analysis of the same request.

    Raises:
        BadInputError: music, groups, sections or the folder cannot be used.
    """
    console = console or Console()
    report = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    section_names = select_sections(request, network)
    tracks = collect_tracks(
        request.data,
        groups_csv=request.groups_csv,
        only_groups=request.only_groups,
        max_tracks=request.max_tracks,
        report=report,
    )
    with atomic_files.temporary_sibling(request.out / "index.html"):
        pass  # fail early if the output folder is not writable
    report(f"{len(tracks)} tracks, {sum(t.recording.seconds for t in tracks) / 3600:.2f} h.")
    with console.status("Predicting …"):
        predict_tracks(tracks, network, request.out, window_seconds=request.window_seconds, report=report)
    predicted = load_predictions(tracks, network, request.out)
    save_settings(predicted, request.out, request.out / "settings.parquet")
    save_tracks(predicted, request.out / "tracks.parquet")
    context = AnalysisContext(
        predictions=predicted,
        network=network,
        out=request.out,
        gate_threshold=request.gate_threshold,
        has_windows=request.window_seconds is not None,
        seed=request.seed,
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
        f"Phase {network.config.phase}, step {network.step}, checkpoint {network.checkpoint_digest}; "
        f"{len(predicted.tracks)} tracks. Settings of all bands: settings.parquet; descriptors and z of all tracks: "
        "tracks.parquet."
    )
    write_page(request.out / "index.html", title="Settings of a collection", subtitle=subtitle, sections=page_sections)
    report(f"\nWritten: {request.out / 'index.html'}")


def select_sections(request: AnalysisRequest, network: Network) -> list[str]:
    """The sections to write: those requested, or all that the network supports.

    Raises:
        BadInputError: an unknown section, or `usage` for a network without gates.
    """
    shapes = prediction_shapes(network)
    has_gates, has_processors = shapes.gate_logit is not None, bool(flatten_processors(shapes.settings))
    if request.sections is None:
        return [name for name in SECTIONS if {"usage": has_gates, "processors": has_processors}.get(name, True)]
    for name in request.sections:
        if name not in SECTIONS:
            raise BadInputError(f"There is no section '{name}'; there are: {', '.join(SECTIONS)}.")
    if "usage" in request.sections and not has_gates:
        others = ",".join(name for name in request.sections if name != "usage") or "groups,responses"
        raise BadInputError(
            f"A network of phase {network.config.phase} has no gates, which section 'usage' needs; give a checkpoint "
            f"of phase 1c, or --sections {others}."
        )
    return list(dict.fromkeys(request.sections))
