"""Section `groups`: differences between groups of tracks."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import group_statistics
from nmjax.analysis.context import THIRD_OCTAVE_FREQ_HZ, AnalysisContext
from nmjax.analysis.group_statistics import MIN_GROUP_TRACKS, SIGNIFICANCE_LEVEL
from nmjax.analysis.page import Figure, PageSection, Table
from nmjax.analysis.responses import centered_eq_responses_db
from nmjax.analysis.tables import save_csv

_LABELS = {"gate": "Gate", "rendered_gain_db": "Rendered gain (dB)"}


def groups_section(context: AnalysisContext) -> PageSection:
    """Means and tests of rendered gains and gates by group, and the mean responses of the groups."""
    title, predicted = "Groups", context.predictions
    names, small_groups = group_statistics.comparable_groups(predicted.groups)
    notes = []
    if small_groups:
        notes.append(f"Groups with fewer than {MIN_GROUP_TRACKS} tracks (excluded): {len(small_groups)}.")
    if num_ungrouped := int(np.sum(predicted.groups == "")):
        notes.append(f"Tracks in no group (excluded): {num_ungrouped}.")
    if len(names) < 2:
        return PageSection(title, ["There are not two groups to compare; name them with --groups.", *notes])
    quantities = {"rendered_gain_db": predicted.rendered_gain_db}
    if predicted.has_gates:
        quantities["gate"] = predicted.settings["gate"]
    sentences = [f"{len(names)} groups are compared, {np.sum(np.isin(predicted.groups, names))} tracks."]
    group_rows: list[dict] = []
    test_rows: list[dict] = []
    figures: list[Figure] = []
    for quantity, values in quantities.items():
        rows = _group_rows(context, quantity, values, names)
        tests = _test_rows(context, quantity, values)
        figures.append(_heatmap_figure(context, quantity, rows, names))
        num_significant = sum(row["p_corrected"] < SIGNIFICANCE_LEVEL for row in tests)
        sentences.append(
            f"{_LABELS[quantity]}: groups differ in {num_significant} of {len(tests)} bands (permutation test, "
            "corrected for the number of bands)."
        )
        group_rows, test_rows = group_rows + rows, test_rows + tests
    figures.append(_responses_figure(context, names))
    save_csv(group_rows, context.out / "groups.csv")
    save_csv(test_rows, context.out / "groups-tests.csv")
    sentences += ["Tracks of one album are alike, so a difference can be due to albums and not to genres.", *notes]
    caption = "Tests of any difference between groups, by band; ω²: share of the variance that is between groups."
    labeled_tests = [{**row, "quantity": _LABELS[row["quantity"]]} for row in test_rows]
    files = ["groups.csv", "groups-tests.csv", "groups-responses.csv"]
    return PageSection(title, sentences, figures, [Table(caption, labeled_tests)], files)


def _group_rows(context: AnalysisContext, quantity: str, values: np.ndarray, names: list[str]) -> list[dict]:
    """A row for each group and band: the mean with its interval, and the test against all other tracks."""
    track_groups, rows = context.predictions.groups, []
    tests = group_statistics.one_vs_rest_tests(values, track_groups, context.seed)
    for name in names:
        members = track_groups == name
        interval, p_values = group_statistics.bootstrap_mean(values[members], context.seed), tests[name]
        rows += [
            {
                "quantity": quantity,
                "group": name,
                "tracks": int(np.sum(members)),
                "band": band + 1,
                "mean": interval.mean[band],
                "ci_low": interval.ci_low[band],
                "ci_high": interval.ci_high[band],
                "p": p_values.uncorrected[band],
                "p_corrected": p_values.corrected[band],
            }
            for band in range(values.shape[1])
        ]
    return rows


def _test_rows(context: AnalysisContext, quantity: str, values: np.ndarray) -> list[dict]:
    """A row for each band: the test of any difference between groups."""
    test = group_statistics.permutation_f_test(values, context.predictions.groups, context.seed)
    effect_sizes = group_statistics.omega_squared(values, context.predictions.groups)
    return [
        {
            "quantity": quantity,
            "band": band + 1,
            "p": test.uncorrected[band],
            "p_corrected": test.corrected[band],
            "omega_squared": effect_sizes[band],
        }
        for band in range(values.shape[1])
    ]


def _heatmap_figure(context: AnalysisContext, quantity: str, rows: list[dict], names: list[str]) -> Figure:
    from nmjax.plots import collection as plots

    mean, p = (np.array([row[name] for row in rows]).reshape(len(names), -1) for name in ("mean", "p_corrected"))
    path = context.save_plot(
        f"groups-{quantity.replace('_', '-')}",
        plots.plot_heatmap,
        values=mean,
        rows=names,
        columns=context.band_labels,
        label=_LABELS[quantity],
        signed=quantity != "gate",
        significant=p < SIGNIFICANCE_LEVEL,
    )
    caption = (
        f"{_LABELS[quantity]}: mean of each group. Starred: differs from all other tracks "
        f"(p < {SIGNIFICANCE_LEVEL:g}, corrected for bands and groups)."
    )
    return Figure(path, caption)


def _responses_figure(context: AnalysisContext, names: list[str]) -> Figure:
    """The mean response of each group, which also writes `groups-responses.csv`."""
    from nmjax.plots import collection as plots

    track_groups, responses_db = context.predictions.groups, centered_eq_responses_db(context.predictions.settings)
    intervals = {
        name: group_statistics.bootstrap_mean(responses_db[track_groups == name], context.seed) for name in names
    }
    rows = [
        {
            "group": name,
            "freq_hz": freq_hz,
            "mean_db": interval.mean[i],
            "ci_low_db": interval.ci_low[i],
            "ci_high_db": interval.ci_high[i],
        }
        for name, interval in intervals.items()
        for i, freq_hz in enumerate(THIRD_OCTAVE_FREQ_HZ)
    ]
    save_csv(rows, context.out / "groups-responses.csv")
    panels = [
        plots.ResponsePanel(
            f"({np.sum(track_groups == name)}) {name}", center=interval.mean, low=interval.ci_low, high=interval.ci_high
        )
        for name, interval in intervals.items()
    ]
    path = context.save_plot(
        "groups-responses",
        plots.plot_response_panels,
        freq_hz=THIRD_OCTAVE_FREQ_HZ,
        groups=panels,
        overall_mean=responses_db.mean(axis=0),
    )
    caption = (
        "Mean rendered response of each group, without its mean over frequency, with 95 % intervals (bootstrap over "
        "tracks; number of tracks in parentheses); dashed: all tracks."
    )
    return Figure(path, caption)
