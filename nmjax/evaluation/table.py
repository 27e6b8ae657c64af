"""The results as a table with one row per example and system (Parquet), and as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax.evaluation.metrics import METRICS
from nmjax.evaluation.reference_metrics import DELIVERY_METRICS, REFERENCE_METRICS, STYLE_METRICS
from nmjax.evaluation.statistics import ErrorRatio, error_ratio
from nmjax.evaluation.systems import INPUT
from nmjax.runtime import atomic_files

_CHANGE_METRIC = "si_sdr_input_db"  # measures how much a system changes, not how well
_REFERENCE_TITLE = "Distance to the reference (another song), mean over the examples."
_STYLE_TITLE = (
    "Metrics of DeepAFx-ST: the reference is another section of the song, the output has its loudness; "
    "mean over the examples."
)
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("condition", "length", "example", "song", "group", "system")]
    + [
        (name, pa.float64())
        for name in ("start_s", "seconds", *METRICS, *REFERENCE_METRICS, *DELIVERY_METRICS, *STYLE_METRICS)
    ]
)


def save(rows: list[dict], path: Path) -> None:
    """Write one row per example and system, atomically."""
    with atomic_files.temporary_sibling(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary)
        atomic_files.commit_file(temporary, path)


def error_ratios(rows: list[dict], condition: str, metric: str, group: str | None = None) -> dict[str, ErrorRatio]:
    """Ratio of each system's error to the input's, over the examples of a condition that both have.

    Args:
        rows: rows of the table.
        condition: condition to select.
        metric: column of the error.
        group: package to select; None for all.
    """
    selected = [r for r in rows if r["condition"] == condition and group in (None, r["group"])]
    return {s: paired_ratio(selected, metric, s, INPUT) for s in _system_names(rows, condition)}


def paired_ratio(rows: list[dict], metric: str, system: str, base: str) -> ErrorRatio:
    """Ratio of a system's error to that of another, over the examples that both have.

    Args:
        rows: rows of one condition.
        metric: column of the error.
        system: system whose error is divided.
        base: system whose error divides.
    """
    base_errors = {r["example"]: r[metric] for r in rows if r["system"] == base}
    system_rows = [r for r in rows if r["system"] == system and r["example"] in base_errors]
    error = np.array([r[metric] for r in system_rows])
    base_error = np.array([base_errors[r["example"]] for r in system_rows])
    return error_ratio(error, base_error, [r["song"] for r in system_rows])


def _system_names(rows: list[dict], condition: str) -> list[str]:
    """The systems except the input, in order of evaluation."""
    return list(dict.fromkeys(r["system"] for r in rows if r["condition"] == condition and r["system"] != INPUT))


def to_markdown(rows: list[dict]) -> str:
    """For each condition: error ratios of all metrics, examples made worse, reference metrics, results by package."""
    sections = []
    for condition in dict.fromkeys(r["condition"] for r in rows):
        condition_rows = [r for r in rows if r["condition"] == condition]
        examples, songs = (len({r[column] for r in condition_rows}) for column in ("example", "song"))
        sections += [
            f"## Condition: {condition} ({examples} examples of {songs} songs)\n",
            _metric_table(rows, condition),
            _paired_table(rows, condition),
            _worse_table(rows, condition),
            means_table(condition_rows, REFERENCE_METRICS, _REFERENCE_TITLE, range_metrics=DELIVERY_METRICS),
            means_table(condition_rows, STYLE_METRICS, _STYLE_TITLE),
            _package_table(rows, condition),
        ]
    return "\n".join(section for section in sections if section)


def _metric_table(rows: list[dict], condition: str) -> str:
    systems = _system_names(rows, condition)
    lines = ["Error relative to the input's, with 95 % intervals (bootstrap over songs).\n"]
    lines += _header_rows(["metric", "input's error", *systems])
    for metric, errors in _input_errors(rows, condition).items():
        ratios = error_ratios(rows, condition, metric).values()
        lines.append(_row([metric, f"{np.nanmean(errors):.3g} {METRICS[metric]}".strip(), *map(_format_ratio, ratios)]))
    si_sdr_db = [
        np.nanmean([r[_CHANGE_METRIC] for r in rows if r["condition"] == condition and r["system"] == s])
        for s in systems
    ]
    lines.append(_row(["SI-SDR to the input", "", *(f"{x:.1f} dB" for x in si_sdr_db)]))
    return "\n".join(lines) + "\n"


def _input_errors(rows: list[dict], condition: str) -> dict[str, np.ndarray]:
    """The input's errors, for the metrics that were computed."""
    input_rows = [r for r in rows if r["condition"] == condition and r["system"] == INPUT]
    errors = {m: np.array([r[m] for r in input_rows], np.float64) for m in METRICS if m != _CHANGE_METRIC}
    return {metric: values for metric, values in errors.items() if np.isfinite(values).any()}


