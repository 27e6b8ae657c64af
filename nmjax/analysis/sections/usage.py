"""Section `usage`: which bands the network uses."""

from __future__ import annotations

import numpy as np

from nmjax.analysis import band_usage
from nmjax.analysis.context import THIRD_OCTAVE_FREQ_HZ, AnalysisContext
from nmjax.analysis.page import Figure, PageSection, Table
from nmjax.analysis.tables import save_csv

_MAX_PAIRS_SHOWN = 8
_HIDDEN_COLUMNS = ("freq_hz_p10", "freq_hz_p90", "rendered_gain_db_mean", "max_abs_gain_db")  # only in the CSV file


def usage_section(context: AnalysisContext) -> PageSection:
    """Usage of each band, of the frequency range, and redundant bands."""
    settings, rendered_gain_db = context.predictions.settings, context.predictions.rendered_gain_db
    freq_hz, gate, threshold = settings["freq_hz"], settings["gate"], context.gate_threshold
    band_rows = band_usage.band_usage_table(freq_hz, gate, rendered_gain_db, gate_threshold=threshold)
    frequency_rows = band_usage.frequency_usage_table(freq_hz, gate, rendered_gain_db, gate_threshold=threshold)
    pair_rows = band_usage.band_pair_table(freq_hz, rendered_gain_db, settings["q"])
    active_counts = band_usage.count_active_bands(gate, threshold)
    files = {"usage.csv": band_rows, "usage-frequency.csv": frequency_rows, "usage-pairs.csv": pair_rows}
    for name, rows in files.items():
        save_csv(rows, context.out / name)
    sentences = [
        f"On average {np.mean(active_counts):.1f} of {len(band_rows)} bands are open (gate above {threshold:g}), from "
        f"{active_counts.min()} to {active_counts.max()}.",
        gate_adaptivity_sentence(band_rows),
        _status_sentence(band_rows, "never open", "never open"),
        _status_sentence(
            band_rows, "never active", f"open in some tracks, but never with {band_usage.MIN_ACTIVE_GAIN_DB:g} dB"
        ),
        _status_sentence(band_rows, "always active", "active in every track"),
    ]
    tables = [Table("Bands.", [{k: v for k, v in row.items() if k not in _HIDDEN_COLUMNS} for row in band_rows])]
    overlaps = [(row["redundant"] + row["opposing"], row) for row in pair_rows]
    ranked_pairs = [row for share, row in sorted(overlaps, key=lambda pair: -pair[0]) if share > 0]
    if ranked_pairs:
        tables.append(Table("Redundant and opposing band pairs (shares of tracks).", ranked_pairs[:_MAX_PAIRS_SHOWN]))
    figures = [
        _gates_figure(context, band_rows),
        _active_count_figure(context, active_counts, len(band_rows)),
        _frequency_figure(context, frequency_rows),
        _redundancy_figure(context, pair_rows, len(band_rows)),
    ]
    return PageSection("Band usage", list(filter(None, sentences)), figures, tables, list(files))


def gate_adaptivity_sentence(band_rows: list[dict]) -> str:
    """States whether the gates depend on the track."""
    adaptive_rows = [row for row in band_rows if 0.0 < row["open_share"] < 1.0]
    if not adaptive_rows:
        return "Gates do not depend on the track: every gate is either open or closed in all tracks."
    return f"Open in some tracks and closed in others: {len(adaptive_rows)} of {len(band_rows)} gates."


def _status_sentence(rows: list[dict], status: str, description: str) -> str:
    band_numbers = [str(row["band"]) for row in rows if row["status"] == status]
    if not band_numbers:
        return ""
    return f"Band{'s' * (len(band_numbers) > 1)} {', '.join(band_numbers)}: {description}."


def _gates_figure(context: AnalysisContext, band_rows: list[dict]) -> Figure:
    from nmjax.plots import collection as plots

    columns = {
        name: np.array([row[name] for row in band_rows])
        for name in ("gate_mean", "gate_std", "open_share", "active_share")
    }
    caption = (
        "Mean gate of each band (whiskers: standard deviation over tracks), and the shares of tracks in which it is "
        f"open, and open with at least {band_usage.MIN_ACTIVE_GAIN_DB:g} dB."
    )
    return Figure(context.save_plot("usage", plots.plot_gates, **columns, names=context.band_labels), caption)


def _active_count_figure(context: AnalysisContext, active_counts: np.ndarray, num_bands: int) -> Figure:
    from nmjax.plots import collection as plots

    xlabel = f"bands with a gate above {context.gate_threshold:g}"
    path = context.save_plot(
        "usage-active", plots.plot_histogram, values=active_counts, max_count=num_bands, xlabel=xlabel
    )
    return Figure(path, "Number of open bands per track.")


def _frequency_figure(context: AnalysisContext, frequency_rows: list[dict]) -> Figure:
    from nmjax.plots import collection as plots

    labels = {"bands": "bands", "open_bands": "open bands", "abs_gain_db": "sum of |gain| (dB)"}
    series = {label: np.array([row[name] for row in frequency_rows]) for name, label in labels.items()}
    path = context.save_plot(
        "usage-frequency",
        plots.plot_over_frequency,
        freq_hz=THIRD_OCTAVE_FREQ_HZ,
        series=series,
        ylabel="per track and third octave",
    )
    return Figure(
        path, "Bands, open bands, and the sum of their absolute gains in each third octave, mean over tracks."
    )


def _redundancy_figure(context: AnalysisContext, pair_rows: list[dict], num_bands: int) -> Figure:
    from nmjax.plots import collection as plots

    redundancy = np.full((num_bands, num_bands), np.nan)
    for pair in pair_rows:
        indices = [pair["band_a"] - 1, pair["band_b"] - 1]
        redundancy[indices, indices[::-1]] = pair["redundant"]
    band_numbers = [str(band) for band in range(1, num_bands + 1)]
    path = context.save_plot(
        "usage-pairs",
        plots.plot_heatmap,
        values=redundancy,
        rows=band_numbers,
        columns=band_numbers,
        label="share of tracks",
        signed=False,
        axis_labels=("band", "band"),
    )
    threshold = band_usage.REDUNDANT_COSINE
    return Figure(path, f"Redundant bands: the cosine of their responses is {threshold:g} or more.")
