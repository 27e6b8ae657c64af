"""Section `responses`: the responses of the equalizer over the tracks, and clusters of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nmjax.analysis.context import THIRD_OCTAVE_FREQ_HZ, AnalysisContext, base_name, nominal_frequency_label
from nmjax.analysis.page import Figure, PageSection, Table
from nmjax.analysis.responses import (
    MIN_CLUSTERED_SPREAD_DB,
    MIN_CLUSTERED_TRACKS,
    PERCENTILES,
    ResponseClusters,
    centered_eq_responses_db,
    cluster_responses,
    eq_responses_db,
    response_quantile_table,
    response_spread_db,
)
from nmjax.analysis.tables import save_csv


def responses_section(context: AnalysisContext) -> PageSection:
    """Distribution of the responses, and their clusters if there are any."""
    settings = context.predictions.settings
    responses_db = centered_eq_responses_db(settings)
    quantile_rows = response_quantile_table(responses_db)
    clusters = cluster_responses(responses_db, context.seed)
    save_csv(quantile_rows, context.out / "responses.csv")
    save_csv(_track_rows(context, responses_db, clusters), context.out / "responses-tracks.csv")
    mean_db = responses_db.mean(axis=0)
    median_rms_db = np.median(np.sqrt(np.mean(responses_db**2, axis=1)))
    common_gain_db = np.std(eq_responses_db(settings).mean(axis=1), ddof=1)
    sentences = [
        f"The median response is {median_rms_db:.2f} dB RMS; tracks differ from the mean response by "
        f"{response_spread_db(responses_db):.2f} dB RMS, and the mean response is {np.sqrt(np.mean(mean_db**2)):.2f} "
        "dB RMS.",
        "Responses are centered: a broadband gain, which delivery normalizes away, is subtracted. It differs between "
        f"tracks by {common_gain_db:.2f} dB (standard deviation).",
    ]
    figures, tables = [_quantiles_figure(context, quantile_rows, mean_db)], []
    if clusters is not None:
        results = _describe_clusters(context, responses_db, clusters)
        sentences.append(results.sentence)
        figures.append(results.figure)
        tables.append(results.table)
    else:
        sentences.append(
            f"No clusters: they need {MIN_CLUSTERED_TRACKS} tracks or more whose responses differ by "
            f"{MIN_CLUSTERED_SPREAD_DB:g} dB RMS or more."
        )
    return PageSection("Responses", sentences, figures, tables, ["responses.csv", "responses-tracks.csv"])


def _track_rows(context: AnalysisContext, responses_db: np.ndarray, clusters: ResponseClusters | None) -> list[dict]:
    """A row for each track: its cluster (from 1 on; 0 without clusters) and its response in third octaves."""
    names = [f"at_{nominal_frequency_label(f)}_db" for f in THIRD_OCTAVE_FREQ_HZ]
    labels = np.zeros(len(responses_db), int) if clusters is None else clusters.labels + 1
    return [
        {"track": track.name, "group": track.group, "cluster": int(label)} | dict(zip(names, response, strict=True))
        for track, label, response in zip(context.predictions.tracks, labels, responses_db, strict=True)
    ]


def _quantiles_figure(context: AnalysisContext, quantile_rows: list[dict], mean_db: np.ndarray) -> Figure:
    from nmjax.plots import collection as plots

    quantiles = np.array([[row[f"p{percentile}_db"] for row in quantile_rows] for percentile in PERCENTILES])
    path = context.save_plot(
        "responses", plots.plot_quantile_bands, freq_hz=THIRD_OCTAVE_FREQ_HZ, quantiles=quantiles, mean=mean_db
    )
    return Figure(path, "Rendered response of the equalizer over all tracks, each without its mean over frequency.")


class _ClusterResults(NamedTuple):
    sentence: str
    figure: Figure
    table: Table


def _describe_clusters(
    context: AnalysisContext, responses_db: np.ndarray, clusters: ResponseClusters
) -> _ClusterResults:
    from nmjax.plots import collection as plots

    members = [responses_db[clusters.labels == i] for i in range(len(clusters.centroids))]
    is_significant = clusters.silhouette > clusters.null_silhouette
    conclusion = "distinct clusters" if is_significant else "no evidence of distinct clusters"
    sentence = (
        f"K-means: {len(members)} clusters, mean silhouette {clusters.silhouette:.2f} (samples of a single Gaussian: "
        f"up to {clusters.null_silhouette:.2f}); {conclusion}."
    )
    panels = [
        plots.ResponsePanel(
            f"Cluster {i} ({len(responses)} tracks)", centroid, *np.percentile(responses, [10, 90], axis=0)
        )
        for i, (responses, centroid) in enumerate(zip(members, clusters.centroids, strict=True), 1)
    ]
    path = context.save_plot(
        "responses-clusters",
        plots.plot_response_panels,
        freq_hz=THIRD_OCTAVE_FREQ_HZ,
        groups=panels,
        overall_mean=responses_db.mean(axis=0),
    )
    track_names = context.predictions.track_names
    rows = [
        {"cluster": i, "tracks": len(responses), "nearest_track": base_name(track_names[nearest])}
        for i, (responses, nearest) in enumerate(zip(members, clusters.nearest_tracks, strict=True), 1)
    ]
    return _ClusterResults(
        sentence=sentence,
        figure=Figure(path, "Clusters: centroid and 10th to 90th percentile of their tracks; dashed: all tracks."),
        table=Table("Clusters and the track nearest to each centroid.", rows),
    )
