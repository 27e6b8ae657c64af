"""Loudness against limiting: how loud a master would be with another depth of gain reduction."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from nmjax.mastering.delivery.gain_search import loudness_by_limiting
from nmjax.mastering.delivery.loudness_scan import LoudnessScan
from nmjax.mastering.delivery.plan import StreamOpener
from nmjax.mastering.delivery.write import DeliveryResult
from nmjax.report import charts
from nmjax.report.charts import PlotCurve
from nmjax.report.figures import Figure, level_axis
from nmjax.runtime.number_format import format_fixed, format_general

_MAX_LIMITING_DB, _STEP_DB = 12.0, 0.5
_HALF_TICK_LU = 0.4  # of the mark of a delivery
_RANGE_LU = 30.0


@dataclasses.dataclass(frozen=True)
class DeliveryPoint:
    """A delivery in the chart: its deepest gain reduction and its loudness."""

    name: str
    limiting_db: float
    lufs: float


@dataclasses.dataclass(frozen=True)
class LimitingTradeoff:
    """The loudness for each depth of limiting, at one ceiling.

    Attributes:
        true_peak_db: the ceiling in dBTP.
        limiting_db: deepest gain reductions.
        lufs: loudness for each of them.
        deliveries: the deliveries with this ceiling.
    """

    true_peak_db: float
    limiting_db: Float[np.ndarray, " depths"]
    lufs: Float[np.ndarray, " depths"]
    deliveries: list[DeliveryPoint]


def measure_limiting(
    open_stream: StreamOpener, sample_rate: int, channels: int, deliveries: list[DeliveryResult]
) -> LimitingTradeoff | None:
    """Scans a rendered signal at the ceiling of its first delivery; None without a ceiling or a loudness.

    Args:
        open_stream: opens the signal before delivery.
        sample_rate: in Hz.
        channels: number of channels.
        deliveries: what was delivered.
    """
    ceiling_db = deliveries[0].spec.true_peak_db
    if ceiling_db is None:
        return None
    scan = LoudnessScan(open_stream(), sample_rate, channels, _MAX_LIMITING_DB)
    if scan.true_peak == 0.0 or not math.isfinite(scan.lufs):
        return None
    limiting_db = np.arange(0.0, _MAX_LIMITING_DB + 0.5 * _STEP_DB, _STEP_DB)
    return LimitingTradeoff(
        true_peak_db=ceiling_db,
        limiting_db=limiting_db,
        lufs=loudness_by_limiting(scan, ceiling_db, limiting_db),
        deliveries=[
            DeliveryPoint(x.spec.name, x.plan.gain_reduction.max_db, x.compliance.lufs)
            for x in deliveries
            if x.spec.true_peak_db == ceiling_db
        ],
    )


def limiting_figure(tradeoff: LimitingTradeoff) -> Figure:
    """The loudness over the depth of limiting, with a mark for each delivery that is limited or nearly so."""
    name = f"At a ceiling of {format_general(tradeoff.true_peak_db, 'dBTP')}"
    curves = [PlotCurve(tradeoff.limiting_db, tradeoff.lufs, name, "master")]
    styles = ("total", "limiter", "reference")
    for point, style in zip(tradeoff.deliveries, styles, strict=False):
        mark = np.full(2, point.limiting_db), point.lufs + np.array([-_HALF_TICK_LU, _HALF_TICK_LU])
        curves.append(PlotCurve(*mark, f"{point.name}: {format_fixed(point.lufs, 'LUFS')}", style))
    first, last = (format_fixed(float(x), "LUFS") for x in (tradeoff.lufs[0], tradeoff.lufs[-1]))
    chart = charts.Chart(
        title="Loudness against limiting",
        description=f"From {first} without limiting to {last} with {_MAX_LIMITING_DB:g} dB of it.",
        x=charts.linear_axis("deepest gain reduction (dB)", 0.0, _MAX_LIMITING_DB),
        y=level_axis("LUFS", curves, _RANGE_LU),
        curves=curves,
    )
    caption = "Estimated. Where the line is flat, more limiting hardly adds loudness. 2 dB of it count as clean."
    return Figure(chart, caption)
