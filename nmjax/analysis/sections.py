"""Questions about tracks: what their curves are like, how firm, what z knows, what the network listens to."""

from __future__ import annotations

import dataclasses

import numpy as np

from nmjax.analysis import curves, linear_probes, predictions, sensitivity, stability
from nmjax.analysis.context import THIRD_OCTAVE_FREQ_HZ, AnalysisContext, base_name, nominal_frequency_label
from nmjax.analysis.curves import ResponseClusters
from nmjax.analysis.page import Figure, PageSection, Table, format_number
from nmjax.analysis.tables import save_csv


def responses_section(context: AnalysisContext) -> PageSection:
    """What the curves are like."""
    from nmjax.plots import collection as plots

    responses_db = curves.centered_eq_responses_db(context.predictions.settings)
    rows, clusters, mean = (
        curves.response_quantile_table(responses_db),
        curves.cluster_responses(responses_db, context.seed),
        responses_db.mean(axis=0),
    )
    save_csv(rows, context.out / "curves.csv")
    save_csv(
        [
            {"track": track.name, "group": track.group, "kind": 0 if clusters is None else int(clusters.labels[i]) + 1,
             **{f"at_{nominal_frequency_label(f)}_db": x for f, x in zip(THIRD_OCTAVE_FREQ_HZ, responses_db[i], strict=True)}}
            for i, track in enumerate(context.predictions.tracks)
        ],
        context.out / "curves-tracks.csv",
    )  # fmt: skip
    quantiles = np.array([[row[f"p{p}_db"] for row in rows] for p in (5, 25, 50, 75, 95)])
    figures = [
        Figure(
            context.save_plot("curves", plots.plot_quantile_bands, THIRD_OCTAVE_FREQ_HZ, quantiles, mean),
            "The rendered equaliser of all tracks, each about its mean over frequency.",
        )
    ]
    response_rms_db = np.sqrt(np.mean(responses_db**2, axis=1))
    sentences = [
        f"A curve moves a track by {np.median(response_rms_db):.2f} dB RMS in the median; tracks differ from their mean curve by "
        f"{stability.response_spread_db(responses_db):.2f} dB RMS, and the mean curve itself is "
        f"{np.sqrt(np.mean(mean**2)):.2f} dB RMS.",
        "A gain that is the same everywhere, which delivery undoes, is taken out; it differs between tracks by "
        f"{np.std(curves.eq_responses_db(context.predictions.settings).mean(axis=1), ddof=1):.2f} dB.",
    ]
    tables = []
    if clusters is not None:
        sentence, figure, table = _describe_clusters(context, responses_db, clusters)
        sentences.append(sentence)
        figures.append(figure)
        tables.append(table)
    return PageSection("The curves", sentences, figures, tables, ["curves.csv", "curves-tracks.csv"])


def _describe_clusters(
    context: AnalysisContext, responses_db: np.ndarray, clusters: ResponseClusters
) -> tuple[str, Figure, Table]:
    from nmjax.plots import collection as plots

    members = [responses_db[clusters.labels == i] for i in range(len(clusters.centroids))]
    conclusion = (
        "kinds of their own"
        if clusters.silhouette > clusters.null_silhouette
        else "no kinds, but cuts through one cloud"
    )
    sentence = (
        f"K-means: {len(members)} clusters, mean silhouette {clusters.silhouette:.2f} (a cloud without kinds: up to "
        f"{clusters.null_silhouette:.2f}); {conclusion}."
    )
    panels = [
        plots.ResponsePanel(
            f"Kind {i + 1} ({len(member_responses)} tracks)",
            centroid,
            *np.percentile(member_responses, [10, 90], axis=0),
        )
        for i, (member_responses, centroid) in enumerate(zip(members, clusters.centroids, strict=True))
    ]
    path = context.save_plot(
        "curves-kinds", plots.plot_response_panels, THIRD_OCTAVE_FREQ_HZ, panels, responses_db.mean(axis=0)
    )
    rows = [
        {
            "kind": i + 1,
            "tracks": len(member_responses),
            "typical_track": base_name(context.predictions.track_names[clusters.nearest_tracks[i]]),
        }
        for i, member_responses in enumerate(members)
    ]
    caption = "Clusters: centre and 10 to 90 % of their tracks; dashed: all tracks."
    return sentence, Figure(path, caption), Table("Clusters and the track nearest to each centre.", rows)


