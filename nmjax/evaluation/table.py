"""The results as a table of one row an item and system (Parquet), and as Markdown for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax.evaluation.metrics import METRICS
from nmjax.evaluation.references import DELIVERY_METRICS, REFERENCE_METRICS, STYLE_METRICS
from nmjax.evaluation.statistics import ErrorRatio, error_ratio
from nmjax.evaluation.systems import INPUT
from nmjax.runtime import atomic_files

_CHANGE_METRIC = "si_sdr_input_db"  # says what a system did, not how well
_REFERENCE_TITLE = "Does it arrive? Distance to the reference, another song; means over the items."
_STYLE_TITLE = (
    "DeepAFx-ST's table: another part of the song as reference, whose level is taken over; means over the items."
)
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("tier", "length", "item", "song", "group", "system")]
    + [
        (name, pa.float64())
        for name in ("start_s", "seconds", *METRICS, *REFERENCE_METRICS, *DELIVERY_METRICS, *STYLE_METRICS)
    ]
)


def save(rows: list[dict], path: Path) -> None:
    """One row an item and system; whole or not at all."""
    with atomic_files.temporary_sibling(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary)
        atomic_files.commit_file(temporary, path)


def error_ratios(rows: list[dict], condition: str, metric: str, group: str | None = None) -> dict[str, ErrorRatio]:
    """Each system's ratio for a tier (and a package), on the items that it and the input share."""
    selected = [r for r in rows if r["tier"] == condition and group in (None, r["group"])]
    input_errors = {r["item"]: r[metric] for r in selected if r["system"] == INPUT}
    by_system = {}
    for system in _system_names(rows, condition):
        system_rows = [r for r in selected if r["system"] == system and r["item"] in input_errors]
        error, input_error = (
            np.array(x) for x in ([r[metric] for r in system_rows], [input_errors[r["item"]] for r in system_rows])
        )
        by_system[system] = error_ratio(error, input_error, [r["song"] for r in system_rows])
    return by_system


def _system_names(rows: list[dict], condition: str) -> list[str]:
    """Those beside the input, in the order in which they were judged."""
    return list(dict.fromkeys(r["system"] for r in rows if r["tier"] == condition and r["system"] != INPUT))


def to_markdown(rows: list[dict]) -> str:
    """Tables by tier: ratios of every metric, then who is made worse, then by package."""
    sections = []
    for condition in dict.fromkeys(r["tier"] for r in rows):
        condition_rows = [r for r in rows if r["tier"] == condition]
        songs = len({r["song"] for r in condition_rows})
        sections.append(f"## Tier: {condition} ({len({r['item'] for r in condition_rows})} items of {songs} songs)\n")
        sections += [_metric_table(rows, condition), _worse_table(rows, condition)]
        sections += [
            _means_table(condition_rows, REFERENCE_METRICS, DELIVERY_METRICS, _REFERENCE_TITLE),
            _means_table(condition_rows, STYLE_METRICS, {}, _STYLE_TITLE),
            _package_table(rows, condition),
        ]
    return "\n".join(section for section in sections if section)


def _metric_table(rows: list[dict], condition: str) -> str:
    input_rows = [r for r in rows if r["tier"] == condition and r["system"] == INPUT]
    systems = _system_names(rows, condition)
    lines = ["Error over the input's; in brackets the 95 % interval (bootstrap by song).\n"]
    lines += _header_rows(["metric", "input's error", *systems])
    for metric, unit in METRICS.items():
        errors = np.array([r[metric] for r in input_rows])
        if metric == _CHANGE_METRIC or not np.isfinite(errors).any():
            continue
        by_system = error_ratios(rows, condition, metric)
        cells = [f"{r.value:.2f} ({r.ci_low:.2f}–{r.ci_high:.2f})" for r in by_system.values()]
        lines.append(_row([metric, f"{np.nanmean(errors):.3g} {unit}".strip(), *cells]))
    si_sdr_db = [
        np.nanmean([r[_CHANGE_METRIC] for r in rows if r["tier"] == condition and r["system"] == s]) for s in systems
    ]
    lines.append(_row(["SI-SDR to the input", "", *(f"{x:.1f} dB" for x in si_sdr_db)]))
    return "\n".join(lines) + "\n"


def _worse_table(rows: list[dict], condition: str) -> str:
    lines = ["Items made worse, by how much in the median there, and the mean change of the worst tenth.\n"]
    lines += _header_rows(["system", "tonal_mid_db: share", "by", "worst tenth", "mr_stft: share", "by", "worst tenth"])
    tonal, stft = (error_ratios(rows, condition, metric) for metric in ("tonal_mid_db", "mr_stft"))
    for system, tonal_ratio in tonal.items():
        stft_ratio = stft[system]
        tonal_cells = [
            f"{tonal_ratio.worse_share:.0%}",
            f"{tonal_ratio.worse_median:.2f} dB",
            f"{tonal_ratio.worst_tenth_change:+.2f} dB",
        ]
        lines.append(
            _row(
                [
                    system,
                    *tonal_cells,
                    f"{stft_ratio.worse_share:.0%}",
                    f"{stft_ratio.worse_median:.3f}",
                    f"{stft_ratio.worst_tenth_change:+.3f}",
                ]
            )
        )
    return "\n".join(lines) + "\n"


def _means_table(rows: list[dict], metrics: dict[str, str], range_metrics: dict[str, str], title: str) -> str:
    """A column for each system that was measured so, of which there are two at least, on the items of all: means, and
    from where to where `spans` go."""
    rows = [r for r in rows if r.get(next(iter(metrics))) is not None]  # None: rows read again from Parquet
    systems = list(dict.fromkeys(r["system"] for r in rows))
    if len(systems) < 2:
        return ""
    shared = set.intersection(*({r["item"] for r in rows if r["system"] == system} for system in systems))
    rows = [r for r in rows if r["item"] in shared]
    lines = [f"{title}\n", *_header_rows(["", *systems])]
    for metric, unit in (metrics | range_metrics).items():
        values = [np.array([r[metric] for r in rows if r["system"] == system]) for system in systems]
        values = [x[np.isfinite(x)] for x in values]
        cells = [_format_range(x) if metric in range_metrics else f"{x.mean():.3g}" if len(x) else "–" for x in values]
        lines.append(_row([metric, *(f"{text} {unit}".strip() for text in cells)]))
    return "\n".join(lines) + "\n"


def _format_range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}" if len(values) else "–"


def _package_table(rows: list[dict], condition: str) -> str:
    groups = sorted({r["group"] for r in rows if r["tier"] == condition})
    if len(groups) < 2:
        return ""
    systems = _system_names(rows, condition)
    lines = ["tonal_mid_db by package.\n", *_header_rows(["package", "items", *systems])]
    for group in groups:
        by_system = error_ratios(rows, condition, "tonal_mid_db", group)
        cells = [f"{r.value:.2f} ({r.ci_low:.2f}–{r.ci_high:.2f})" for r in by_system.values()]
        lines.append(
            _row([group or "(none)", str(max((r.num_examples for r in by_system.values()), default=0)), *cells])
        )
    return "\n".join(lines) + "\n"


def _header_rows(names: list[str]) -> list[str]:
    return [_row(names), _row(["---"] + ["---:"] * (len(names) - 1))]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
