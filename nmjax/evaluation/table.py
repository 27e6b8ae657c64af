"""The results as a table of one row an item and system (Parquet), and as Markdown for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nmjax import io
from nmjax.evaluation.metrics import METRICS
from nmjax.evaluation.references import ARRIVAL, DELIVERED, STYLE
from nmjax.evaluation.statistics import Ratio, ratio
from nmjax.evaluation.systems import INPUT

_DESCRIBING = "si_sdr_input_db"  # says what a system did, not how well
_ARRIVES = "Does it arrive? Distance to the reference, another song; means over the items."
_STYLED = "DeepAFx-ST's table: another part of the song as reference, whose level is taken over; means over the items."
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("tier", "length", "item", "song", "group", "system")]
    + [(name, pa.float64()) for name in ("start_s", "seconds", *METRICS, *ARRIVAL, *DELIVERED, *STYLE)]
)


def save(rows: list[dict], path: Path) -> None:
    """One row an item and system; whole or not at all."""
    with io.temporary_beside(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary)
        io.publish(temporary, path)


def ratios(rows: list[dict], tier: str, metric: str, group: str | None = None) -> dict[str, Ratio]:
    """Each system's ratio for a tier (and a package), on the items that it and the input share."""
    chosen = [r for r in rows if r["tier"] == tier and group in (None, r["group"])]
    before = {r["item"]: r[metric] for r in chosen if r["system"] == INPUT}
    found = {}
    for system in _systems(rows, tier):
        mine = [r for r in chosen if r["system"] == system and r["item"] in before]
        error, idle = (np.array(x) for x in ([r[metric] for r in mine], [before[r["item"]] for r in mine]))
        found[system] = ratio(error, idle, [r["song"] for r in mine])
    return found


def _systems(rows: list[dict], tier: str) -> list[str]:
    """Those beside the input, in the order in which they were judged."""
    return list(dict.fromkeys(r["system"] for r in rows if r["tier"] == tier and r["system"] != INPUT))


def markdown(rows: list[dict]) -> str:
    """Tables by tier: ratios of every metric, then who is made worse, then by package."""
    parts = []
    for tier in dict.fromkeys(r["tier"] for r in rows):
        mine = [r for r in rows if r["tier"] == tier]
        songs = len({r["song"] for r in mine})
        parts.append(f"## Tier: {tier} ({len({r['item'] for r in mine})} items of {songs} songs)\n")
        parts += [_by_metric(rows, tier), _made_worse(rows, tier)]
        parts += [_means(mine, ARRIVAL, DELIVERED, _ARRIVES), _means(mine, STYLE, {}, _STYLED), _by_group(rows, tier)]
    return "\n".join(part for part in parts if part)


def _by_metric(rows: list[dict], tier: str) -> str:
    before = [r for r in rows if r["tier"] == tier and r["system"] == INPUT]
    systems = _systems(rows, tier)
    lines = ["Error over the input's; in brackets the 95 % interval (bootstrap by song).\n"]
    lines += _head(["metric", "input's error", *systems])
    for metric, unit in METRICS.items():
        errors = np.array([r[metric] for r in before])
        if metric == _DESCRIBING or not np.isfinite(errors).any():
            continue
        found = ratios(rows, tier, metric)
        cells = [f"{r.value:.2f} ({r.low:.2f}–{r.high:.2f})" for r in found.values()]
        lines.append(_row([metric, f"{np.nanmean(errors):.3g} {unit}".strip(), *cells]))
    did = [np.nanmean([r[_DESCRIBING] for r in rows if r["tier"] == tier and r["system"] == s]) for s in systems]
    lines.append(_row(["SI-SDR to the input", "", *(f"{x:.1f} dB" for x in did)]))
    return "\n".join(lines) + "\n"


def _made_worse(rows: list[dict], tier: str) -> str:
    lines = ["Items made worse, by how much in the median there, and the mean change of the worst tenth.\n"]
    lines += _head(["system", "tonal_mid_db: share", "by", "worst tenth", "mr_stft: share", "by", "worst tenth"])
    tonal, stft = (ratios(rows, tier, metric) for metric in ("tonal_mid_db", "mr_stft"))
    for system, a in tonal.items():
        b = stft[system]
        first = [f"{a.worse:.0%}", f"{a.worse_by:.2f} dB", f"{a.worst:+.2f} dB"]
        lines.append(_row([system, *first, f"{b.worse:.0%}", f"{b.worse_by:.3f}", f"{b.worst:+.3f}"]))
    return "\n".join(lines) + "\n"


def _means(rows: list[dict], metrics: dict[str, str], spans: dict[str, str], title: str) -> str:
    """A column for each system that was measured so, of which there are two at least, on the items of all: means, and
    from where to where `spans` go."""
    rows = [r for r in rows if r.get(next(iter(metrics))) is not None]  # None: rows read again from Parquet
    systems = list(dict.fromkeys(r["system"] for r in rows))
    if len(systems) < 2:
        return ""
    shared = set.intersection(*({r["item"] for r in rows if r["system"] == system} for system in systems))
    rows = [r for r in rows if r["item"] in shared]
    lines = [f"{title}\n", *_head(["", *systems])]
    for metric, unit in (metrics | spans).items():
        values = [np.array([r[metric] for r in rows if r["system"] == system]) for system in systems]
        values = [x[np.isfinite(x)] for x in values]
        shown = [_span(x) if metric in spans else f"{x.mean():.3g}" if len(x) else "–" for x in values]
        lines.append(_row([metric, *(f"{text} {unit}".strip() for text in shown)]))
    return "\n".join(lines) + "\n"


def _span(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}" if len(values) else "–"


def _by_group(rows: list[dict], tier: str) -> str:
    groups = sorted({r["group"] for r in rows if r["tier"] == tier})
    if len(groups) < 2:
        return ""
    systems = _systems(rows, tier)
    lines = ["tonal_mid_db by package.\n", *_head(["package", "items", *systems])]
    for group in groups:
        found = ratios(rows, tier, "tonal_mid_db", group)
        cells = [f"{r.value:.2f} ({r.low:.2f}–{r.high:.2f})" for r in found.values()]
        lines.append(_row([group or "(none)", str(max((r.items for r in found.values()), default=0)), *cells]))
    return "\n".join(lines) + "\n"


def _head(names: list[str]) -> list[str]:
    return [_row(names), _row(["---"] + ["---:"] * (len(names) - 1))]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