def stability_section(context: AnalysisContext) -> PageSection:
    """How firm settings are."""
    from nmjax.plots import collection as plots

    title, between_tracks_db = (
        "How firm settings are",
        stability.response_spread_db(curves.centered_eq_responses_db(context.predictions.settings)),
    )
    sentences, tables, files = _window_stability(context, between_tracks_db)
    rows = stability.perturbation_table(context.predictions.tracks, context.network, context.gate_threshold)
    if not rows:
        return PageSection(title, [*sentences, "Every track is silent."], (), tables, files)
    save_csv(rows, context.out / "stability-changes.csv")
    low, high = (np.array([row[name] for row in rows]) for name in ("median_db", "p90_db"))
    path = context.save_plot(
        "stability-changes", plots.plot_percentile_bars, [row["change"] for row in rows], low, high, between_tracks_db, "between tracks",
        "change of the curve (dB RMS over third octaves)",
    )  # fmt: skip
    caption = (
        f"What changes of the file do to the curve of {stability.EXCERPT_SECONDS:g} s: median and 90th percentile of "
        f"{rows[0]['tracks']} tracks."
    )
    tables.append(Table("The same, and the share of gates that change sides.", rows))
    return PageSection(title, sentences, [Figure(path, caption)], tables, [*files, "stability-changes.csv"])


def _window_stability(context: AnalysisContext, between_tracks_db: float) -> tuple[list[str], list[Table], list[str]]:
    """Sentences, tables, files."""
    if not context.has_windows:
        return ["With --window-seconds the settings of every window are kept, and compared here."], [], []
    predicted = context.predictions
    track_settings = {
        t.file_key: {k: v[i : i + 1] for k, v in predicted.settings.items()} for i, t in enumerate(predicted.tracks)
    }
    rows = stability.window_stability_table(
        predictions.iter_window_settings(predicted.tracks, context.out), track_settings, context.gate_threshold
    )
    if not rows:
        return ["No track has three windows that sound."], [], []
    save_csv(rows, context.out / "stability-windows.csv")
    within_track_db = float(np.sqrt(np.mean([row["within_db"] ** 2 for row in rows])))
    variance_share = between_tracks_db**2 / max(between_tracks_db**2 + within_track_db**2, 1e-20)
    sentence = (
        f"From window to window a track's curve moves by {within_track_db:.2f} dB RMS, tracks differ from each other by "
        f"{between_tracks_db:.2f}: {100 * variance_share:.0f} % of the variance of a window's curve is the track's own."
    )
    if predicted.has_gates:
        sentence += (
            f" {100 * np.mean([r['same_gates'] for r in rows]):.0f} % of windows' gates stand as the whole track's."
        )
    extremes = [pick(rows, key=lambda row: row["within_db"]) for pick in (min, max)]
    table = Table(
        "The steadiest and the least steady track.", [{**r, "track": base_name(r["track"])} for r in extremes]
    )
    return [sentence], [table], ["stability-windows.csv"]


