"""Section `stability`: robustness of the settings across windows of a track and under changes of the file."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmjax.analysis import stability
from nmjax.analysis.context import AnalysisContext, base_name
from nmjax.analysis.page import Figure, PageSection, Table
from nmjax.analysis.predictions import iter_window_settings
from nmjax.analysis.responses import centered_eq_responses_db, response_spread_db
from nmjax.analysis.tables import save_csv


class _WindowResults(NamedTuple):
    sentence: str
    tables: list[Table]
    files: list[str]


def stability_section(context: AnalysisContext) -> PageSection:
    """Spread of the responses over the windows of a track, and their change under perturbations of the file."""
    title = "Robustness"
    between_tracks_db = response_spread_db(centered_eq_responses_db(context.predictions.settings))
    sentence, tables, files = _window_stability(context, between_tracks_db)
    rows = stability.perturbation_table(context.predictions.tracks, context.network, context.gate_threshold)
    if not rows:
        return PageSection(title, [sentence, "Every track is silent."], (), tables, files)
    save_csv(rows, context.out / "stability-perturbations.csv")
    figure = _perturbations_figure(context, rows, between_tracks_db)
    tables.append(Table("The same, and the share of gates that cross the threshold.", rows))
    return PageSection(title, [sentence], [figure], tables, [*files, "stability-perturbations.csv"])


def _perturbations_figure(context: AnalysisContext, rows: list[dict], between_tracks_db: float) -> Figure:
    from nmjax.plots import collection as plots

    path = context.save_plot(
        "stability-perturbations",
        plots.plot_percentile_bars,
        names=[row["perturbation"] for row in rows],
        low=np.array([row["median_db"] for row in rows]),
        high=np.array([row["p90_db"] for row in rows]),
        reference_value=between_tracks_db,
        reference_label="between tracks",
        xlabel="change of the response (dB RMS over third octaves)",
    )
    caption = (
        f"Change of the response to {stability.EXCERPT_SECONDS:g} s under perturbations of the file: median and 90th "
        f"percentile of {rows[0]['tracks']} tracks."
    )
    return Figure(path, caption)


def _window_stability(context: AnalysisContext, between_tracks_db: float) -> _WindowResults:
    if not context.has_windows:
        return _WindowResults("With --window-seconds the settings of every window are compared here.", [], [])
    predicted = context.predictions
    track_settings = {
        track.file_key: {name: values[i : i + 1] for name, values in predicted.settings.items()}
        for i, track in enumerate(predicted.tracks)
    }
    window_settings = iter_window_settings(predicted.tracks, context.out)
    rows = stability.window_stability_table(window_settings, track_settings, context.gate_threshold)
    if not rows:
        return _WindowResults("No track has three audible windows.", [], [])
    save_csv(rows, context.out / "stability-windows.csv")
    within_track_db = float(np.sqrt(np.mean([row["within_track_db"] ** 2 for row in rows])))
    variance_share = between_tracks_db**2 / max(between_tracks_db**2 + within_track_db**2, 1e-20)
    sentence = (
        f"Within a track the responses of windows vary by {within_track_db:.2f} dB RMS, and tracks differ by "
        f"{between_tracks_db:.2f}: {100 * variance_share:.0f} % of the variance of a window's response is between "
        "tracks."
    )
    if predicted.has_gates:
        agreement = np.mean([row["gate_agreement"] for row in rows])
        sentence += (
            f" {100 * agreement:.0f} % of the gates of windows are on the same side of the threshold as the track's."
        )
    extremes = [select(rows, key=lambda row: row["within_track_db"]) for select in (min, max)]
    table = Table("Most and least stable track.", [{**row, "track": base_name(row["track"])} for row in extremes])
    return _WindowResults(sentence, [table], ["stability-windows.csv"])
