"""Questions about bands: which are used, and whether groups use them differently."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import curves, groups, usage
from nmjax.analysis.context import THIRD_OCTAVE_FREQ_HZ, AnalysisContext
from nmjax.analysis.page import Figure, PageSection, Table
from nmjax.analysis.tables import save_csv

_MAX_PAIRS_SHOWN = 8
_LABELS = {"gate": "Gate", "rendered_gain_db": "Rendered gain (dB)"}


def usage_section(context: AnalysisContext) -> PageSection:
    """Which bands are used."""
    predicted, settings = context.predictions, context.predictions.settings
    band_rows = usage.band_usage_table(
        settings["freq_hz"], settings["gate"], predicted.rendered_gain_db, context.gate_threshold
    )
    frequency_rows = usage.frequency_usage_table(
        settings["freq_hz"], settings["gate"], predicted.rendered_gain_db, context.gate_threshold
    )
    pair_rows = usage.band_pair_table(settings["freq_hz"], predicted.rendered_gain_db, settings["q"])
    active_counts = usage.count_active_bands(settings["gate"], context.gate_threshold)
    files = {"usage.csv": band_rows, "usage-frequency.csv": frequency_rows, "usage-pairs.csv": pair_rows}
    for name, table in files.items():
        save_csv(table, context.out / name)
    sentences = [
        f"Of {len(band_rows)} bands {np.mean(active_counts):.1f} are open in the mean (gate above {context.gate_threshold:g}), from "
        f"{active_counts.min()} to {active_counts.max()}.",
        _gate_adaptivity_sentence(band_rows),
        _band_status_sentence("never open in any track", band_rows, "never open"),
        _band_status_sentence(f"open at times and never move {usage.MIN_ACTIVE_GAIN_DB:g} dB", band_rows, "never acts"),
        _band_status_sentence("at work in every track", band_rows, "always acts"),
    ]
    hidden_columns = ("freq_hz_p10", "freq_hz_p90", "rendered_db_mean", "largest_db")
    tables = [Table("Bands.", [{k: v for k, v in row.items() if k not in hidden_columns} for row in band_rows])]
    ranked_pairs = sorted(
        (p for p in pair_rows if p["same"] + p["against"] > 0), key=lambda p: -(p["same"] + p["against"])
    )
    if ranked_pairs:
        tables.append(
            Table("Pairs that do one job, or undo each other's (shares of tracks).", ranked_pairs[:_MAX_PAIRS_SHOWN])
        )
    figures = _usage_figures(context, band_rows, frequency_rows, pair_rows, active_counts)
    return PageSection("Which bands are used", list(filter(None, sentences)), figures, tables, list(files))


def _gate_adaptivity_sentence(band_rows: list[dict]) -> str:
    """Whether gates depend on the track at all."""
    adaptive_rows = [row for row in band_rows if 0.0 < row["open"] < 1.0]
    if not adaptive_rows:
        return "Every gate stands on the same side in all tracks: bands were chosen once, and not track by track."
    return f"Open in some tracks and closed in others: {len(adaptive_rows)} of {len(band_rows)} gates."


def _band_status_sentence(description: str, rows: list[dict], status: str) -> str:
    band_numbers = [str(row["band"]) for row in rows if row["verdict"] == status]
    if not band_numbers:
        return ""
    return f"Band{'s' * (len(band_numbers) > 1)} {', '.join(band_numbers)}: {description}."


def _usage_figures(
    context: AnalysisContext,
    band_rows: list[dict],
    frequency_rows: list[dict],
    pair_rows: list[dict],
    active_counts: np.ndarray,
) -> list[Figure]:
    from nmjax.plots import collection as plots

    bands = [str(row["band"]) for row in band_rows]
    columns = [np.array([row[name] for row in band_rows]) for name in ("gate_mean", "gate_sd", "open", "acts")]
    labels = {"bands": "bands that stand there", "open": "open", "moved_db": "dB moved"}
    lines = {text: np.array([row[name] for row in frequency_rows]) for name, text in labels.items()}
    redundancy = np.full((len(bands), len(bands)), np.nan)
    for pair in pair_rows:
        indices = [pair["band_a"] - 1, pair["band_b"] - 1]
        redundancy[indices, indices[::-1]] = pair["same"]
    return [
        Figure(
            context.save_plot("usage", plots.plot_gates, *columns, context.band_labels),
            "Each band's mean gate (whiskers: standard deviation over tracks), and in what share of the tracks it is "
            f"open, and open with at least {usage.MIN_ACTIVE_GAIN_DB:g} dB.",
        ),
        Figure(
            context.save_plot("usage-active", plots.plot_histogram, active_counts, len(bands),
                          f"bands with a gate above {context.gate_threshold:g}"),
            "How many bands are open in a track.",
        ),
        Figure(
            context.save_plot("usage-frequency", plots.plot_over_frequency, THIRD_OCTAVE_FREQ_HZ, lines, "a track, in each third octave"),
            "Where bands stand, where they are open, and how many dB they move there, in the mean of the tracks.",
        ),
        Figure(
            context.save_plot("usage-pairs", plots.plot_heatmap, redundancy, bands, bands, "share of tracks", False,
                          axis_labels=("band", "band")),
            f"How often two bands do the same job: their curves' cosine is {usage.REDUNDANT_COSINE:g} or more.",
        ),
    ]  # fmt: skip


def groups_section(context: AnalysisContext) -> PageSection:
    """How groups differ."""
    predicted = context.predictions
    names, small_groups = groups.comparable_groups(predicted.groups)
    notes = (
        [f"Too small to be compared (under {groups.MIN_GROUP_TRACKS} tracks): {len(small_groups)} of the groups."]
        if small_groups
        else []
    )
    if num_ungrouped := int(np.sum(predicted.groups == "")):
        notes.append(f"In no group, and without part in this: {num_ungrouped} of the tracks.")
    if len(names) < 2:
        return PageSection("By group", ["There are not two groups to compare; name them with --groups.", *notes])
    rows: list[dict] = []
    tests: list[dict] = []
    figures: list[Figure] = []
    sentences = [f"{len(names)} groups are compared, {np.sum(np.isin(predicted.groups, names))} tracks."]
    for quantity, values in {
        "rendered_gain_db": predicted.rendered_gain_db,
        "gate": predicted.settings["gate"],
    }.items():
        if quantity == "gate" and not predicted.has_gates:
            continue
        group_rows, band_tests = _compare_groups(context, quantity, values, names)
        rows, tests = rows + group_rows, tests + band_tests
        figures.append(_group_heatmap(context, quantity, group_rows, names))
        num_significant = sum(t["p_corrected"] < groups.SIGNIFICANCE_LEVEL for t in band_tests)
        sentences.append(
            f"{_LABELS[quantity]}: groups differ in {num_significant} of {len(band_tests)} bands (permutation test, corrected for all bands)."
        )
    figures.append(_group_responses_figure(context, names))
    save_csv(rows, context.out / "groups.csv")
    save_csv(tests, context.out / "groups-tests.csv")
    sentences += ["Tracks of one album are alike, so a difference may be the album's and not the genre's.", *notes]
    caption = "By band: do groups differ at all? explained: share of the variance that lies between groups (ω²)."
    labeled_tests = [{**band_tests, "what": _LABELS[band_tests["what"]]} for band_tests in tests]
    files = ["groups.csv", "groups-tests.csv", "groups-curves.csv"]
    return PageSection("By group", sentences, figures, [Table(caption, labeled_tests)], files)


def _compare_groups(
    context: AnalysisContext, quantity: str, values: np.ndarray, names: list[str]
) -> tuple[list[dict], list[dict]]:
    """Rows by group and band, and rows by band."""
    track_groups, bands = context.predictions.groups, range(values.shape[1])
    overall_test, group_tests = (
        groups.permutation_f_test(values, track_groups, context.seed),
        groups.one_vs_rest_tests(values, track_groups, context.seed),
    )
    effect_sizes, rows = groups.omega_squared(values, track_groups), []
    for name in names:
        interval, p_values = groups.bootstrap_mean(values[track_groups == name], context.seed), group_tests[name]
        rows += [
            {"what": quantity, "group": name, "tracks": int(np.sum(track_groups == name)), "band": b + 1, "mean": interval.mean[b],
             "low": interval.ci_low[b], "high": interval.ci_high[b], "p": p_values.uncorrected[b], "p_corrected": p_values.corrected[b]}
            for b in bands
        ]  # fmt: skip
    tests = [
        {
            "what": quantity,
            "band": b + 1,
            "p": overall_test.uncorrected[b],
            "p_corrected": overall_test.corrected[b],
            "explained": effect_sizes[b],
        }
        for b in bands
    ]
    return rows, tests


def _group_heatmap(context: AnalysisContext, quantity: str, rows: list[dict], names: list[str]) -> Figure:
    from nmjax.plots import collection as plots

    mean, p = (np.array([row[name] for row in rows]).reshape(len(names), -1) for name in ("mean", "p_corrected"))
    path = context.save_plot(
        f"groups-{quantity.replace('_', '-')}", plots.plot_heatmap, mean, names, context.band_labels, _LABELS[quantity], quantity != "gate",
        p < groups.SIGNIFICANCE_LEVEL,
    )  # fmt: skip
    return Figure(
        path,
        f"{_LABELS[quantity]}: the mean of each group. Starred: differs from all other tracks "
        f"(p < {groups.SIGNIFICANCE_LEVEL:g}, corrected for bands and groups).",
    )


def _group_responses_figure(context: AnalysisContext, names: list[str]) -> Figure:
    from nmjax.plots import collection as plots

    track_groups, responses_db = (
        context.predictions.groups,
        curves.centered_eq_responses_db(context.predictions.settings),
    )
    means = {name: groups.bootstrap_mean(responses_db[track_groups == name], context.seed) for name in names}
    rows = [
        {
            "group": name,
            "freq_hz": f,
            "mean_db": interval.mean[i],
            "low_db": interval.ci_low[i],
            "high_db": interval.ci_high[i],
        }
        for name, interval in means.items()
        for i, f in enumerate(THIRD_OCTAVE_FREQ_HZ)
    ]
    save_csv(rows, context.out / "groups-curves.csv")
    panels = [
        plots.ResponsePanel(
            f"({np.sum(track_groups == name)}) {name}", center=interval.mean, low=interval.ci_low, high=interval.ci_high
        )
        for name, interval in means.items()
    ]
    return Figure(
        context.save_plot(
            "groups-curves", plots.plot_response_panels, THIRD_OCTAVE_FREQ_HZ, panels, responses_db.mean(axis=0)
        ),
        "Mean rendered curve of each group, about its mean over frequency, with its 95 % interval (bootstrap over "
        "tracks; how many there are in brackets); dashed: all tracks.",
    )