def latent_section(context: AnalysisContext) -> PageSection:
    """What z knows."""
    from nmjax.plots import collection as plots

    predicted = context.predictions
    if len(predicted.tracks) < linear_probes.MIN_TRACKS:
        return PageSection(
            "What z knows",
            [f"Probes need {linear_probes.MIN_TRACKS} tracks or more; there are {len(predicted.tracks)}."],
        )
    scores = linear_probes.fit_probes(predicted.z, predicted.descriptors, predicted.groups, context.seed)
    save_csv([dataclasses.asdict(p) for p in scores], context.out / "latent.csv")
    targets, z_slices = list(dict.fromkeys(p.target for p in scores)), list(dict.fromkeys(p.z_slice for p in scores))
    score, shuffled_p95 = (
        np.array([getattr(p, name) for p in scores]).reshape(len(targets), -1) for name in ("score", "control_high")
    )
    names = ["all of z", *(f"quarter {part}" for part in z_slices[1:])]
    path = context.save_plot("latent", plots.plot_probe_scores, targets, names, score, shuffled_p95)
    caption = (
        "Linear probes on tracks they have not seen: R², for the group the share named right. Grey: up to where 95 % "
        "of probes for shuffled answers come."
    )
    decodable_targets = [t for t, s, c in zip(targets, score[:, 0], shuffled_p95[:, 0], strict=True) if s > c]
    rows = [
        {"target": target, **dict(zip(names, s, strict=True)), "shuffled": c[0]}
        for target, s, c in zip(targets, score, shuffled_p95, strict=True)
    ]
    sentences = [f"Told from z better than from shuffled answers: {', '.join(decodable_targets) or 'nothing'}."]
    table = Table("Scores; shuffled: the 95th percentile for all of z.", rows)
    return PageSection("What z knows", sentences, [Figure(path, caption)], [table], ["latent.csv"])


def sensitivity_section(context: AnalysisContext) -> PageSection:
    """What the network listens to."""
    jacobians = sensitivity.track_jacobians(context.predictions.tracks, context.network)
    if not jacobians:
        return PageSection("What the network listens to", ["Every track is silent."])
    quantities = [name for name in jacobians if name != "gate" or context.predictions.has_gates]
    frequency_labels = [nominal_frequency_label(f) for f in THIRD_OCTAVE_FREQ_HZ]
    rows = [
        {"what": quantity, "output": f"{frequency_labels[i]} Hz" if quantity == "curve_db" else i + 1, "input_hz": f,
         "mean_per_db": jacobians[quantity][:, i, j].mean(), "sd_per_db": jacobians[quantity][:, i, j].std()}
        for quantity in quantities for i in range(jacobians[quantity].shape[1]) for j, f in enumerate(THIRD_OCTAVE_FREQ_HZ)
    ]  # fmt: skip
    save_csv(rows, context.out / "sensitivity.csv")
    response_jacobian = jacobians["curve_db"].mean(axis=0)
    response_jacobian = response_jacobian - response_jacobian.mean(
        axis=0
    )  # a gain that is the same everywhere is undone by delivery
    most_sensitive = np.sort(np.argsort(-np.sum(response_jacobian**2, axis=0))[:3])
    diagonal_mean = format_number(np.mean(np.diag(response_jacobian)))
    sentences = [
        f"{len(jacobians['curve_db'])} tracks, a typical stretch of 6 s each. Where a third octave of the input is 1 dB "
        f"louder, the curve there moves by {diagonal_mean} dB in the mean (−1 would take it all back).",
        f"The curve moves most with the input at {', '.join(f'{frequency_labels[i]} Hz' for i in most_sensitive)}.",
    ]
    mean_jacobians = {quantity: jacobians[quantity].mean(axis=0) for quantity in quantities} | {
        "curve_db": response_jacobian
    }
    figures = _sensitivity_figures(context, mean_jacobians, frequency_labels)
    return PageSection("What the network listens to", sentences, figures, (), ["sensitivity.csv"])


def _sensitivity_figures(
    context: AnalysisContext, mean_jacobians: dict[str, np.ndarray], frequency_labels: list[str]
) -> list[Figure]:
    from nmjax.plots import collection as plots

    captions = {
        "rendered_gain_db": "dB of a band's rendered gain for each dB that one third octave of the input is louder.",
        "gate": "The same of the gates.",
        "curve_db": "The same of the whole curve about its mean: what levels its input has a diagonal below 0.",
    }
    figures = []
    for quantity in (k for k in captions if k in mean_jacobians):
        row_labels = (
            frequency_labels if quantity == "curve_db" else [name.replace("\n", ": ") for name in context.band_labels]
        )
        path = context.save_plot(
            f"sensitivity-{quantity.replace('_', '-')}", plots.plot_heatmap, mean_jacobians[quantity], row_labels, frequency_labels, "per dB", True,
            axis_labels=("third octave of the input (Hz)", ""), label_stride=3,
        )  # fmt: skip
        figures.append(Figure(path, captions[quantity]))
    return figures