def _paired_table(rows: list[dict], condition: str) -> str:
    """Each system against the one before it: intervals of single systems overlap even where all songs improve."""
    systems = _system_names(rows, condition)
    if len(systems) < 2:
        return ""
    selected = [r for r in rows if r["condition"] == condition]
    pairs = list(itertools.pairwise(systems))
    lines = ["Error relative to that of the system before, on the same examples (bootstrap over songs).\n"]
    lines += _header_rows(["metric", *(f"{system} / {base}" for base, system in pairs)])
    for metric in _input_errors(rows, condition):
        ratios = [paired_ratio(selected, metric, system, base) for base, system in pairs]
        lines.append(_row([metric, *map(_format_ratio, ratios)]))
    return "\n".join(lines) + "\n"


def _worse_table(rows: list[dict], condition: str) -> str:
    lines = ["Examples made worse: share, median increase of their error, mean change of the worst tenth.\n"]
    lines += _header_rows(
        ["system", "tonal_mid_db: share", "increase", "worst tenth", "mr_stft: share", "increase", "worst tenth"]
    )
    tonal, stft = (error_ratios(rows, condition, metric) for metric in ("tonal_mid_db", "mr_stft"))
    for system, tonal_ratio in tonal.items():
        stft_ratio = stft[system]
        cells = [
            system,
            f"{tonal_ratio.worse_share:.0%}",
            f"{tonal_ratio.worse_median:.2f} dB",
            f"{tonal_ratio.worst_tenth_change:+.2f} dB",
            f"{stft_ratio.worse_share:.0%}",
            f"{stft_ratio.worse_median:.3f}",
            f"{stft_ratio.worst_tenth_change:+.3f}",
        ]
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def means_table(
    rows: list[dict], metrics: Mapping[str, str], title: str, range_metrics: Mapping[str, str] | None = None
) -> str:
    """Mean of each metric by system, over the examples that all systems have; "" for fewer than two systems.

    Args:
        rows: rows of one condition; those without the metrics are ignored.
        metrics: name → unit.
        title: line above the table.
        range_metrics: name → unit of metrics whose range is given instead of their mean.
    """
    range_metrics = range_metrics or {}
    rows = [r for r in rows if r.get(next(iter(metrics))) is not None]  # None in rows that were read from Parquet
    systems = list(dict.fromkeys(r["system"] for r in rows))
    if len(systems) < 2:
        return ""
    shared = set.intersection(*({r["example"] for r in rows if r["system"] == system} for system in systems))
    rows = [r for r in rows if r["example"] in shared]
    lines = [f"{title}\n", *_header_rows(["", *systems])]
    for metric, unit in {**metrics, **range_metrics}.items():
        values = [np.array([r[metric] for r in rows if r["system"] == system]) for system in systems]
        format_values = _format_range if metric in range_metrics else _format_mean
        lines.append(_row([metric, *(f"{format_values(x[np.isfinite(x)])} {unit}".strip() for x in values)]))
    return "\n".join(lines) + "\n"


def _package_table(rows: list[dict], condition: str) -> str:
    groups = sorted({r["group"] for r in rows if r["condition"] == condition})
    if len(groups) < 2:
        return ""
    lines = ["tonal_mid_db by package.\n"]
    lines += _header_rows(["package", "examples", *_system_names(rows, condition)])
    for group in groups:
        ratios = error_ratios(rows, condition, "tonal_mid_db", group).values()
        examples = max((ratio.num_examples for ratio in ratios), default=0)
        lines.append(_row([group or "(none)", str(examples), *map(_format_ratio, ratios)]))
    return "\n".join(lines) + "\n"


def _format_ratio(ratio: ErrorRatio) -> str:
    return f"{ratio.value:.2f} ({ratio.ci_low:.2f}–{ratio.ci_high:.2f})"


def _format_mean(values: np.ndarray) -> str:
    return f"{values.mean():.3g}" if len(values) else "–"


def _format_range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}" if len(values) else "–"


def _header_rows(names: Sequence[str]) -> list[str]:
    return [_row(names), _row(["---"] + ["---:"] * (len(names) - 1))]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
